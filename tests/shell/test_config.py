from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from scripts.configuration_docs import PAGE, page_with, table

from antiphon.apps.config import Config
from antiphon.apps.config_agents import AgentSection, ListeningSection
from antiphon.apps.config_sources import Resolved, known_keys, render, resolve, settings_of
from antiphon.apps.config_values import is_loopback
from antiphon.core.settings import Detection, ListeningSettings, TurnSettings
from antiphon.errors import ConfigError


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no file of the machine is read."""
    monkeypatch.chdir(tmp_path)


def written(text: str, path: Path = Path("antiphon.yaml")) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def complaint(
    options: dict[str, object] | None = None, environment: dict[str, str] | None = None, file: Path | None = None
) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(options or {}, environment or {}, file)
    return str(caught.value)


def test_the_command_line_goes_before_the_environment_and_that_before_the_file() -> None:
    written("port: 1\nmax_sessions: 1\nhost: localhost\n")
    environment = {"ANTIPHON_PORT": "2", "ANTIPHON_MAX_SESSIONS": "2"}
    resolved = resolve({"port": 3, "host": None}, environment)
    assert (resolved.config.port, resolved.config.max_sessions, resolved.config.host) == (3, 2, "localhost")
    assert resolved.origins == {
        ("port",): "--port",
        ("max_sessions",): "ANTIPHON_MAX_SESSIONS",
        ("host",): "antiphon.yaml",
    }


def test_sections_are_merged_key_by_key() -> None:
    written("session:\n  voice: pico:en-GB\n  barge_in:\n    interrupt_words: 2\n")
    resolved = resolve({}, {"ANTIPHON_SESSION__BARGE_IN__CANCEL_AFTER_MS": "300"})
    session = resolved.config.session
    assert session.voice == "pico:en-GB"
    assert (session.barge_in.interrupt_words, session.barge_in.cancel_after_ms) == (2, 300)


def test_a_named_file_goes_before_the_usual_ones() -> None:
    written("port: 1")
    named = written("port: 2", Path("other/mine.yaml"))
    assert resolve({}, {}, named).config.port == 2
    assert resolve({}, {"ANTIPHON_CONFIG": str(named)}).config.port == 2


def test_the_current_folder_goes_before_the_users() -> None:
    folder = Path("home")
    written("port: 1", folder / "antiphon.yaml")
    assert resolve({}, {}, folder=folder).config.port == 1
    written("port: 2")
    assert resolve({}, {}, folder=folder).config.port == 2


def test_lists_are_separated_by_commas_in_the_environment() -> None:
    resolved = resolve({}, {"ANTIPHON_API_KEY": "one, two", "ANTIPHON_ALLOW_ORIGIN": "https://a.example"})
    assert resolved.config.api_key == ("one", "two")
    assert resolved.config.allow_origin == ("https://a.example",)


def test_empty_variables_and_empty_keys_say_nothing() -> None:
    written("session:\nport:\n")
    assert resolve({"api_key": []}, {"ANTIPHON_HOST": ""}) == Resolved(Config(), {})


def test_an_empty_file_is_a_file() -> None:
    written("# nothing yet\n")
    assert resolve({}, {}).config == Config()


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("max_sesions: 3", "max_sessions"),
        ("session:\n  voise: x", "session.voice"),
        ("session:\n  barge_in:\n    interupt_words: 2", "session.barge_in.interrupt_words"),
        ("interrupt_words: 2", "session.barge_in.interrupt_words"),
    ],
)
def test_an_unknown_key_names_the_nearest(text: str, nearest: str) -> None:
    written(text)
    message = complaint()
    assert message.startswith("antiphon.yaml: unknown key")
    assert f"did you mean {nearest!r}?" in message


def test_an_unknown_key_unlike_any_other_is_named_alone() -> None:
    written("xyzzy: 3")
    assert complaint() == "antiphon.yaml: unknown key 'xyzzy'"


def test_an_unknown_variable_is_an_error_too() -> None:
    assert complaint(environment={"ANTIPHON_PROT": "80"}) == ("ANTIPHON_PROT: unknown key 'prot': did you mean 'port'?")


def test_the_variables_that_kubernetes_sets_for_a_service_are_not_ours() -> None:
    links = {
        "ANTIPHON_SERVICE_HOST": "10.0.0.1",
        "ANTIPHON_SERVICE_PORT": "8080",
        "ANTIPHON_PORT": "tcp://10.0.0.1:8080",
        "ANTIPHON_PORT_8080_TCP": "tcp://10.0.0.1:8080",
    }
    assert resolve({}, links) == Resolved(Config(), {})


def test_every_wrong_value_is_told_with_its_place() -> None:
    written("max_sessions: none\n")
    lines = complaint(options={"log_level": "loud"}, environment={"ANTIPHON_PORT": "99999"}).splitlines()
    assert [line.split(":")[0] for line in sorted(lines)] == ["--log-level", "ANTIPHON_PORT", "antiphon.yaml"]


def test_an_option_is_not_named_twice() -> None:
    assert complaint(options={"port": 99999}) == "--port: Input should be less than or equal to 65535"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("port: [", "is not valid YAML"),
        ("- port", "must hold keys and values"),
        ("session: 3", "session"),
    ],
)
def test_a_file_that_is_no_configuration(text: str, reason: str) -> None:
    written(text)
    assert reason in complaint()


def test_a_named_file_that_is_missing() -> None:
    assert "cannot be read" in complaint(file=Path("missing.yaml"))


def test_a_value_where_a_section_is_wanted_does_not_hide_behind_a_section() -> None:
    assert "session" in complaint(environment={"ANTIPHON_SESSION": "x", "ANTIPHON_SESSION__VOICE": "y"})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_an_open_address_needs_a_key_or_consent(host: str) -> None:
    assert "--api-key" in complaint({"host": host})
    assert resolve({"host": host, "api_key": ["k"]}, {}).config.host == host
    assert resolve({"host": host, "insecure": True}, {}).config.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)


def test_tls_has_one_certificate() -> None:
    files = {"tls_cert": Path("cert.pem"), "tls_key": Path("key.pem")}
    assert "exclude each other" in complaint({"tls": "self-signed", **files})
    assert "tls: Input should be 'self-signed'" in complaint({"tls": "yes"})


@pytest.mark.parametrize("text", ["off", "on", "enrolled"])
def test_speakers_are_told_apart_as_the_file_says(text: str) -> None:
    written(f"speakers: {text}\n")
    assert resolve({}, {}).config.speakers == text, "also where YAML reads a boolean"
    assert resolve({"speakers": text}, {}).config.speakers == text


@pytest.mark.parametrize(("text", "loudness"), [("off", "off"), ("'off'", "off"), ("-23", -23.0), ("-16.5", -16.5)])
def test_a_loudness_is_a_number_or_off(text: str, loudness: object) -> None:
    written(f"loudness: {text}\n")
    assert resolve({}, {}).config.loudness == loudness
    assert resolve({"loudness": text.strip("'")}, {}).config.loudness == loudness


@pytest.mark.parametrize("text", ["loud", "0", "-60", "true"])
def test_another_loudness_is_refused(text: str) -> None:
    assert complaint({"loudness": text}) == "--loudness: give LUFS from -40 to -10, or off"


def test_tls_needs_both_files() -> None:
    assert "--tls-key" in complaint({"tls_cert": Path("cert.pem")})


def test_the_defaults_of_a_session_are_those_of_the_core() -> None:
    assert Config().session.turn_settings() == TurnSettings()


def test_turn_detection_reaches_the_core() -> None:
    written("session:\n  turn_detection:\n    type: manual\n    silence_duration_ms: 700\n    eagerness: low\n")
    turn = resolve({}, {}).config.session.turn_settings()
    assert (turn.detection, turn.silence_duration_ms, turn.eagerness) == (Detection.MANUAL, 700, "low")


def test_what_is_printed_is_a_file_that_gives_the_same_configuration() -> None:
    resolved = resolve({"port": 9000}, {"ANTIPHON_SESSION__VOICE": "a: b"})
    text = render(resolved)
    assert "port: 9000" in text
    assert "# --port" in text
    assert "# ANTIPHON_SESSION__VOICE" in text
    again = resolve({}, {}, written(text, Path("printed.yaml")))
    assert again.config == resolved.config


def test_no_key_is_printed() -> None:
    text = render(resolve({"api_key": ["secret"]}, {}))
    assert "secret" not in text
    assert yaml.safe_load(text)["api_key"] == ["***"]


def test_a_room_needs_its_address_and_its_token() -> None:
    room = {"livekit_url": "wss://livekit.example", "livekit_token": "secret"}
    text = render(resolve(room, {}))
    assert "secret" not in text
    assert yaml.safe_load(text)["livekit_token"] == "***"
    assert "both --livekit-url and --livekit-token" in complaint({"livekit_url": "wss://livekit.example"})
    assert "--livekit-url livekit.example: give wss://" in complaint({**room, "livekit_url": "livekit.example"})
    assert "only with --livekit-url" in complaint({"livekit_identity": "ann"})


def test_the_page_shows_every_setting_as_it_is() -> None:
    """`make docs` brings the page up to date."""
    page = PAGE.read_text(encoding="utf-8")
    assert page == page_with(table(), page)
    assert len(known_keys()) == len(set(known_keys())) == len(settings_of(Config()))


def test_processes_for_calls_share_engines_and_ports() -> None:
    assert "--in-process exclude each other" in complaint({"webrtc_workers": 2, "in_process": True})
    assert "too few UDP ports for 3" in complaint({"webrtc_workers": 3, "webrtc_ports": "50000-50001"})
    assert resolve({"webrtc_workers": 2, "webrtc_ports": "50000-50001"}, {}).config.webrtc_workers == 2


def test_how_a_model_listens() -> None:
    assert resolve({}, {}).config.listening_settings() == ListeningSettings()
    written("listening: true\nwait_k: 3\nlead_words: 12\ncontext:\n  listening_words: 900\n")
    expected = ListeningSettings(wait_k=3, lead_words=12, max_words=900)
    assert resolve({}, {}).config.listening_settings() == expected
    assert resolve({}, {"ANTIPHON_LEAD_WORDS": "5"}).config.listening_settings().lead_words == 5
    assert "lead_words" in complaint({"lead_words": 0})
    section = ListeningSection(wait_k=3, lead_words=12, max_words=900)
    assert AgentSection(name="ada", listening=section).agent().listening == expected
