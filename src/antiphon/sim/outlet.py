"""An outlet that remembers: every call with its time, what each reply came to, and whether the calls keep the rules."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from antiphon.core.actions import State
from antiphon.core.conversation import Item
from antiphon.core.segments import Segment
from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.sim.heard_reply import HeardReply
from antiphon.transport.base import AnsweredTurn, BargeIn, ToolStatus


class OutletRuleError(AssertionError):
    """A session told its client something that makes no sense there."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the outlet. ``at`` is the loop's time."""

    at: float
    name: str
    args: tuple[Any, ...]


def _need(holds: bool, rule: str) -> None:
    if not holds:
        raise OutletRuleError(rule)


class RecordingOutlet:
    """Implements ``transport.base.Outlet``. A call that breaks a rule raises OutletRuleError in the session's loop.

    Wait with ``until``. ``replies`` and ``transcripts`` are in the order in which they began.
    """

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.replies: dict[ReplyId, HeardReply] = {}
        self.transcripts: dict[TurnId, str | None] = {}
        """The final of each turn; None where it failed."""
        self.segments: dict[TurnId, list[Segment]] = {}
        """What each speaker said of a turn."""
        self.speakers: dict[TurnId, str] = {}
        """Who was told to speak last in each turn."""
        self.items: dict[ItemId, Item] = {}
        self.current_state = State.IDLE
        self.speaking: TurnId | None = None
        self.playing: ReplyId | None = None
        """The reply that is played, where the server paces it."""
        self._waiters: list[tuple[Callable[[], object], asyncio.Future[None]]] = []
        self._committed: set[TurnId] = set()

    # For those who watch.

    async def until(self, holds: Callable[[], object]) -> None:
        """Returns as soon as ``holds()`` is true, which is asked after each call of the outlet."""
        if holds():
            return
        met = asyncio.get_running_loop().create_future()
        entry = (holds, met)
        self._waiters.append(entry)
        try:
            await met
        finally:
            self._waiters.remove(entry)

    def named(self, *names: str) -> list[Call]:
        return [call for call in self.calls if call.name in names]

    @property
    def live(self) -> list[HeardReply]:
        """The replies that were begun and are not over."""
        return [reply for reply in self.replies.values() if reply.status is None]

    @property
    def latest(self) -> HeardReply:
        return next(reversed(self.replies.values()))

    def __iter__(self) -> Iterator[HeardReply]:
        return iter(self.replies.values())

    def _note(self, name: str, *args: Any) -> float:
        now = asyncio.get_running_loop().time()
        self.calls.append(Call(now, name, args))
        for holds, met in self._waiters:
            if not met.done() and holds():
                met.set_result(None)
        return now

    # The user's side.

    def speech_started(self, turn: TurnId, at_ms: int) -> None:
        _need(self.speaking is None, "speech starts after it stopped")
        self.speaking = turn
        self._note("speech_started", turn, at_ms)

    def speech_stopped(self, turn: TurnId, at_ms: int) -> None:
        _need(self.speaking == turn, "the speech that stops is the one that started")
        self.speaking = None
        self._note("speech_stopped", turn, at_ms)

    def idle_timeout(self, turn: TurnId, start_ms: int, end_ms: int) -> None:
        _need(0 <= start_ms <= end_ms, "a timeout has a span")
        self._note("idle_timeout", turn, start_ms, end_ms)

    def committed(self, turn: TurnId, previous: ItemId | None) -> None:
        _need(self.speaking != turn, "a turn is committed after its speech stopped")
        _need(turn not in self._committed, "a turn is committed once")
        self._committed.add(turn)
        self._note("committed", turn, previous)

    def cleared(self) -> None:
        self._note("cleared")

    def transcript_delta(self, turn: TurnId, delta: str) -> None:
        _need(turn not in self.transcripts, "no caption follows the transcript")
        self._note("transcript_delta", turn, delta)

    def transcript_segment(self, turn: TurnId, number: int, segment: Segment) -> None:
        _need(turn not in self.transcripts, "no segment follows the transcript")
        _need(number >= len(self.segments.get(turn, ())), "segments come in order")
        self.segments.setdefault(turn, []).append(segment)
        self._note("transcript_segment", turn, segment.speaker, segment.text)

    def transcript_completed(self, turn: TurnId, text: str, audio_s: float) -> None:
        self._transcript(turn, text)
        self._note("transcript_completed", turn, text, audio_s)

    def transcript_failed(self, turn: TurnId, message: str) -> None:
        self._transcript(turn, None)
        self._note("transcript_failed", turn, message)

    def _transcript(self, turn: TurnId, text: str | None) -> None:
        _need(turn not in self.transcripts, "a turn has one transcript")
        _need(turn in self._committed, "a transcript is of a committed turn")
        self.transcripts[turn] = text

    # Items.

    def item_added(self, item: Item, previous: ItemId | None) -> None:
        _need(item.id not in self.items, "an item is added once")
        _need(previous is None or previous != item.id, "an item does not follow itself")
        self.items[item.id] = item
        self._note("item_added", item.id, previous)

    def item_done(self, item: Item, previous: ItemId | None) -> None:
        _need(item.id in self.items, "an item is done after it was added")
        self._note("item_done", item.id, previous)

    def item_deleted(self, item: ItemId) -> None:
        self._note("item_deleted", item)

    def item_retrieved(self, item: Item) -> None:
        self._note("item_retrieved", item)

    def item_truncated(self, item: ItemId, content_index: int, audio_end_ms: int) -> None:
        self._note("item_truncated", item, content_index, audio_end_ms)

    # Replies.

    def reply_created(self, reply: ReplyId) -> None:
        _need(reply not in self.replies, "a reply is created once")
        self.replies[reply] = HeardReply(reply, asyncio.get_running_loop().time())
        self._note("reply_created", reply)

    def _open(self, reply: ReplyId, item: ItemId | None = None) -> HeardReply:
        heard = self.replies.get(reply)
        _need(heard is not None, "nothing of a reply comes before it is created")
        assert heard is not None
        _need(heard.status is None, "nothing of a reply comes after it is done")
        if item is not None and item not in heard.items:
            heard.items.append(item)
        return heard

    def reply_text(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        self._open(reply, item).text += delta
        self._note("reply_text", reply, item, delta)

    def reply_transcript(self, reply: ReplyId, item: ItemId, delta: str) -> None:
        self._open(reply, item).transcript += delta
        self._note("reply_transcript", reply, item, delta)

    def reply_audio(self, reply: ReplyId, item: ItemId, pcm: bytes) -> None:
        _need(len(pcm) % 2 == 0 and bool(pcm), "audio comes in whole samples")
        heard = self._open(reply, item)
        heard.audio += pcm
        heard.last_audio_at = self._note("reply_audio", reply, item, len(pcm))
        heard.first_audio_at = heard.last_audio_at if heard.first_audio_at is None else heard.first_audio_at

    def reply_call(self, reply: ReplyId, item: ItemId, call_id: str, name: str, delta: str) -> None:
        heard = self._open(reply, item)
        _, arguments = heard.calls.get(call_id, (name, ""))
        heard.calls[call_id] = (name, arguments + delta)
        self._note("reply_call", reply, item, call_id, name, delta)

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
        heard = self.replies.get(reply)
        _need(heard is not None and heard.status is None, "a reply ends once, after it was created")
        assert heard is not None
        _need(status in ("completed", "cancelled", "incomplete", "failed"), "a reply has one of four ends")
        _need("".join(heard.clauses).startswith(heard.transcript), "what was told of a reply is of its clauses")
        heard.status, heard.reason, heard.error = status, reason, error
        heard.done_at = asyncio.get_running_loop().time()
        self._note("reply_done", reply, status, reason)

    # What the client hears of a paced reply.

    def playout_started(self, reply: ReplyId) -> None:
        _need(self.playing is None, "one reply plays at a time")
        _need(bool(self.replies[reply].transcript), "a reply sounds after its first words were told")
        self.playing = reply
        self._note("playout_started", reply)

    def playout_stopped(self, reply: ReplyId) -> None:
        self._played(reply)
        self._note("playout_stopped", reply)

    def playout_cut(self, reply: ReplyId, item: ItemId, heard_ms: int) -> None:
        self._played(reply)
        _need(item in self.replies[reply].items, "an item is cut that was heard")
        self._note("playout_cut", reply, item, heard_ms)

    def _played(self, reply: ReplyId) -> None:
        _need(self.playing == reply, "the reply that stops is the one that plays")
        _need(self.replies[reply].status is not None, "a reply's end is told before that of its sound")
        self.playing = None

    # The rest.

    def refused(self, message: str, code: str | None, client_event_id: str | None) -> None:
        self._note("refused", message, code, client_event_id)

    def state(self, state: State) -> None:
        _need(state is not self.current_state, "a state is told when it changes")
        self.current_state = state
        self._note("state", state)

    def speaker(self, turn: TurnId, name: str) -> None:
        _need(self.speakers.get(turn) != name, "a speaker is told when another one speaks")
        self.speakers[turn] = name
        self._note("speaker", turn, name)

    def brain(self, reply: ReplyId, model: str) -> None:
        _need(self._open(reply).brain is None, "the language model of a reply is told once")
        self._open(reply).brain = model
        self._note("brain", reply, model)

    def voice(self, reply: ReplyId, item: ItemId, name: str) -> None:
        self._open(reply).voices.append(name)
        self._note("voice", reply, item, name)

    def clause(self, reply: ReplyId, item: ItemId, text: str) -> None:
        heard = self._open(reply)
        _need(bool(heard.voices), "the voice is told before what it says")
        _need(not heard.items or item in heard.items, "a clause is of the reply's item")
        heard.clauses.append(text)
        self._note("clause", reply, item, text)

    def answered(self, turn: AnsweredTurn) -> None:
        self._open(turn.reply)
        _need(turn.turn in self._committed, "a turn is answered after it was committed")
        self._note("answered", turn)

    def barge_in(self, barge_in: BargeIn) -> None:
        _need(barge_in.reply in self.replies, "a barge-in is over a reply")
        times = [barge_in.marks[name] for name in ("onset", "edge", "paused", "decided")]
        _need(times == sorted(times), "a barge-in's marks are in order")
        self._note("barge_in", barge_in)

    def agent(self, name: str, voice: str | None) -> None:
        self._note("agent", name, voice)

    def tool(self, call_id: str, name: str, status: ToolStatus, text: str) -> None:
        self._note("tool", call_id, name, status, text)

    def thought(self, text: str) -> None:
        self._note("thought", text)

    def fleet(self, standing: Mapping[str, Any]) -> None:
        self._note("fleet", standing)
