"""Work ahead of the end of a turn: what of it was in vain, and what the rest has won."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Work:
    """What engines did for one reply."""

    tokens: int = 0
    """That the brain gave: its own count where it was told, else pieces of text, which are about as many."""
    brain_s: float = 0.0
    voice_s: float = 0.0
    """How long each was at it."""
    audio_s: float = 0.0
    """How much audio came of it."""

    def __add__(self, other: Work) -> Work:
        return Work(
            self.tokens + other.tokens,
            self.brain_s + other.brain_s,
            self.voice_s + other.voice_s,
            self.audio_s + other.audio_s,
        )


@dataclass(frozen=True, slots=True)
class Stages:
    """When a prepared reply came how far, in s; 0 for what has not happened. ``wanted_at``: the turn was over."""

    wanted_at: float
    brain_started_at: float
    clause_at: float
    voice_started_at: float
    voice_at: float


def won_s(stages: Stages) -> float:
    """How much later the reply would have sounded, had its work begun only when it was wanted.

    That is the part of the brain's way to the first clause, and of the voice's to the first audio, which was behind
    them by then. What a slower machine would make of the same work it does not know.
    """
    wanted_at = stages.wanted_at
    brain_s = min(stages.clause_at or wanted_at, wanted_at) - stages.brain_started_at
    voice_s = min(stages.voice_at or wanted_at, wanted_at) - stages.voice_started_at if stages.voice_started_at else 0.0
    return max(brain_s, 0.0) + max(voice_s, 0.0)


@dataclass(frozen=True, slots=True)
class Balance:
    """Won against wasted. ``thrown_away`` is how many of the replies that were prepared were."""

    won_s: float = 0.0
    thrown_away: int = 0
    wasted: Work = field(default_factory=Work)

    def __add__(self, other: Balance) -> Balance:
        return Balance(self.won_s + other.won_s, self.thrown_away + other.thrown_away, self.wasted + other.wasted)

    def figures(self) -> dict[str, float]:
        """In plain types, as ``docs/EVENTS.md`` has them; times in ms."""
        return {
            "won_ms": _ms(self.won_s),
            "thrown_away": self.thrown_away,
            "wasted_tokens": self.wasted.tokens,
            "wasted_brain_ms": _ms(self.wasted.brain_s),
            "wasted_voice_ms": _ms(self.wasted.voice_s),
            "wasted_audio_ms": _ms(self.wasted.audio_s),
        }


class Account:
    """The balance of one conversation."""

    def __init__(self) -> None:
        self.total = Balance()
        self._since = Balance()

    def book(self, entry: Balance) -> None:
        self.total += entry
        self._since += entry

    def settle(self) -> Balance:
        """What was booked since it was called last."""
        since, self._since = self._since, Balance()
        return since


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
