"""What a client sends: its events, checked, as audio and commands for the session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import orjson

from antiphon.core.commands import (
    CancelResponse,
    ClearBuffer,
    Command,
    CommitBuffer,
    Configure,
    CreateItem,
    CreateReply,
    DeleteItem,
    ItemReference,
    RetrieveItem,
    StopPlayout,
    TruncateItem,
)
from antiphon.core.speech import Message
from antiphon.errors import ProtocolError
from antiphon.ids import IdSource, ItemId, ReplyId
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.codecs import EarDecoder
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.items import MAX_AUDIO_BYTES, parse_item
from antiphon.transport.realtime.outlet import RealtimeOutlet
from antiphon.transport.realtime.sender import Sender

_SLICE_BYTES = 48 * 1024
"""A second of PCM. Longer audio is decoded in slices, and other sessions get their turn in between."""


class Ear(Protocol):
    """The part of a session that takes in what its client sends."""

    def hear(self, pcm: bytes) -> None: ...

    def post(self, command: Command) -> None: ...


class RealtimeInlet:
    """Reads one client's events. What is wrong with one is answered by an ``error``; the session stays open."""

    def __init__(
        self, ear: Ear, outlet: RealtimeOutlet, config: SessionConfig, *, errors_to: Sender | None = None
    ) -> None:
        """``errors_to``: who is told of errors, where not everybody is."""
        self._errors_to = errors_to
        self._ear = ear
        self._outlet = outlet
        self._config = config
        # A source of its own: the session's must mint the same ids again when the session is replayed.
        self._ids = IdSource()
        self._decoder = EarDecoder(config.input_format)

    async def receive(self, data: bytes | str) -> None:
        """Takes one text frame."""
        try:
            event = orjson.loads(data)
        except ValueError as error:
            self._outlet.error(f"The event is not valid JSON: {error}", "invalid_json", to=self._errors_to)
            return
        client_event_id: str | None = None
        try:
            if not isinstance(event, dict):
                raise ProtocolError("An event must be a JSON object", code="invalid_event")
            event_id = event.get("event_id")
            client_event_id = event_id if isinstance(event_id, str) else None
            kind = event.get("type")
            if kind == "input_audio_buffer.append":
                await self._append(event)
                return
            handler = _HANDLERS.get(kind) if isinstance(kind, str) else None
            if handler is None:
                raise ProtocolError(f"Unknown event type: {str(kind)[:80]!r}", code="invalid_value", param="type")
            handler(self, event, client_event_id)
        except ProtocolError as error:
            self._outlet.error(
                str(error), error.code, param=error.param, client_event_id=client_event_id, to=self._errors_to
            )

    def refuse_binary(self) -> None:
        """A frame that is not text."""
        reason = "Events are JSON in text frames; a binary frame was ignored"
        self._outlet.error(reason, "invalid_event", to=self._errors_to)

    # Audio, fifty times a second.

    async def _append(self, event: Json) -> None:
        data = fields.base64_bytes(event.get("audio"), "audio", MAX_AUDIO_BYTES)
        if len(data) <= _SLICE_BYTES:
            self._hear(data)
            return
        for start in range(0, len(data), _SLICE_BYTES):
            self._hear(data[start : start + _SLICE_BYTES])
            await asyncio.sleep(0)

    def _hear(self, data: bytes) -> None:
        if pcm := self._decoder.push(data):
            self._ear.hear(pcm)

    def _commit(self, event: Json, client_event_id: str | None) -> None:
        self._decoder.drop_odd()
        self._ear.post(CommitBuffer(client_event_id))

    def _clear(self, event: Json, client_event_id: str | None) -> None:
        self._decoder.drop_odd()
        self._ear.post(ClearBuffer(client_event_id))

    # Settings.

    def _update(self, event: Json, client_event_id: str | None) -> None:
        if "session" not in event:
            raise ProtocolError(
                "Missing required parameter: 'session'", code="missing_required_parameter", param="session"
            )
        self._configure(fields.mapping(event["session"], "session"))

    def _update_transcription(self, event: Json, client_event_id: str | None) -> None:
        self._configure({**fields.mapping(event.get("session") or {}, "session"), "type": "transcription"})

    def _configure(self, patch: Json) -> None:
        self._config.update(patch)
        if self._decoder.format is not self._config.input_format:
            self._decoder = EarDecoder(self._config.input_format)
        self._ear.post(Configure(self._config.settings()))
        self._outlet.session_updated()

    def move_voice(self, successor: Callable[[str], str | None]) -> None:
        """The server changes the voice, as if the client had asked for it."""
        voice = successor(self._config.voice)
        if voice is None or self._config.transcribes_only:
            return
        self._config.use_voice(voice)
        self._ear.post(Configure(self._config.settings()))
        self._outlet.session_updated()

    # Items.

    def _create_item(self, event: Json, client_event_id: str | None) -> None:
        item = parse_item(event.get("item"), self._ids, self._config.input_format)
        previous = fields.text_or(event, "previous_item_id", "")
        self._ear.post(CreateItem(item, ItemId(previous) if previous else None, client_event_id))

    def _delete_item(self, event: Json, client_event_id: str | None) -> None:
        self._ear.post(DeleteItem(ItemId(fields.text(event, "item_id")), client_event_id))

    def _retrieve_item(self, event: Json, client_event_id: str | None) -> None:
        self._ear.post(RetrieveItem(ItemId(fields.text(event, "item_id")), client_event_id))

    def _truncate_item(self, event: Json, client_event_id: str | None) -> None:
        if event.get("audio_end_ms") is None:
            raise ProtocolError(
                "Missing required parameter: 'audio_end_ms'", code="missing_required_parameter", param="audio_end_ms"
            )
        command = TruncateItem(
            ItemId(fields.text(event, "item_id")),
            content_index=max(0, fields.whole(event, "content_index", 0)),
            audio_end_ms=max(0, fields.whole(event, "audio_end_ms", 0)),
            client_event_id=client_event_id,
        )
        self._ear.post(command)

    # Replies.

    def _create_reply(self, event: Json, client_event_id: str | None) -> None:
        if self._config.transcribes_only:
            raise ProtocolError("A transcription session gives no responses", code="invalid_event", param="type")
        response = event.get("response")
        overrides = fields.mapping(response, "response") if response is not None else {}
        plan = self._config.plan(overrides)
        messages = self._messages(overrides["input"]) if overrides.get("input") is not None else None
        reply = self._ids.reply()
        self._outlet.expect(reply, plan)
        self._ear.post(CreateReply(reply, plan.settings, plan.side, messages, client_event_id))

    def _messages(self, given: Any) -> tuple[Message | ItemReference, ...]:
        """The context that a response brings along."""
        messages: list[Message | ItemReference] = []
        for index, source in enumerate(fields.listing(given, "response.input")):
            param = f"response.input[{index}]"
            if isinstance(source, dict) and source.get("type") == "item_reference":
                messages.append(ItemReference(ItemId(fields.text(source, "id", f"{param}.id"))))
                continue
            item = parse_item(source, self._ids, self._config.input_format, param)
            if item.pcm is not None and not item.text:
                raise ProtocolError(
                    "Audio in response.input needs a transcript; or put it into the conversation first",
                    code="invalid_value",
                    param=param,
                )
            if message := item.message():
                messages.append(message)
        return tuple(messages)

    def _cancel_reply(self, event: Json, client_event_id: str | None) -> None:
        reply = fields.text_or(event, "response_id", "")
        self._ear.post(CancelResponse(ReplyId(reply) if reply else None, client_event_id))

    def _clear_output(self, event: Json, client_event_id: str | None) -> None:
        # Audio that was sent in bursts is queued at the client, which has thrown it away itself when it says this.
        if self._config.paced:
            self._ear.post(StopPlayout(client_event_id))


# Not bound to an inlet, so that one that is done with goes at once and waits for no garbage collector.
_HANDLERS: dict[str, Callable[[RealtimeInlet, Json, str | None], None]] = {
    "session.update": RealtimeInlet._update,
    "transcription_session.update": RealtimeInlet._update_transcription,
    "input_audio_buffer.commit": RealtimeInlet._commit,
    "input_audio_buffer.clear": RealtimeInlet._clear,
    "conversation.item.create": RealtimeInlet._create_item,
    "conversation.item.delete": RealtimeInlet._delete_item,
    "conversation.item.retrieve": RealtimeInlet._retrieve_item,
    "conversation.item.truncate": RealtimeInlet._truncate_item,
    "response.create": RealtimeInlet._create_reply,
    "response.cancel": RealtimeInlet._cancel_reply,
    "output_audio_buffer.clear": RealtimeInlet._clear_output,
}
