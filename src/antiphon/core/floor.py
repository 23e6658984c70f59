"""The facts that turn-taking is decided by: who speaks, who is to answer, how far the answer has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from antiphon.ids import ReplyId, TurnId


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


@dataclass(slots=True)
class Owed:
    """A committed turn that has no reply yet: its words are still to come, or somebody has the floor."""

    revision: int
    heard: bool
