"""A ``config.yaml`` of the Voxtral and Kokoro streaming agent, read as settings of ours.

What means the same here is taken over. What has no meaning here, such as the size of its queues, is accepted and left
alone. What would ask for something else than it gets is refused, and so are keys that nobody knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from antiphon.errors import ConfigError

KeyPath = tuple[str, ...]

_SECTIONS = frozenset(
    ("server", "audio", "vad", "spectrogram", "streaming", "speech_to_speech", "ui", "logging", "performance")
)
"""Of its top level. Ours has none of them."""

_WORD_LEVEL = "word_level"
_SPEECH = ("speech_to_speech", "streaming")


def _as_it_is(value: Any) -> Any:
    return value


def _in_lower_case(value: Any) -> Any:
    return str(value).lower()


def _by_the_word(_: Any) -> Any:
    return "always"


def _voxtral(value: Any) -> Any:
    return f"voxtral:{value}"


def _kokoro(value: Any) -> Any:
    return f"kokoro:{value}"


_TAKEN: Mapping[KeyPath, tuple[KeyPath, Callable[[Any], Any]]] = {
    ("server", "host"): (("host",), _as_it_is),
    ("server", "http_port"): (("port",), _as_it_is),
    ("model", "name"): (("llm",), _voxtral),
    ("vad", "min_silence_duration_ms"): (("session", "turn_detection", "silence_duration_ms"), _as_it_is),
    ("streaming", "max_connections"): (("max_sessions",), _as_it_is),
    ("streaming", "timeout_seconds"): (("idle_timeout_s",), _as_it_is),
    ("tts", "default_voice"): (("tts",), _kokoro),
    ("tts", "voice"): (("tts",), _kokoro),
    (*_SPEECH, "mode"): (("session", "speech", "word_start"), _by_the_word),
    (*_SPEECH, "words_trigger_threshold"): (("session", "speech", "words_trigger_threshold"), _as_it_is),
    (*_SPEECH, "max_tokens"): (("session", "max_output_tokens"), _as_it_is),
    ("speech_to_speech", "voice_agent", "concurrent_tts_streams"): (
        ("session", "speech", "clauses_at_once"),
        _as_it_is,
    ),
    (*_SPEECH, "interruption_detection"): (("session", "turn_detection", "interrupt_response"), _as_it_is),
    ("logging", "level"): (("log_level",), _in_lower_case),
}
"""Its keys, ours, and what becomes of the value. Of two for one of ours the later counts, as there."""

_FIXED: Mapping[KeyPath, Any] = {
    ("audio", "sample_rate"): 16_000,
    ("audio", "channels"): 1,
    ("audio", "format"): "int16",
    ("tts", "engine"): "kokoro",
    ("tts", "enabled"): True,
    ("tts", "speed"): 1.0,
    ("speech_to_speech", "enabled"): True,
    (*_SPEECH, "enabled"): True,
}
"""What is so here, whatever a file says: another value is refused."""

_WITHOUT_EFFECT: Mapping[str, str] = {
    "server": "health_port tcp_ports",
    "model": "cache_dir device torch_dtype max_memory_per_gpu require_auth_token use_safetensors",
    "audio": "chunk_size frame_duration_ms",
    "vad": "threshold min_voice_duration_ms chunk_size_ms overlap_ms sensitivity energy_threshold",
    "spectrogram": "n_mels hop_length win_length n_fft",
    "streaming": "buffer_size latency_target_ms",
    "tts": "sample_rate lang_code",
    "tts.voices": "*",
    "tts.performance": "*",
    "performance": "*",
    "speech_to_speech": "latency_target_ms buffer_size output_format quality emotional_expression",
    "speech_to_speech.streaming": "interruption_threshold_ms",
    "speech_to_speech.voice_agent": "first_word_target_ms word_to_audio_target_ms interruption_response_ms",
    "ui": "mode theme show_latency_details enable_performance_indicators",
    "logging": "format file",
}
"""Sections, and their keys that say how its own works were built, or what it aimed at."""


def is_streaming_form(content: Mapping[Any, Any]) -> bool:
    """Whether a file has that agent's sections."""
    return any(isinstance(content.get(section), Mapping) for section in _SECTIONS)


def translated(leaves: Mapping[KeyPath, Any], file: str) -> Iterator[tuple[KeyPath, Any, str]]:
    """Our keys, their values, and the key in the file. Raises ConfigError, a line for each key that cannot be used."""
    wrong = [f"{file}: {reason}" for key, value in leaves.items() if (reason := _trouble(key, value))]
    if wrong:
        raise ConfigError("\n".join(wrong))
    for key, (ours, convert) in _TAKEN.items():
        if key in leaves:
            yield ours, convert(leaves[key]), ".".join(key)


def _trouble(key: KeyPath, value: Any) -> str:
    name = ".".join(key)
    if key == (*_SPEECH, "mode") and value != _WORD_LEVEL:
        return f"{name}: an answer begins by the word here, as {_WORD_LEVEL} says, and there is no {value!r}"
    if key in _TAKEN:
        return ""
    if key in _FIXED:
        return "" if value == _FIXED[key] else f"{name}: it is {_FIXED[key]} here, and cannot be {value!r}"
    known = _WITHOUT_EFFECT.get(".".join(key[:-1]), "").split()
    return "" if "*" in known or key[-1] in known else f"unknown key {name!r}: this file is read as one of that agent's"
