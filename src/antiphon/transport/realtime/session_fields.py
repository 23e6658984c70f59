"""The fields of a session object: from each that a client sent its effective value. Readers raise ProtocolError."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from antiphon.core.settings import TurnSettings
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.legacy import FORMATS
from antiphon.transport.realtime.offer import Offer, known, read_voice

_EAGERNESS = ("low", "medium", "high", "auto")
_MAX_TOKENS = 4096


def default_turn_detection(turn: TurnSettings, kind: str) -> Json:
    """The defaults of one variant."""
    answers = {"create_response": turn.create_response, "interrupt_response": turn.interrupt_response}
    if kind == "semantic_vad":
        return {"type": kind, "eagerness": turn.eagerness, **answers}
    return {
        "type": "server_vad",
        "threshold": turn.threshold,
        "prefix_padding_ms": turn.prefix_padding_ms,
        "silence_duration_ms": turn.silence_duration_ms,
        "idle_timeout_ms": turn.idle_timeout_ms,
        **answers,
    }


def _read_modalities(value: Any) -> list[str]:
    wanted = fields.listing(value, "output_modalities")
    if not wanted or any(one not in ("text", "audio") for one in wanted):
        raise fields.invalid("output_modalities", '["audio"] or ["text"]')
    return ["audio"] if "audio" in wanted else ["text"]


def _read_format(value: Any, param: str) -> AudioFormat:
    name = value.get("type") if isinstance(value, dict) else value
    rate = value.get("rate") if isinstance(value, dict) else None
    try:
        audio_format = AudioFormat(FORMATS.get(name, name) if isinstance(name, str) else name)
    except ValueError:
        raise fields.invalid(param, "audio/pcm, audio/pcmu or audio/pcma") from None
    if rate not in (None, audio_format.rate_hz):
        raise fields.invalid(f"{param}.rate", str(audio_format.rate_hz))
    return audio_format


def _read_tools(value: Any) -> list[Json]:
    """The functions among them; other kinds of tools are not served, and the echo shows it."""
    tools = []
    for index, given in enumerate(fields.listing(value, "tools")):
        tool = fields.mapping(given, f"tools[{index}]")
        if tool.get("type", "function") != "function":
            continue
        inner = tool.get("function")
        source = inner if isinstance(inner, dict) else tool
        echo: Json = {"type": "function", "name": fields.text(source, "name", f"tools[{index}].name")}
        if source.get("description") is not None:
            echo["description"] = fields.text_or(source, "description", "", f"tools[{index}].description")
        if source.get("parameters") is not None:
            echo["parameters"] = fields.mapping(source["parameters"], f"tools[{index}].parameters")
        tools.append(echo)
    return tools


def _read_tool_choice(value: Any) -> str | Json:
    if value in ("auto", "none", "required"):
        return str(value)
    if isinstance(value, dict):
        if value.get("type") != "function":
            return "auto"
        inner = value.get("function")
        source = inner if isinstance(inner, dict) else value
        return {"type": "function", "name": fields.text(source, "name", "tool_choice")}
    raise fields.invalid("tool_choice", "auto, none, required or a function")


def _read_max_tokens(value: Any) -> int | Literal["inf"]:
    if value == "inf":
        return "inf"
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise fields.invalid("max_output_tokens", 'a positive integer or "inf"')
    return min(value, _MAX_TOKENS)


def _read_truncation(value: Any) -> str | Json:
    if value in ("auto", "disabled"):
        return str(value)
    source = fields.mapping(value, "truncation")
    ratio = min(max(fields.number(source, "retention_ratio", 1.0, "truncation.retention_ratio"), 0.0), 1.0)
    return {"type": "retention_ratio", "retention_ratio": ratio}


def _read_turn_detection(value: Any, current: Json | None, turn: TurnSettings) -> Json | None:
    if value is None or value is False:
        return None
    source = fields.mapping(value, "audio.input.turn_detection")
    kind = source.get("type") or (current["type"] if current else "server_vad")
    if kind not in ("server_vad", "semantic_vad"):
        raise fields.invalid("audio.input.turn_detection.type", "server_vad or semantic_vad")
    merged = dict(current) if current and current["type"] == kind else default_turn_detection(turn, kind)
    for key in ("create_response", "interrupt_response"):
        merged[key] = fields.flag(source, key, merged[key])
    if kind == "semantic_vad":
        eagerness = fields.text_or(source, "eagerness", merged["eagerness"])
        if eagerness not in _EAGERNESS:
            raise fields.invalid("audio.input.turn_detection.eagerness", "low, medium, high or auto")
        return {**merged, "eagerness": eagerness}
    merged["threshold"] = min(max(fields.number(source, "threshold", merged["threshold"]), 0.0), 1.0)
    for key in ("prefix_padding_ms", "silence_duration_ms"):
        merged[key] = min(max(fields.whole(source, key, merged[key]), 0), 60_000)
    if "idle_timeout_ms" in source:
        idle = fields.whole(source, "idle_timeout_ms", 0)
        merged["idle_timeout_ms"] = idle if idle > 0 else None
    return merged


def read_transcription(value: Any, current: Json | None, offer: Offer) -> Json | None:
    if value is None or value is False:
        return None
    source = fields.mapping(value, "audio.input.transcription")
    before = current or {"model": offer.transcription_models[0], "language": None, "prompt": None}
    model = fields.text_or(source, "model", before["model"])
    merged = {**before, "model": known(model, offer.transcription_models)}
    for key in ("language", "prompt"):
        if key in source:
            merged[key] = fields.text_or(source, key, "") or None
    return merged


def merge_input(target: Json, source: Json, offer: Offer) -> None:
    if source.get("format") is not None:
        target["format"] = _read_format(source["format"], "audio.input.format").wire()
    if "turn_detection" in source:
        target["turn_detection"] = _read_turn_detection(source["turn_detection"], target["turn_detection"], offer.turn)
    if "transcription" in source:
        target["transcription"] = read_transcription(source["transcription"], target["transcription"], offer)
    # No engine here reduces noise: ``noise_reduction`` is taken and the echo goes on to say null.


def merge_output(target: Json, source: Json, offer: Offer) -> None:
    if source.get("format") is not None:
        target["format"] = _read_format(source["format"], "audio.output.format").wire()
    if source.get("voice") is not None:
        target["voice"] = read_voice(source["voice"], offer, "audio.output.voice")
    target["speed"] = min(max(fields.number(source, "speed", target["speed"], "audio.output.speed"), 0.25), 1.5)


READERS: dict[str, Callable[[Any], Any]] = {
    "output_modalities": _read_modalities,
    "tools": _read_tools,
    "tool_choice": _read_tool_choice,
    "max_output_tokens": _read_max_tokens,
    "truncation": _read_truncation,
}


def read_metadata(value: Any) -> dict[str, str] | None:
    if value is None:
        return None
    metadata = fields.mapping(value, "response.metadata")
    if any(not isinstance(entry, str) for entry in metadata.values()) or len(metadata) > 16:
        raise fields.invalid("response.metadata", "at most 16 strings")
    return metadata


def read_side(value: Any) -> bool:
    if value in (None, "auto"):
        return False
    if value == "none":
        return True
    raise fields.invalid("response.conversation", "auto or none")
