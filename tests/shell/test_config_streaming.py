"""The other agent's ``config.yaml``, as ``antiphon serve --config`` reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.apps.config_sources import Resolved, resolve
from antiphon.errors import ConfigError

WHOLE = """
server:
  host: 127.0.0.1
  http_port: 8000
  health_port: 8005
  tcp_ports: [8765, 8766]
model:
  name: mistralai/Voxtral-Mini-3B-2507
  cache_dir: ./model_cache
  device: cuda
  torch_dtype: bfloat16
audio:
  sample_rate: 16000
  channels: 1
  format: int16
  chunk_size: 1024
vad:
  threshold: 0.005
  min_silence_duration_ms: 600
spectrogram:
  n_mels: 128
streaming:
  max_connections: 100
  buffer_size: 4096
  timeout_seconds: 300
tts:
  engine: kokoro
  default_voice: af_bella
  voice: af_heart
  speed: 1.0
  voices:
    english: [af_heart, af_bella]
  performance:
    num_workers: 4
speech_to_speech:
  enabled: true
  latency_target_ms: 300
  streaming:
    enabled: true
    mode: word_level
    words_trigger_threshold: 2
    max_tokens: 200
    interruption_detection: true
    interruption_threshold_ms: 100
  voice_agent:
    first_word_target_ms: 100
    concurrent_tts_streams: 3
ui:
  mode: simple
logging:
  level: INFO
  file: ./logs/agent.log
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def resolved(text: str, **options: object) -> Resolved:
    Path("config.yaml").write_text(text, encoding="utf-8")
    return resolve(options, {}, Path("config.yaml"))


def complaint(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolved(text)
    return str(caught.value)


def test_what_means_the_same_is_taken_over() -> None:
    config = resolved(WHOLE).config
    assert (config.host, config.port) == ("127.0.0.1", 8000)
    assert config.llm == "voxtral:mistralai/Voxtral-Mini-3B-2507"
    assert config.tts == "kokoro:af_heart"
    assert (config.max_sessions, config.idle_timeout_s, config.log_level) == (100, 300.0, "info")
    assert config.session.turn_detection.silence_duration_ms == 600
    assert config.session.turn_detection.interrupt_response is True
    assert config.session.speech.words_trigger_threshold == 2
    assert (config.session.speech.word_start, config.session.speech.clauses_at_once) == ("always", 3)
    assert config.session.max_output_tokens == 200


def test_it_is_told_where_each_value_came_from() -> None:
    known = resolved(WHOLE)
    assert known.origins["port",] == "config.yaml: server.http_port"
    assert known.origins["session", "turn_detection", "silence_duration_ms"] == (
        "config.yaml: vad.min_silence_duration_ms"
    )


def test_the_command_line_goes_before_it() -> None:
    assert resolved(WHOLE, port=9000, llm="alice").config.port == 9000


def test_an_interruption_can_be_forbidden() -> None:
    config = resolved("speech_to_speech: {streaming: {interruption_detection: false}}").config
    assert config.session.turn_detection.interrupt_response is False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("server: {http_prot: 8000}", "unknown key 'server.http_prot'"),
        ("server: {http_port: 8000}\nport: 9000", "unknown key 'port'"),
        (
            "streaming: {}\nspectrogram: {n_mels: 128}\nmodels: {}\nsession: {voice: pico}",
            "unknown key 'session.voice'",
        ),
        ("audio: {sample_rate: 24000}", "audio.sample_rate: it is 16000 here, and cannot be 24000"),
        ("tts: {engine: orpheus-direct}\nui: {mode: simple}", "tts.engine: it is kokoro here"),
        ("speech_to_speech: {streaming: {mode: sentence_level}}", "begins by the word"),
        ("server: {http_port: 99999}", "config.yaml: server.http_port: port"),
        ("server: {host: 0.0.0.0}", "can be reached from other machines"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_key(text: str, told: str) -> None:
    assert told in complaint(text)


def test_all_that_is_wrong_is_told_at_once() -> None:
    assert len(complaint("audio: {channels: 2}\nserver: {prot: 1}").splitlines()) == 2


def test_a_file_of_ours_is_none_of_that_form() -> None:
    assert resolved("port: 8123\nsession: {voice: alpha}").config.port == 8123
