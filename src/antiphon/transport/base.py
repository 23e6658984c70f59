"""What a session tells its client, whatever the wire. A transport implements ``Outlet``; a session calls it.

Calls are made in the event loop, in the order in which things happened, and never block: an outlet queues what it
sends, drops the connection of a reader that is too slow, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from antiphon.core.actions import State
from antiphon.core.conversation import Item
from antiphon.core.segments import Segment
from antiphon.ids import ItemId, ReplyId, TurnId


@dataclass(frozen=True, slots=True)
class AnsweredTurn:
    """Where the time of an answer went. ``docs/EVENTS.md`` says what each mark means.

    ``marks`` are ms from the true end of the user's speech, ``figures`` those of ``session.meter``; ``ahead``: work on
    it began before the turn was over. ``served_by`` names the worker of each stage, None where it is not known.
    ``work_ahead`` is what working ahead has won and wasted since the turn that was answered before, and
    ``session_work_ahead`` in the whole conversation: ``core.work_ahead.Balance.figures``.
    """

    turn: TurnId
    reply: ReplyId
    marks: Mapping[str, float]
    figures: Mapping[str, float]
    ahead: bool
    served_by: Mapping[str, str | None]
    work_ahead: Mapping[str, float]
    session_work_ahead: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class BargeIn:
    """What became of a sound over a reply. ``marks`` are ms from its onset; ``words`` what was heard by then."""

    reply: ReplyId
    marks: Mapping[str, float]
    outcome: Literal["cut", "resumed", "ended"]
    words: str


ToolStatus = Literal["running", "progress", "completed", "failed", "cancelled"]


class Outlet(Protocol):
    # The user's side.

    def speech_started(self, turn: TurnId, at_ms: int) -> None: ...

    def speech_stopped(self, turn: TurnId, at_ms: int) -> None: ...

    def idle_timeout(self, turn: TurnId, start_ms: int, end_ms: int) -> None: ...

    def committed(self, turn: TurnId, previous: ItemId | None) -> None: ...

    def cleared(self) -> None: ...

    def transcript_delta(self, turn: TurnId, delta: str) -> None: ...

    def transcript_segment(self, turn: TurnId, number: int, segment: Segment) -> None:
        """What one speaker said of the turn, counted from 0; all of them come before the transcript."""
        ...

    def transcript_completed(self, turn: TurnId, text: str, audio_s: float) -> None: ...

    def transcript_failed(self, turn: TurnId, message: str) -> None: ...

    # Items of the conversation.

    def item_added(self, item: Item, previous: ItemId | None) -> None: ...

    def item_done(self, item: Item, previous: ItemId | None) -> None: ...

    def item_deleted(self, item: ItemId) -> None: ...

    def item_retrieved(self, item: Item) -> None: ...

    def item_truncated(self, item: ItemId, content_index: int, audio_end_ms: int) -> None: ...

    # Replies. The outlet opens and closes output items and content parts by itself, as the pieces come.

    def reply_created(self, reply: ReplyId) -> None: ...

    def reply_text(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        """Text of a reply that is not spoken."""
        ...

    def reply_transcript(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        """Text that goes with the audio of a spoken reply."""
        ...

    def reply_audio(self, reply: ReplyId, item: ItemId, pcm: bytes) -> None:
        """Mono s16 at 48 kHz, of any even length."""
        ...

    def reply_call(self, reply: ReplyId, item: ItemId, call_id: str, name: str, delta: str) -> None:
        """A piece of a function call's arguments. A change of ``item`` ends the one before."""
        ...

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
        """Closes what is open and ends the reply, once. ``status``: completed, cancelled, incomplete or failed."""
        ...

    # What the client hears of a paced reply.

    def playout_started(self, reply: ReplyId) -> None:
        """Its first frame has left."""
        ...

    def playout_stopped(self, reply: ReplyId) -> None:
        """Its last frame has left, and its end was told."""
        ...

    def playout_cut(self, reply: ReplyId, item: ItemId, heard_ms: int) -> None:
        """The rest will not be played: so much of the item was heard. The reply's end was told."""
        ...

    # The rest.

    def refused(self, message: str, code: str | None, client_event_id: str | None) -> None: ...

    # For clients that asked for more than the standard protocol.

    def state(self, state: State) -> None: ...

    def speaker(self, turn: TurnId, name: str) -> None:
        """Who speaks in a turn that is not over yet, when that becomes known or is another."""
        ...

    def brain(self, reply: ReplyId, model: str) -> None:
        """This language model answers, in a reply that was created."""
        ...

    def voice(self, reply: ReplyId, item: ItemId, name: str) -> None:
        """This voice speaks from here on. The item itself comes with its first audio."""
        ...

    def clause(self, reply: ReplyId, item: ItemId, text: str) -> None:
        """The next text of a reply that is committed, as it is handed to the voice."""
        ...

    def answered(self, turn: AnsweredTurn) -> None:
        """The first sound of an answer has left."""
        ...

    def barge_in(self, barge_in: BargeIn) -> None: ...

    def agent(self, name: str, voice: str | None) -> None:
        """Another agent of the server has the conversation, and speaks in ``voice``; None: in the one there is."""
        ...

    def tool(self, call_id: str, name: str, status: ToolStatus, text: str) -> None:
        """What becomes of a call that the server answers itself. ``text``: how far it is, or why it failed."""

    def thought(self, text: str) -> None:
        """The next piece of what a listening brain writes and does not say. Only told where the settings say so."""
        ...

    def fleet(self, standing: Mapping[str, Any]) -> None:
        """How the workers stand, in plain types, when that has changed."""
        ...
