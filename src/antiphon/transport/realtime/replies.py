"""One open reply: what of it has been told, and the order in which the wire wants it told."""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from antiphon.ids import ItemId, ReplyId
from antiphon.transport.realtime.codecs import MouthEncoder
from antiphon.transport.realtime.config import ReplyPlan
from antiphon.transport.realtime.fields import Json

Emit = Callable[..., None]
"""``emit(type, media=False, **fields)``; ``media`` is audio that may be thrown away when the reply is interrupted."""

MAX_DELTA_BYTES = 96 * 1024
"""Longer audio goes in several deltas: as base64 each stays well under the 512 KiB of an event."""

_REASONS = frozenset(("turn_detected", "client_cancelled", "max_output_tokens", "content_filter"))


class Kind(Enum):
    """What an output item is made of."""

    TEXT = "text"
    SPEECH = "audio"
    CALL = "function_call"


@dataclass(slots=True)
class OpenItem:
    id: ItemId
    kind: Kind
    index: int
    encoder: MouthEncoder | None = None
    call_id: str = ""
    name: str = ""
    told: list[str] = field(default_factory=list)
    """The deltas of its text, transcript or arguments."""

    def wire(self, status: str, *, empty: bool = False) -> Json:
        said = "" if empty else "".join(self.told)
        head: Json = {"id": self.id, "object": "realtime.item", "status": status}
        if self.kind is Kind.CALL:
            call: Json = {"type": "function_call", "call_id": self.call_id, "name": self.name, "arguments": said}
            return head | call
        content: list[Json] = []
        if not empty:
            speech = self.kind is Kind.SPEECH
            content = [
                {"type": "output_audio", "transcript": said} if speech else {"type": "output_text", "text": said}
            ]
        return head | {"type": "message", "role": "assistant", "content": content}


