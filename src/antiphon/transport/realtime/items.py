"""Conversation items: a client's JSON to the core's, and back."""

from __future__ import annotations

import binascii
from typing import Any

import orjson

from antiphon.audio import EAR_RATE_HZ, ms_to_bytes
from antiphon.core.conversation import Item
from antiphon.errors import ProtocolError
from antiphon.ids import IdSource, ItemId
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.codecs import AudioFormat, from_ear, to_ear
from antiphon.transport.realtime.fields import Json

MAX_AUDIO_BYTES = 15 * 1024 * 1024
"""The most audio that one event may carry."""

MAX_ITEM_AUDIO_S = 120
"""The longest recording that a client may put into an item; it is decoded at once."""

MAX_ITEM_BYTES = 256 * 1024
"""An item without its media is told in one event more than once, and events stay under 512 KiB."""

MAX_IMAGE_CHARS = 8 * 1024 * 1024
_MAX_ECHOED_URL_CHARS = 2048

_RETRIEVED_AUDIO_S = 7
"""So much of an item's audio is given back: as base64 it stays under 512 KiB, whatever the format."""

_ITEM_STATUSES = ("completed", "incomplete", "in_progress")


def parse_item(source: Any, ids: IdSource, audio_format: AudioFormat, param: str = "item") -> Item:
    """A client's item. ``audio_format`` is that of audio inside it. Raises ProtocolError."""
    given = fields.mapping(source, param)
    kind = given.get("type") or ("message" if "role" in given else None)
    item_id = ItemId(fields.text_or(given, "id", "", f"{param}.id") or ids.item())
    if len(item_id) > 128:
        raise fields.invalid(f"{param}.id", "at most 128 characters")
    match kind:
        case "message":
            item = _parse_message(given, item_id, audio_format, param)
        case "function_call":
            item = Item(
                item_id,
                "function_call",
                call_id=fields.text_or(given, "call_id", "", f"{param}.call_id") or ids.call(),
                name=fields.text(given, "name", f"{param}.name"),
                arguments=fields.text_or(given, "arguments", "", f"{param}.arguments"),
            )
        case "function_call_output":
            item = Item(
                item_id,
                "function_call_output",
                call_id=fields.text(given, "call_id", f"{param}.call_id"),
                output=_output_text(given.get("output")),
            )
        case _:
            raise fields.invalid(f"{param}.type", "message, function_call or function_call_output")
    if given.get("status") in _ITEM_STATUSES and given["status"] != "in_progress":
        item.status = given["status"]
    if len(orjson.dumps(item_wire(item))) > MAX_ITEM_BYTES:
        raise ProtocolError(f"The item is larger than {MAX_ITEM_BYTES} bytes", code="item_too_large", param=param)
    return item


def _output_text(value: Any) -> str:
    """A function's output. Clients that send a JSON value instead of its text mean the text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _parse_message(given: Json, item_id: ItemId, audio_format: AudioFormat, param: str) -> Item:
    role = given.get("role")
    if role not in ("user", "assistant", "system", "developer"):
        raise fields.invalid(f"{param}.role", "user, assistant or system")
    item = Item(item_id, "message", role="system" if role == "developer" else role)
    content = given.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    texts: list[str] = []
    kept: list[Json] = []
    recordings: list[bytes] = []
    for index, entry in enumerate(fields.listing(parts if parts is not None else [], f"{param}.content")):
        where = f"{param}.content[{index}]"
        part = fields.mapping(entry, where)
        match part.get("type"):
            case "input_text" | "output_text" | "text":
                text = fields.text_or(part, "text", "", f"{where}.text")
                texts.append(text)
                kept.append({"type": "output_text" if role == "assistant" else "input_text", "text": text})
            case "input_audio" | "output_audio" | "audio":
                transcript = fields.text_or(part, "transcript", "", f"{where}.transcript")
                texts.append(transcript)
                kept.append({"type": "output_audio" if role == "assistant" else "input_audio"})
                item.audio = True
                if role == "user" and part.get("audio"):
                    recordings.append(_decode(part["audio"], audio_format, f"{where}.audio"))
            case "input_image":
                kept.append(_image(part, where))
            case _:
                raise fields.invalid(f"{where}.type", "input_text, input_audio, input_image or output_text")
    item.text = "\n".join(text for text in texts if text)
    item.content = tuple(kept)
    item.pcm = b"".join(recordings) or None
    return item


def _decode(value: Any, audio_format: AudioFormat, param: str) -> bytes:
    data = fields.base64_bytes(value, param, MAX_AUDIO_BYTES)
    if len(data) > MAX_ITEM_AUDIO_S * audio_format.rate_hz * audio_format.sample_bytes:
        raise ProtocolError(f"'{param}' is longer than {MAX_ITEM_AUDIO_S} s", code="audio_too_large", param=param)
    return to_ear(data, audio_format)


def _image(part: Json, param: str) -> Json:
    url = part.get("image_url")
    if isinstance(url, dict):
        url = url.get("url")
    if not isinstance(url, str) or not url or len(url) > MAX_IMAGE_CHARS:
        raise fields.invalid(f"{param}.image_url", f"a URL of at most {MAX_IMAGE_CHARS} characters")
    detail = part.get("detail")
    return {
        "type": "input_image",
        "image_url": url,
        **({"detail": detail} if detail in ("auto", "low", "high") else {}),
    }


# Back to the wire.


def item_wire(item: Item, *, audio: AudioFormat | None = None) -> Json:
    """The item as events show it. With a format given, the user's audio is in it where it is kept, capped."""
    wire: Json = {"id": item.id, "object": "realtime.item", "type": item.kind, "status": item.status}
    match item.kind:
        case "function_call":
            wire |= {"name": item.name or "", "call_id": item.call_id, "arguments": item.arguments}
        case "function_call_output":
            wire |= {"call_id": item.call_id or "", "output": item.output}
        case _:
            wire |= {"role": item.role, "content": _content(item, audio)}
    return wire


def _content(item: Item, audio: AudioFormat | None) -> list[Json]:
    if item.role == "assistant":
        heard = item.heard()
        if item.audio:
            return [{"type": "output_audio", "transcript": heard}]
        return [{"type": "output_text", "text": heard}] if heard or item.status != "in_progress" else []
    if not item.content:
        if not item.audio:
            return [{"type": "input_text", "text": item.text}]
        return [_user_audio(item, audio)]
    return [_shown(part, item, audio) for part in item.content]


def _shown(part: Json, item: Item, audio: AudioFormat | None) -> Json:
    if part["type"] == "input_audio":
        return _user_audio(item, audio)
    url = part.get("image_url")
    if url is not None and len(url) > _MAX_ECHOED_URL_CHARS:
        return {key: value for key, value in part.items() if key != "image_url"}
    return part


def _user_audio(item: Item, audio: AudioFormat | None) -> Json:
    part: Json = {"type": "input_audio", "transcript": item.text or None}
    if audio is not None and item.pcm:
        pcm = item.pcm[: ms_to_bytes(_RETRIEVED_AUDIO_S * 1000, EAR_RATE_HZ)]
        part["audio"] = binascii.b2a_base64(from_ear(pcm, audio), newline=False).decode()
    return part
