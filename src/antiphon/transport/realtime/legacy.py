"""Names of the protocol's beta that clients still send, put into today's."""

from __future__ import annotations

from typing import Any

from antiphon.transport.realtime.fields import Json

_MOVED: dict[str, tuple[str, ...]] = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "output_audio_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
}

FORMATS = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}


def modernized(source: Json) -> Json:
    """A session or response object under today's names; what is said in both, today's name decides."""
    if _MOVED.keys().isdisjoint(source):
        return source
    result: Json = {key: value for key, value in source.items() if key not in _MOVED}
    for old, path in _MOVED.items():
        if old in source:
            _put(result, path, source[old])
    return result


def _put(target: Json, path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        inner = target.get(key)
        if inner is not None and not isinstance(inner, dict):
            return  # wrong in itself, and told so by whoever reads it
        target[key] = dict(inner or {})
        target = target[key]
    target.setdefault(path[-1], value)
