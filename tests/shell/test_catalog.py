"""Names of engines."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from antiphon.engines.catalog import (
    make_brain,
    make_one_synthesizer,
    make_recognizer,
    make_synthesizer,
    make_vad,
)
from antiphon.engines.optional import hears_audio
from antiphon.errors import ConfigError


@pytest.mark.parametrize("name", ["silero", "scripted:"])
async def test_vads(name: str) -> None:
    await make_vad(name).close()


@pytest.mark.parametrize("name", ["moonshine", "moonshine:tiny-en", "scripted:final_ms=5"])
async def test_recognizers(name: str) -> None:
    await make_recognizer(name).close()


@pytest.mark.parametrize(
    ("name", "default", "some_voice"),
    [
        ("auto", "pico:en-US", "espeak:sv-SE"),
        ("pico", "pico:en-US", "pico:de-DE"),
        ("pico:en-gb", "pico:en-GB", "pico:en-US"),
        ("espeak:de-DE, pico", "espeak:de-DE", "pico:en-US"),
    ],
)
async def test_synthesizers(name: str, default: str, some_voice: str) -> None:
    synthesizer = make_synthesizer(name)
    voices = [voice.name for voice in synthesizer.voices]
    assert voices[0] == default
    assert some_voice in voices
    await synthesizer.close()
    await make_synthesizer("scripted:speed=10").close()


@pytest.mark.parametrize(
    ("name", "engine", "language"),
    [
        ("piper:en_US-amy-medium", "piper:en_US-amy-medium", "en-US"),
        ("kokoro", "kokoro:af_heart", "en-US"),
        ("kokoro:bm_george", "kokoro:bm_george", "en-GB"),
        ("mlx-audio:Kokoro-82M-bf16:bm_george", "mlx-audio:Kokoro-82M-bf16", "und"),
        ("mlx-audio:mlx-community/pocket", "mlx-audio:pocket", "und"),
        ("http://box:8091/v1#Qwen/Qwen3-TTS", "openai:Qwen/Qwen3-TTS", "und"),
        ("http://box:8091#model=s2&voice=a&voice=b&language=de-DE&rate=44100", "openai:s2", "de-DE"),
    ],
)
async def test_neural_voices(name: str, engine: str, language: str) -> None:
    synthesizer = make_one_synthesizer(name)
    assert (synthesizer.name, synthesizer.voices[0].language) == (engine, language)
    assert "#" not in synthesizer.description
    await synthesizer.close()


async def test_speech_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    for make in (make_one_synthesizer, make_recognizer):
        with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
            make("openai:tts-1")
        assert "http://box/v1)" in make("http://box").description
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    voices = make_one_synthesizer("openai:tts-1:nova").voices
    assert [voice.name for voice in voices] == ["nova"]
    assert make_recognizer("openai:whisper-1").name == "openai:whisper-1"
    assert make_recognizer("faster-whisper:small").name == "faster-whisper:small"
    assert make_recognizer("parakeet:tdt-0.6b-v3").name == "parakeet:tdt-0.6b-v3"


@pytest.mark.parametrize(
    ("make", "name", "offered"),
    [
        (make_vad, "loud", "silero"),
        (make_recognizer, "whisper", "moonshine"),
        (make_recognizer, "moonshine:huge", "moonshine:tiny-en"),
        (make_synthesizer, "shout", "espeak"),
        (make_synthesizer, "pico:xx", "en-GB"),
        (make_synthesizer, "", "pico"),
        (make_synthesizer, "piper", "piper:VOICE"),
        (make_synthesizer, "mlx-audio", "mlx-audio:MODEL"),
        (make_recognizer, "faster-whisper", "faster-whisper:MODEL"),
        (make_recognizer, "parakeet:", "parakeet:MODEL"),
    ],
)
def test_unknown_names_are_told_with_what_there_is(make: Callable[[str], Any], name: str, offered: str) -> None:
    with pytest.raises(ConfigError, match=offered):
        make(name)


async def test_brains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    alice = await make_brain("alice")
    assert alice.name == "alice"
    await alice.close()
    await (await make_brain("scripted:tokens=3")).close()
    local = await make_brain("http://localhost:11434", "qwen")
    assert (local.name, "http://localhost:11434/v1" in local.description) == ("openai:qwen", True)
    assert "http://box/api/v3)" in (await make_brain("http://box/api/v3", "qwen")).description
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await make_brain("openai:gpt")
    with pytest.raises(ConfigError, match="alice"):
        await make_brain("eliza")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://box/v1")
    assert "gpt at box (http://box/v1)" in (await make_brain("openai:gpt")).description
    with pytest.raises(ConfigError, match="openai:MODEL"):
        await make_brain("openai")


async def test_brains_that_take_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://box/v1")
    by_name = await make_brain("openai-audio:hearer")
    by_url = await make_brain("audio+http://box:8000", "hearer")
    assert [by_name.name, by_url.name] == ["openai-audio:hearer"] * 2
    assert "(http://box:8000/v1)" in by_url.description
    assert hears_audio(by_name) and hears_audio(by_url) and hears_audio(await make_brain("scripted:hears=1"))
    assert not any([hears_audio(await make_brain(name)) for name in ("alice", "openai:gpt", "scripted:")])
    with pytest.raises(ConfigError, match="openai-audio:MODEL"):
        await make_brain("openai-audio")


def test_nothing_heavy_is_imported_with_the_catalogue() -> None:
    heavy = ["openai", "aiohttp", "onnxruntime", "aiml", "ttspico", "espeakng_loader", "moonshine_voice"]
    code = f"import sys, antiphon.engines.catalog; print(*[name for name in {heavy!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.split() == []
