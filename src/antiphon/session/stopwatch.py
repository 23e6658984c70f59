"""When the stages of a turn and of a barge-in were reached; reports to the meter and to the client that asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, CancelReason
from antiphon.core.events import Event
from antiphon.ids import TurnId
from antiphon.session.marks import Answered, Marks
from antiphon.session.meter import Meter
from antiphon.transport.base import Outlet


@dataclass(slots=True)
class _BargeIn:
    onset_at: float
    edge_at: float
    paused_at: float


class Stopwatch:
    def __init__(self, loop: asyncio.AbstractEventLoop, meter: Meter, outlet: Outlet) -> None:
        self._loop = loop
        self.meter = meter
        self._outlet = outlet
        self._speech_end_at = 0.0
        self._onset_at = 0.0
        self._edge_at = 0.0
        self._final: tuple[TurnId, float] | None = None
        self._turn: Answered | None = None
        self._barge_in: _BargeIn | None = None

    def note(self, event: Event, now: float) -> None:
        match event:
            case on.SpeechStarted(at_ms, position_ms):
                self._edge_at = now
                self._onset_at = now - (position_ms - at_ms) / 1000
            case on.SpeechPaused(at_ms, position_ms):
                self._speech_end_at = now - (position_ms - at_ms) / 1000
            case on.FinalHeard(turn):
                self._final = (turn, now)
                if self._turn is not None and self._turn.id == turn:
                    self._turn.final_at = now
            case _:
                pass

    def note_action(self, action: Action) -> None:
        now = self._loop.time()
        match action:
            case do.CommitTurn(turn):
                final_at = self._final[1] if self._final is not None and self._final[0] == turn else 0.0
                self._turn = Answered(turn, min(self._speech_end_at or now, now), now, final_at)
            case do.PausePlayout():
                self._barge_in = _BargeIn(self._onset_at, self._edge_at, now)
            case do.ResumePlayout():
                self._barge_in_over(now, resumed=1.0)
            case do.CancelReply(_, CancelReason.TURN_DETECTED):
                self._barge_in = self._barge_in or _BargeIn(self._onset_at, self._edge_at, now)
                self._barge_in_over(now, resumed=0.0)
            case _:
                pass

    def _barge_in_over(self, now: float, resumed: float) -> None:
        barge_in, self._barge_in = self._barge_in, None
        if barge_in is None:
            return
        figures = {
            "onset_to_edge_ms": _ms(barge_in.edge_at - barge_in.onset_at),
            "edge_to_pause_ms": _ms(barge_in.paused_at - barge_in.edge_at),
            "decision_ms": _ms(now - barge_in.paused_at),
            "resumed": resumed,
        }
        self.meter.barge_in(figures)
        self._outlet.timing(None, figures)

    def take_turn(self) -> Answered | None:
        """The turn that a reply which starts now answers; None where the client asked for it in writing."""
        turn, self._turn = self._turn, None
        return turn

    def answered(self, turn: Answered, marks: Marks) -> None:
        """The first sample of the answer has left."""
        final_at = max(turn.ended_at, turn.final_at)
        brain_at = max(final_at, marks.brain_at)
        voice_at = max(brain_at, marks.voice_at)
        figures = {
            "end_of_turn_ms": _ms(turn.ended_at - turn.speech_end_at),
            "recognizer_ms": _ms(final_at - turn.ended_at),
            "brain_ms": _ms(brain_at - final_at),
            "voice_ms": _ms(voice_at - brain_at),
            "server_ms": _ms(marks.audible_at - voice_at),
            "response_ms": _ms(marks.audible_at - turn.speech_end_at),
        }
        self.meter.turn(figures)
        self._outlet.timing(turn.id, figures)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
