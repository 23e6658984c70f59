"""The facts that turn-taking is decided by: who speaks, who is to answer, how far the answer has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from antiphon.core.barge_in import BargeInPolicy, Evidence
from antiphon.core.endpointing import silence_needed_ms
from antiphon.core.settings import Detection, TurnSettings
from antiphon.ids import ReplyId, TurnId

_MS = 1000.0


def passed(time: float | None, now: float) -> bool:
    """Whether a time has come, with a microsecond's grace for the arithmetic of floats; None never comes."""
    return time is not None and now >= time - 1e-6


@dataclass(slots=True)
class Turn:
    """The user's turn that is being heard. It is not committed yet."""

    id: TurnId
    started_ms: int
    text: str | None = None
    """The words so far."""
    revision: int = 0
    """Counts the pauses: a final that was asked for at an earlier one is out of date."""
    paused_ms: int | None = None
    """Media time at which the user fell silent; None while speaking."""
    paused_at: float = 0.0
    """The same on the clock."""
    final_revision: int = 0
    """The pause whose final ``text`` is."""
    announced: bool = False
    """The client knows of it."""

    @property
    def quiet(self) -> bool:
        return self.paused_ms is not None

    @property
    def final(self) -> bool:
        """``text`` is the recognizer's last word on the turn as it stands."""
        return self.quiet and self.final_revision == self.revision

    def answerable(self, settings: TurnSettings) -> bool:
        """An answer could begin: its words are there, or the brain hears it and nobody says that there are none."""
        heard = settings.hears_audio and (self.text is None or not self.final)
        return self.quiet and (heard or (self.final and bool(self.text)))

    def ends_at(self, settings: TurnSettings) -> float | None:
        """When the silence will have lasted long enough; None while speaking, and where the client decides."""
        if not self.quiet or settings.detection is Detection.MANUAL:
            return None
        return self.paused_at + silence_needed_ms(settings, self.text) / _MS

    def prepared_at(self, settings: TurnSettings) -> float:
        """When so much of the silence has passed that a reply is worth preparing."""
        return self.paused_at + settings.prepare_after_ms / _MS


class Phase(Enum):
    """How far the reply has come: being made or made, silent or audible."""

    MAKING = auto()
    MADE = auto()
    SOUNDING = auto()
    ENDING = auto()


@dataclass(slots=True)
class Reply:
    id: ReplyId
    phase: Phase = Phase.MAKING
    held_at: float | None = None
    """Since when its playout is paused."""

    @property
    def audible(self) -> bool:
        return self.phase in (Phase.SOUNDING, Phase.ENDING)

    def evidence(self, turn: Turn, now: float) -> Evidence:
        """What is known of the sound that has paused it."""
        return Evidence(
            speaking=not turn.quiet,
            held_ms=0.0 if self.held_at is None else _ms_between(self.held_at, now),
            quiet_ms=_ms_between(turn.paused_at, now) if turn.quiet else 0.0,
            text=turn.text,
            final=turn.final,
        )

    def judged_at(self, turn: Turn, policy: BargeInPolicy, now: float) -> float | None:
        """When time alone may change the verdict on the sound; None if it is not paused."""
        if self.held_at is None:
            return None
        if turn.quiet:
            return turn.paused_at + policy.resume_after_ms / _MS
        held_at = self.held_at
        times = [held_at + ms / _MS for ms in (policy.cancel_after_ms, policy.hold_backchannel_ms)]
        return min((time for time in times if not passed(time, now)), default=None)


@dataclass(slots=True)
class Owed:
    """A committed turn that has no reply yet: its words are still to come, or somebody has the floor."""

    revision: int
    heard: bool


def _ms_between(start: float, now: float) -> float:
    return round((now - start) * _MS, 3)
