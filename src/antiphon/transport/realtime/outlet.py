"""What a session tells its client, as events of the Realtime protocol."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from antiphon.core.actions import State
from antiphon.core.conversation import Item
from antiphon.core.segments import Segment
from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.transport.base import AnsweredTurn, BargeIn, ToolStatus
from antiphon.transport.realtime.asides import Asides
from antiphon.transport.realtime.config import ReplyPlan, SessionConfig
from antiphon.transport.realtime.item_order import ItemOrder
from antiphon.transport.realtime.items import item_wire
from antiphon.transport.realtime.replies import OpenReply
from antiphon.transport.realtime.sender import Sender

Mouth = Callable[[bytes], None]
"""Takes the audio of the replies where it does not go as events: mono s16 at 48 kHz."""

VENDOR_EVENT = b'{"type":"antiphon.'
"""So begin the events of our own."""

_MAX_PLANS = 64
"""Replies asked for and not yet begun. One that is refused never begins; its plan is forgotten when it is this old."""


class RealtimeOutlet:
    """Implements ``transport.base.Outlet``.

    ``vendor``: the client asked for ``antiphon.*`` events too. The configuration is shared with the inlet, which
    updates it; a reply keeps the plan with which it began.
    """

    def __init__(
        self,
        config: SessionConfig,
        sender: Sender,
        *,
        conversation_id: str,
        vendor: bool = False,
        mouth: Mouth | None = None,
    ) -> None:
        self._config = config
        self._sender = sender
        self._conversation_id = conversation_id
        self.vendor = vendor
        self._mouth = mouth
        self.current_state = State.IDLE
        self.record: Mapping[str, Any] | None = None
        """Where the client finds the record of the session, if it wants one."""
        self.kept: Mapping[str, Any] | None = None
        """By what the conversation can be gone on with, where it is kept."""
        self.asides = Asides()
        """Other clients that take part, and what they asked."""
        self._event_prefix = f"event_{secrets.token_hex(8)}"
        self._events = 0
        self._order = ItemOrder()
        self._plans: dict[ReplyId, ReplyPlan] = {}
        self._replies: dict[ReplyId, OpenReply] = {}

    def _emit(self, event: str, *, media: bool = False, to: Sender | None = None, **values: Any) -> None:
        self._events += 1
        data = orjson.dumps({"type": event, "event_id": f"{self._event_prefix}{self._events:06x}", **values})
        (to or self._sender).send(data, media=media)

    # What the inlet tells.

    def session_created(self) -> None:
        self._config.begun = True
        self._emit("session.created", session=self._config.wire())
        if self.record is not None:
            self._tell("record", **self.record)
        if self.kept is not None:
            self._tell("conversation", **self.kept)

    def resumable(self, token: str, waits_s: float, *, to: Sender) -> None:
        """To a client that asked for it: how it comes back when its connection was lost."""
        self._emit("antiphon.resumable", to=to, session_id=self._config.id, token=token, waits_s=waits_s)

    def resumed(self, missed: int, *, to: Sender) -> None:
        """To such a client when it is back: so many events follow that it has missed."""
        self._emit("antiphon.resumed", to=to, session=self._config.wire(), missed=missed)

    def session_updated(self) -> None:
        self._emit("session.updated", session=self._config.wire())

    def expect(self, reply: ReplyId, plan: ReplyPlan) -> None:
        """The reply of this id, if it comes to be, is the one that the client asked for so."""
        self._plans[reply] = plan
        if len(self._plans) > _MAX_PLANS:
            del self._plans[next(iter(self._plans))]

    def error(
        self,
        message: str,
        code: str | None = None,
        *,
        param: str | None = None,
        client_event_id: str | None = None,
        kind: str = "invalid_request_error",
        to: Sender | None = None,
    ) -> None:
        """``to``: one that alone is told."""
        error = {"type": kind, "code": code, "message": message, "param": param, "event_id": client_event_id}
        self._emit("error", to=to, error=error)

    # The user's side.

    def speech_started(self, turn: TurnId, at_ms: int) -> None:
        if self._config.interrupts:
            self._drop_media()
        self._emit("input_audio_buffer.speech_started", item_id=turn, audio_start_ms=at_ms)

    def speech_stopped(self, turn: TurnId, at_ms: int) -> None:
        self._emit("input_audio_buffer.speech_stopped", item_id=turn, audio_end_ms=at_ms)

    def idle_timeout(self, turn: TurnId, start_ms: int, end_ms: int) -> None:
        self._emit("input_audio_buffer.timeout_triggered", item_id=turn, audio_start_ms=start_ms, audio_end_ms=end_ms)

    def committed(self, turn: TurnId, previous: ItemId | None) -> None:
        self._emit("input_audio_buffer.committed", item_id=turn, previous_item_id=previous)

    def cleared(self) -> None:
        self._emit("input_audio_buffer.cleared")

    def transcript_delta(self, turn: TurnId, delta: str) -> None:
        self._emit("conversation.item.input_audio_transcription.delta", item_id=turn, content_index=0, delta=delta)

    def transcript_segment(self, turn: TurnId, number: int, segment: Segment) -> None:
        self._emit(
            "conversation.item.input_audio_transcription.segment",
            item_id=turn,
            content_index=0,
            id=f"{turn}_{number}",
            speaker=segment.speaker,
            text=segment.text,
            start=segment.start_ms / 1000,
            end=segment.end_ms / 1000,
        )

    def transcript_completed(self, turn: TurnId, text: str, audio_s: float) -> None:
        self._emit(
            "conversation.item.input_audio_transcription.completed",
            item_id=turn,
            content_index=0,
            transcript=text,
            usage={"type": "duration", "seconds": round(float(audio_s), 3)},
        )

    def transcript_failed(self, turn: TurnId, message: str) -> None:
        self._emit(
            "conversation.item.input_audio_transcription.failed",
            item_id=turn,
            content_index=0,
            error={"type": "server_error", "message": message},
        )

    # Items of the conversation.

    def item_added(self, item: Item, previous: ItemId | None) -> None:
        self._order.insert(item.id, previous)
        self._emit("conversation.item.added", previous_item_id=previous, item=item_wire(item))

    def item_done(self, item: Item, previous: ItemId | None) -> None:
        self._emit("conversation.item.done", previous_item_id=previous, item=item_wire(item))

    def item_deleted(self, item: ItemId) -> None:
        self._order.remove(item)
        self._emit("conversation.item.deleted", item_id=item)

    def item_retrieved(self, item: Item) -> None:
        self._emit("conversation.item.retrieved", item=item_wire(item, audio=self._config.input_format))

    def item_truncated(self, item: ItemId, content_index: int, audio_end_ms: int) -> None:
        self._emit(
            "conversation.item.truncated", item_id=item, content_index=content_index, audio_end_ms=int(audio_end_ms)
        )

    # Replies.

    def reply_created(self, reply: ReplyId) -> None:
        plan = self._plans.pop(reply, None) or self._config.plan({})
        opened = OpenReply(reply, plan, self._conversation_id, self._emit, self._order.append, self._mouth)
        self._replies[reply] = opened
        opened.created()

    def reply_text(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        if opened := self._replies.get(reply):
            opened.text(item, delta)

    def reply_transcript(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        if opened := self._replies.get(reply):
            opened.transcript(item, delta)

    def reply_audio(self, reply: ReplyId, item: ItemId, pcm: bytes) -> None:
        if opened := self._replies.get(reply):
            opened.audio(item, pcm)

    def reply_call(self, reply: ReplyId, item: ItemId, call_id: str, name: str, delta: str) -> None:
        if opened := self._replies.get(reply):
            opened.call(item, call_id, name, delta)

    def reply_done(
        self,
        reply: ReplyId,
        status: str,
        reason: str | None,
        *,
        error: str | None = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
    ) -> None:
        if opened := self._replies.pop(reply, None):
            if status == "cancelled" and not opened.side:
                self._drop_media()
            opened.done(status, reason, error, input_tokens, output_tokens)

    # Where the audio goes beside the events, the client cannot tell when it plays.

    def playout_started(self, reply: ReplyId) -> None:
        if self._mouth is not None:
            self._emit("output_audio_buffer.started", response_id=reply)

    def playout_stopped(self, reply: ReplyId) -> None:
        if self._mouth is not None:
            self._emit("output_audio_buffer.stopped", response_id=reply)

    def playout_cut(self, reply: ReplyId, item: ItemId, heard_ms: int) -> None:
        if self._mouth is not None:
            self._emit("output_audio_buffer.cleared", response_id=reply)
            self.item_truncated(item, 0, heard_ms)

    def _drop_media(self) -> None:
        # Over a slow line much of a reply that was sent in a burst still waits, and would go before the news of the
        # interruption. What the server sends on its own clock has been counted as heard, and may go on.
        if not self._config.paced:
            self._sender.drop_media()

    # The rest.

    def refused(self, message: str, code: str | None, client_event_id: str | None) -> None:
        asker = self.asides.asker(client_event_id)
        self.error(message, code, client_event_id=asker.event_id, to=asker.sender)

    # For clients that asked for more: docs/EVENTS.md.

    def _tell(self, event: str, **values: Any) -> None:
        if self.vendor:
            self._emit(f"antiphon.{event}", **values)

    def state(self, state: State) -> None:
        self.current_state = state
        self._tell("state", state=state.value)

    def speaker(self, turn: TurnId, name: str) -> None:
        self._tell("speaker", item_id=turn, speaker=name)

    def brain(self, reply: ReplyId, model: str) -> None:
        if reply in self._replies:
            self._tell("brain", response_id=reply, model=model)

    def voice(self, reply: ReplyId, item: ItemId, name: str) -> None:
        if reply in self._replies:
            self._tell("voice", response_id=reply, item_id=item, voice=name)

    def clause(self, reply: ReplyId, item: ItemId, text: str) -> None:
        if reply in self._replies:
            self._tell("clause", response_id=reply, item_id=item, text=text)

    def answered(self, turn: AnsweredTurn) -> None:
        self._tell(
            "turn",
            item_id=turn.turn,
            response_id=turn.reply,
            ahead=turn.ahead,
            marks=turn.marks,
            figures=turn.figures,
            served_by=turn.served_by,
            work_ahead={**turn.work_ahead, "session": turn.session_work_ahead},
        )

    def barge_in(self, barge_in: BargeIn) -> None:
        self._tell(
            "barge_in",
            response_id=barge_in.reply,
            outcome=barge_in.outcome,
            words=barge_in.words,
            marks=barge_in.marks,
        )

    def agent(self, name: str, voice: str | None) -> None:
        changed = self._config.use_agent(name)
        if voice is not None and voice != self._config.voice:
            self._config.use_voice(voice)
            changed = True
        if changed:
            self.session_updated()
        self._tell("agent", agent=name, voice=self._config.voice)

    def tool(self, call_id: str, name: str, status: ToolStatus, text: str) -> None:
        self._tell("tool", call_id=call_id, name=name, status=status, **({"text": text} if text else {}))

    def thought(self, text: str) -> None:
        self._tell("thought", text=text)

    def fleet(self, standing: Mapping[str, Any]) -> None:
        self._tell("fleet", **standing)
