"""When the stages of a turn and of a barge-in were reached; reports to the meter and to the client that asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, CancelReason
from antiphon.core.events import Event
from antiphon.core.work_ahead import Account, Balance, won_s
from antiphon.ids import ReplyId, TurnId
from antiphon.session.marks import Answered, Marks
from antiphon.session.meter import Meter
from antiphon.transport.base import AnsweredTurn, BargeIn, Outlet


@dataclass(slots=True)
class _BargeIn:
    reply: ReplyId
    onset_at: float
    edge_at: float
    paused_at: float


class Stopwatch:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        meter: Meter,
        outlet: Outlet,
        trailing_silence_ms: Callable[[int], int],
    ) -> None:
        """``trailing_silence_ms`` says how much earlier than the VAD heard it, in media time, speech has ended."""
        self._loop = loop
        self._trailing_silence_ms = trailing_silence_ms
        self.meter = meter
        self._outlet = outlet
        self._pause: tuple[int, float] | None = None
        """Where the user's speech ended last: in media time (ms), and on the clock."""
        self._onset_at = 0.0
        self._edge_at = 0.0
        self._open: TurnId | None = None
        self._words = ""
        """What was heard of the turn that was opened last."""
        self._final: tuple[TurnId, float] | None = None
        self._turn: Answered | None = None
        self._barge_in: _BargeIn | None = None
        self._audible: ReplyId | None = None
        """The latest reply of which a sample has left."""
        self._account = Account()

    def note(self, event: Event, now: float) -> None:
        match event:
            case on.SpeechStarted(at_ms, position_ms):
                self._edge_at = now
                self._onset_at = now - (position_ms - at_ms) / 1000
            case on.SpeechPaused(at_ms, position_ms):
                self._pause = (at_ms, now - (position_ms - at_ms) / 1000)
            case on.PartialHeard(turn, text) if turn == self._open:
                self._words = text
            case on.FinalHeard(turn, _, text):
                if turn == self._open:
                    self._words = text or ""
                self._final = (turn, now)
                if self._turn is not None and self._turn.id == turn:
                    self._turn.final_at = now
            case on.ReplyAudible(reply):
                self._audible = reply
            case on.ReplyMade(reply, _, audible=False):
                self._end_barge_in(reply, now)
            case on.PlayoutDrained(reply):
                self._end_barge_in(reply, now)
            case _:
                pass

    def note_action(self, action: Action) -> None:
        now = self._loop.time()
        match action:
            case do.OpenTurn(turn):
                self._open, self._words = turn, ""
            case do.CommitTurn(turn, end_ms):
                # Where the client ended the turn, nobody knows of an end of speech but the commit.
                paused_ms, speech_end_at = self._pause or (-1, now)
                if paused_ms == end_ms:
                    speech_end_at = min(speech_end_at - self._trailing_silence_ms(end_ms) / 1000, now)
                else:
                    speech_end_at = now
                final_at = self._final[1] if self._final is not None and self._final[0] == turn else 0.0
                self._turn = Answered(turn, speech_end_at, now, final_at)
            case do.PausePlayout(reply):
                self._barge_in = _BargeIn(reply, self._onset_at, self._edge_at, now)
            case do.ResumePlayout():
                self._barge_in_over(now, "resumed")
            case do.CancelReply(reply, CancelReason.TURN_DETECTED):
                self._barge_in = self._barge_in or _BargeIn(reply, self._onset_at, self._edge_at, now)
                self._barge_in_over(now, "cut")
            case do.CancelReply(reply):
                self._end_barge_in(reply, now)
            case _:
                pass

    def _end_barge_in(self, reply: ReplyId, now: float) -> None:
        """The reply is over: if a sound had paused it, that needs no decision any more."""
        if self._barge_in is not None and self._barge_in.reply == reply:
            self._barge_in_over(now, "ended")

    def _barge_in_over(self, now: float, outcome: Literal["cut", "resumed", "ended"]) -> None:
        barge_in, self._barge_in = self._barge_in, None
        if barge_in is None:
            return
        times = {"edge": barge_in.edge_at, "paused": barge_in.paused_at, "decided": now}
        marks = {"onset": 0.0} | {name: _ms(at - barge_in.onset_at) for name, at in times.items()}
        if outcome != "ended":
            figures = {
                "onset_to_edge_ms": marks["edge"],
                "edge_to_pause_ms": _ms(barge_in.paused_at - barge_in.edge_at),
                "decision_ms": _ms(now - barge_in.paused_at),
                "resumed": 1.0 if outcome == "resumed" else 0.0,
                "audible": 1.0 if barge_in.reply == self._audible else 0.0,
            }
            self.meter.barge_in(figures)
        self._outlet.barge_in(BargeIn(barge_in.reply, marks, outcome, self._words))

    def take_turn(self) -> Answered | None:
        """The turn that a reply which starts now answers, once."""
        turn, self._turn = self._turn, None
        return turn

    def thrown_away(self, marks: Marks) -> None:
        """A reply that was prepared is not wanted."""
        self._book(Balance(thrown_away=1, wasted=marks.work(self._loop.time())))

    def _book(self, entry: Balance) -> None:
        self._account.book(entry)
        self.meter.work_ahead(entry.figures())

    def answered(
        self,
        turn: Answered,
        reply: ReplyId,
        marks: Marks,
        *,
        asked: bool,
        ahead: bool,
        served_by: Mapping[str, str | None],
    ) -> None:
        """The first sound of the answer has left. ``asked``: the client asked for it, when it liked."""
        figures = _figures(turn, marks)
        if not asked:
            self.meter.turn(figures)
        if ahead:
            self._book(Balance(won_s=won_s(marks.stages())))
        balance, total = self._account.settle().figures(), self._account.total.figures()
        told = _marks(turn, marks)
        self._outlet.answered(AnsweredTurn(turn.id, reply, told, figures, ahead, served_by, balance, total))


def _marks(turn: Answered, marks: Marks) -> dict[str, float]:
    """Those that were reached, in ms from the end of the user's speech, in the order of time."""
    times = {
        "turn_ended": turn.ended_at,
        "recognizer_final": turn.final_at,
        "brain_started": marks.brain_started_at,
        "brain_first_token": marks.brain_at,
        "first_clause": marks.clause_at,
        "voice_started": marks.voice_started_at,
        "voice_first_audio": marks.voice_at,
        "first_sample": marks.sample_at,
        "first_sound": marks.sound_at,
    }
    reached = sorted((name for name, at in times.items() if at), key=times.__getitem__)
    return {"speech_end": 0.0} | {name: _ms(times[name] - turn.speech_end_at) for name in reached}


def _figures(turn: Answered, marks: Marks) -> dict[str, float]:
    final_at = max(turn.ended_at, min(turn.final_at, marks.brain_started_at))  # a brain that hears waits for no final
    brain_at = max(final_at, marks.brain_at)
    voice_at = max(brain_at, marks.voice_at)
    return {
        "end_of_turn_ms": _ms(turn.ended_at - turn.speech_end_at),
        "recognizer_ms": _ms(final_at - turn.ended_at),
        "brain_ms": _ms(brain_at - final_at),
        "voice_ms": _ms(voice_at - brain_at),
        "server_ms": _ms(marks.sound_at - voice_at),
        "response_ms": _ms(marks.sound_at - turn.speech_end_at),
    }


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
