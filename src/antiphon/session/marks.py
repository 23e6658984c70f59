"""When things happened, in the loop's seconds; 0 while they have not."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.ids import TurnId


@dataclass(slots=True)
class Answered:
    """A turn of the user that a reply answers."""

    id: TurnId
    speech_end_at: float
    ended_at: float
    """It was decided that the turn is over."""
    final_at: float = 0.0


@dataclass(slots=True)
class Marks:
    """The stages of a reply."""

    brain_at: float = 0.0
    voice_at: float = 0.0
    audible_at: float = 0.0
