"""Names of servers for speech: where each is, and what it is asked for."""

from __future__ import annotations

import pytest

from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.engines.server_names import OPENAI_URL, NamedServer, completed, named_server
from antiphon.errors import ConfigError


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)


def named(url: str, model: str = "", voices: tuple[str, ...] = (), **rest: object) -> NamedServer:
    told = {"key": "", "language": "", "rate_hz": WIRE_PCM_RATE_HZ} | rest
    return NamedServer(url=url, model=model, voices=voices, **told)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "server"),
    [
        ("http://box", named("http://box/v1")),
        ("https://box:8091/", named("https://box:8091/v1")),
        ("http://box/api/v3#s2", named("http://box/api/v3", "s2")),
        ("http://box/v1#Qwen/Qwen3-TTS", named("http://box/v1", "Qwen/Qwen3-TTS")),
        ("http://box#voice=a&voice=b", named("http://box/v1", voices=("a", "b"))),
        (
            "http://box#model=s2&language=de-DE&rate=44100",
            named("http://box/v1", "s2", language="de-DE", rate_hz=44100),
        ),
        ("ws://box#words=true", named("ws://box/v1", word_times=True)),
        ("ws://box#words=false", named("ws://box/v1")),
    ],
)
def test_a_url_says_after_its_hash_what_is_asked_of_the_server(name: str, server: NamedServer) -> None:
    assert named_server(name) == server


def test_openai_s_key_and_address_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="openai:tts-1 needs a key: set OPENAI_API_KEY"):
        named_server("openai:tts-1")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert named_server("openai:tts-1:nova:onyx") == named(OPENAI_URL, "tts-1", ("nova", "onyx"), key="secret")
    assert named_server("http://box").key == "secret"
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://box/v1")
    assert named_server("openai:tts-1") == named("http://box/v1", "tts-1")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("openai:", "openai needs a model"),
        ("http://box#pitch=3", "there may be model, voice, language, rate, words, not pitch"),
        ("http://box#rate=high", "the rate is in Hz, from 8000 to 96000"),
        ("http://box#rate=7999", "Hz"),
        ("http://box#rate=96001", "Hz"),
    ],
)
def test_what_is_wrong_with_a_name_is_told(name: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        named_server(name)


def test_an_address_without_a_path_gets_the_usual_one() -> None:
    assert [completed(url) for url in ("http://box", "http://box/", "http://box/x/")] == [
        "http://box/v1",
        "http://box/v1",
        "http://box/x/",
    ]
