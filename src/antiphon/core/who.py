"""Who speaks: voices told apart by what they are like, known ones by name, others by number.

Pure. A voice is an *embedding*, a vector of length 1; two of the same person point in about the same direction. How
near they must be depends on how much speech they were made of. The thresholds are for WeSpeaker's ResNet34, as measured
on voices of the moonshine-voice wheel: of different people 99 % were less alike, of the same person 1 to 10 % were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import mul

Embedding = tuple[float, ...]

MOST_NUMBERED = 32
"""Beyond so many unknown speakers nobody is numbered any more."""


def likeness(one: Embedding, other: Embedding) -> float:
    """The cosine of two vectors of length 1: 1.0 the same, about 0 for different people."""
    return float(sum(map(mul, one, other)))


def unit(vector: Embedding) -> Embedding:
    """The vector at length 1. Raises ValueError for one that has no direction."""
    length = math.sqrt(likeness(vector, vector))
    if not math.isfinite(length) or length == 0.0:
        raise ValueError("a voice of silence, or none")
    return tuple(value / length for value in vector)


Span = tuple[int, int]
"""A start and an end, in ms."""


@dataclass(frozen=True, slots=True)
class HeardVoice:
    """One of the voices in a piece of audio. ``spans`` are where it sounds, in order, from the start of that audio.

    ``embedding`` is made of ``speech_ms`` of it; None where that is too little.
    """

    spans: tuple[Span, ...]
    speech_ms: int = 0
    embedding: Embedding | None = None


@dataclass(frozen=True, slots=True)
class WhoPolicy:
    """When two voices are one."""

    same: tuple[tuple[int, float], ...] = ((500, 0.25), (1000, 0.34), (1500, 0.38), (2000, 0.42), (3000, 0.45))
    """From how much speech (ms) on, how alike it must be to a speaker that is known."""
    found_ms: int = 1000
    """A new speaker is founded on no less speech than this ..."""
    doubt_ms: int = 1500
    """... and on less than this only when it is far from everybody who is known:"""
    far: float = 0.22
    sure: float = 0.50
    """Of less than that, only what is so alike is learnt from."""
    merge: float = 0.60
    """Two numbered speakers who turn out to be so alike are one ..."""
    merge_ms: int = 3000
    """... when each has said so much."""
    much: float = 0.15
    """Somebody enrolled gives way to somebody numbered who is so much more alike."""

    def threshold(self, speech_ms: int) -> float | None:
        """None where there is too little speech to tell."""
        known = [value for least_ms, value in self.same if speech_ms >= least_ms]
        return known[-1] if known else None


@dataclass(slots=True)
class _Speaker:
    name: str
    enrolled: Embedding | None = None
    total: list[float] = field(default_factory=list)
    """The sum of its embeddings, each by its length of speech."""
    speech_ms: int = 0

    def learn(self, embedding: Embedding, speech_ms: int) -> None:
        weighed = (value * speech_ms for value in embedding)
        self.total = [a + b for a, b in zip(self.total, weighed, strict=True)] if self.total else list(weighed)
        self.speech_ms += speech_ms

    def mean(self) -> Embedding | None:
        return unit(tuple(self.total)) if any(self.total) else None

    def like(self, embedding: Embedding) -> float:
        """How alike, to what was enrolled or to what was heard in this session, whichever is nearer."""
        ways = [way for way in (self.enrolled, self.mean()) if way is not None]
        return max((likeness(way, embedding) for way in ways), default=-1.0)


class Who:
    """The speakers of one session. ``enrolled``: those known by name; ``numbered``: the others get numbers.

    Numbers count from 1 in the order in which the speakers were first heard. What was said of earlier speech stands: a
    later insight (two numbers are one person, a number is somebody enrolled) counts from then on.
    """

    def __init__(
        self, enrolled: Mapping[str, Embedding] | None = None, *, numbered: bool = True, policy: WhoPolicy | None = None
    ) -> None:
        self._policy = policy or WhoPolicy()
        self._numbered = numbered
        self._enrolled = [_Speaker(name, unit(vector)) for name, vector in (enrolled or {}).items()]
        self._others: list[_Speaker] = []
        self._count = 0

    @property
    def names(self) -> tuple[str, ...]:
        """All who may be told now: the enrolled ones, then those numbered so far."""
        return tuple(speaker.name for speaker in (*self._enrolled, *self._others))

    def name(self, embedding: Embedding, speech_ms: int) -> str | None:
        """Who this is, of those who are known; None where it is nobody, or cannot be said."""
        speaker = self._known(embedding, speech_ms)
        return None if speaker is None else speaker.name

    def hear(self, embedding: Embedding, speech_ms: int) -> str | None:
        """Who this is, and learns from it: a voice that is new gets a number. None where it cannot be said."""
        policy = self._policy
        speaker = self._known(embedding, speech_ms)
        if speaker is not None and speech_ms < policy.doubt_ms and speaker.like(embedding) < policy.sure:
            return speaker.name  # which may be wrong, and would then draw the wrong voice nearer
        if speaker is None and self._may_found(embedding, speech_ms):
            self._count += 1
            speaker = _Speaker(f"Speaker {self._count}")
            self._others.append(speaker)
        if speaker is None:
            return None
        speaker.learn(embedding, speech_ms)
        return self._settled(speaker).name

    def _known(self, embedding: Embedding, speech_ms: int) -> _Speaker | None:
        """The enrolled go first: a number is nobody's as long as the voice may be theirs."""
        threshold = self._policy.threshold(speech_ms)
        if threshold is None:
            return None
        for circle in (self._enrolled, self._others):
            best = max(circle, key=lambda speaker: speaker.like(embedding), default=None)
            if best is not None and best.like(embedding) >= threshold and not self._nearer(embedding, best):
                return best
        return None

    def _nearer(self, embedding: Embedding, found: _Speaker) -> bool:
        """Somebody who was numbered is much nearer than ``found``, who is enrolled."""
        if found.enrolled is None:
            return False
        least = found.like(embedding) + self._policy.much
        return any(speaker.like(embedding) >= least for speaker in self._others)

    def _may_found(self, embedding: Embedding, speech_ms: int) -> bool:
        policy = self._policy
        if not self._numbered or speech_ms < policy.found_ms or len(self._others) >= MOST_NUMBERED:
            return False
        if speech_ms >= policy.doubt_ms:
            return True
        return all(speaker.like(embedding) < policy.far for speaker in (*self._enrolled, *self._others))

    def _settled(self, speaker: _Speaker) -> _Speaker:
        """Whoever ``speaker`` turns out to be, now that there is more of it: it is that one from now on."""
        policy = self._policy
        if speaker.enrolled is not None or speaker.speech_ms < policy.merge_ms:
            return speaker
        mean = speaker.mean()
        assert mean is not None
        for other in (*self._enrolled, *self._others):
            long_enough = other.enrolled is not None or other.speech_ms >= policy.merge_ms
            if other is not speaker and long_enough and other.like(mean) >= policy.merge:
                return self._merge(speaker, other)
        return speaker

    def _merge(self, one: _Speaker, other: _Speaker) -> _Speaker:
        if other.enrolled is None and self._others.index(one) < self._others.index(other):
            one, other = other, one
        self._others.remove(one)
        other.total = [a + b for a, b in zip(one.total, other.total, strict=True)] if other.total else one.total
        other.speech_ms += one.speech_ms
        return other
