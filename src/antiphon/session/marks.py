"""When things happened, in the loop's seconds; 0 while they have not."""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.audio import MOUTH_RATE_HZ, first_audible
from antiphon.core.work_ahead import Stages, Work
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

    brain_started_at: float = 0.0
    brain_at: float = 0.0
    """Its first token came."""
    clause_at: float = 0.0
    """There was enough text to speak."""
    brain_done_at: float = 0.0
    voice_started_at: float = 0.0
    voice_at: float = 0.0
    """Its first audio came."""
    voice_done_at: float = 0.0
    """It has spoken what may be spoken ahead."""
    wanted_at: float = 0.0
    """It was let out."""
    sample_at: float = 0.0
    """The first sample left."""
    sound_at: float = 0.0
    """The first sample that is no silence is heard, by a client that plays at once."""
    tokens: int = 0
    ahead_samples: int = 0
    """Audio at 48 kHz that came before it was let out."""

    def sent(self, pcm: bytes, plays_at: float) -> bool:
        """Audio of the reply has left, at 48 kHz, to be played at ``plays_at``. Whether its first sound was in it."""
        self.sample_at = self.sample_at or plays_at  # the first is played as it leaves
        if self.sound_at or (index := first_audible(pcm)) is None:
            return False
        self.sound_at = plays_at + index / MOUTH_RATE_HZ
        return True

    def work(self, now: float) -> Work:
        """What it has cost by ``now``, while it was not let out."""
        return Work(
            self.tokens,
            _span_s(self.brain_started_at, self.brain_done_at or now),
            _span_s(self.voice_started_at, self.voice_done_at or now),
            self.ahead_samples / MOUTH_RATE_HZ,
        )

    def stages(self) -> Stages:
        return Stages(self.wanted_at, self.brain_started_at, self.clause_at, self.voice_started_at, self.voice_at)


def _span_s(start_at: float, end_at: float) -> float:
    return end_at - start_at if start_at else 0.0