class OpenReply:
    """Tells one reply. At most one of its items is open at a time; the pieces that come decide which."""

    def __init__(
        self,
        reply: ReplyId,
        plan: ReplyPlan,
        conversation_id: str,
        emit: Emit,
        place: Callable[[ItemId], ItemId | None],
        mouth: Callable[[bytes], None] | None = None,
    ) -> None:
        """``place`` puts an item at the end of the conversation and returns the id of the one before it; ``mouth``
        takes the audio, if it does not go as events."""
        self.id = reply
        self.side = plan.side
        self._plan = plan
        self._conversation_id = None if plan.side else conversation_id
        self._emit = emit
        self._place = place
        self._mouth = mouth
        self._item: OpenItem | None = None
        self._before: ItemId | None = None
        self._output: list[Json] = []

    def created(self) -> None:
        self._emit("response.created", response=self._response("in_progress", None, None))

    def text(self, item: ItemId, delta: str) -> None:
        self._tell(self._open(item, Kind.TEXT), "response.output_text.delta", delta)

    def transcript(self, item: ItemId, delta: str) -> None:
        self._tell(self._open(item, Kind.SPEECH), "response.output_audio_transcript.delta", delta)

    def audio(self, item: ItemId, pcm: bytes) -> None:
        opened = self._open(item, Kind.SPEECH)
        if self._mouth is not None:
            if not self.side:  # two voices at once would be understood by nobody
                self._mouth(pcm)
            return
        if opened.encoder is None:
            opened.encoder = MouthEncoder(self._plan.audio_format)
        self._send_audio(opened, opened.encoder.push(pcm))

    def call(self, item: ItemId, call_id: str, name: str, delta: str) -> None:
        opened = self._open(item, Kind.CALL, call_id, name)
        if delta:
            opened.told.append(delta)
            self._emit(
                "response.function_call_arguments.delta",
                response_id=self.id,
                item_id=item,
                output_index=opened.index,
                call_id=call_id,
                delta=delta,
            )

    def done(self, status: str, reason: str | None, error: str | None, input_tokens: int, output_tokens: int) -> None:
        self._close("completed" if status == "completed" else "incomplete")
        details: Json | None = None
        if status != "completed":
            details = {"type": status}
            if status == "failed":
                details["error"] = {"type": "server_error", "message": error or "The reply could not be made"}
            elif reason in _REASONS:
                details["reason"] = reason
        usage = _usage(input_tokens, output_tokens)
        self._emit("response.done", response=self._response(status, details, usage))

    # Opening and closing.

    def _open(self, item: ItemId, kind: Kind, call_id: str = "", name: str = "") -> OpenItem:
        if self._item is not None:
            if self._item.id == item:
                return self._item
            self._close("completed")
        opened = OpenItem(item, kind, len(self._output), call_id=call_id, name=name)
        self._item = opened
        wire = opened.wire("in_progress", empty=True)
        self._emit("response.output_item.added", response_id=self.id, output_index=opened.index, item=wire)
        if not self.side:
            self._before = self._place(item)
            self._emit("conversation.item.added", previous_item_id=self._before, item=wire)
        if kind is not Kind.CALL:
            self._emit("response.content_part.added", **self._where(opened), part=_part(kind, ""))
        return opened

    def _close(self, status: str) -> None:
        item = self._item
        if item is None:
            return
        self._item = None
        said = "".join(item.told)
        match item.kind:
            case Kind.TEXT:
                self._emit("response.output_text.done", **self._where(item), text=said)
            case Kind.SPEECH:
                if item.encoder is not None and status == "completed":
                    self._send_audio(item, item.encoder.push(b"", last=True))
                self._emit("response.output_audio.done", **self._where(item))
                self._emit("response.output_audio_transcript.done", **self._where(item), transcript=said)
            case Kind.CALL if status == "completed":
                self._emit(
                    "response.function_call_arguments.done",
                    response_id=self.id,
                    item_id=item.id,
                    output_index=item.index,
                    call_id=item.call_id,
                    name=item.name,
                    arguments=said,
                )
            case Kind.CALL:
                pass  # Cut off, so the function must not be called: some clients call it at this event.
        if item.kind is not Kind.CALL:
            self._emit("response.content_part.done", **self._where(item), part=_part(item.kind, said))
        wire = item.wire(status)
        if not self.side:
            self._emit("conversation.item.done", previous_item_id=self._before, item=wire)
        self._emit("response.output_item.done", response_id=self.id, output_index=item.index, item=wire)
        self._output.append(wire)

    # Pieces.

    def _tell(self, item: OpenItem, event: str, delta: str) -> None:
        if delta:
            item.told.append(delta)
            self._emit(event, **self._where(item), delta=delta)

    def _send_audio(self, item: OpenItem, data: bytes) -> None:
        for start in range(0, len(data), MAX_DELTA_BYTES):
            delta = binascii.b2a_base64(data[start : start + MAX_DELTA_BYTES], newline=False).decode("ascii")
            self._emit("response.output_audio.delta", media=not self.side, **self._where(item), delta=delta)

    def _where(self, item: OpenItem) -> Json:
        return {"response_id": self.id, "item_id": item.id, "output_index": item.index, "content_index": 0}

    def _response(self, status: str, details: Json | None, usage: Json | None) -> Json:
        plan = self._plan
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": list(self._output),
            "conversation_id": self._conversation_id,
            "output_modalities": ["audio"] if plan.settings.audio else ["text"],
            "max_output_tokens": plan.max_output_tokens,
            "audio": {"output": {"format": plan.audio_format.wire(), "voice": plan.voice}},
            "usage": usage,
            "metadata": plan.metadata,
        }


def _part(kind: Kind, said: str) -> Json:
    return {"type": "audio", "transcript": said} if kind is Kind.SPEECH else {"type": "text", "text": said}


def _usage(input_tokens: int, output_tokens: int) -> Json:
    """Tokens as the brain counts them: they are all text, since the voice is an engine of its own."""
    return {
        "total_tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
        "input_token_details": {
            "text_tokens": input_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": 0,
            "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": output_tokens, "audio_tokens": 0},
    }
