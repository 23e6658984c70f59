"""A voice to be known by name: one embedding out of a recording of one person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from antiphon.core.who import Embedding, HeardVoice, likeness, unit

LEAST_SPEECH_MS = 3_000
"""Less speech says too little of a voice."""

_ONE_PERSON = 0.30
"""So alike are any two parts of one person's speech, at two seconds and more."""
_PART_MS = 2_000


@dataclass(frozen=True, slots=True)
class Enrolment:
    embedding: Embedding
    speech_ms: int


def enrolment(looks: Sequence[Sequence[HeardVoice]]) -> Enrolment:
    """Of the voices of each piece of the recording. Raises ValueError with what is wrong with it, for people."""
    heard = [voice for look in looks for voice in look if voice.embedding is not None]
    speech_ms = sum(voice.speech_ms for voice in heard)
    if speech_ms < LEAST_SPEECH_MS:
        raise ValueError(
            f"has {speech_ms / 1000:.1f} s of speech: record at least {LEAST_SPEECH_MS // 1000} s of one person, "
            "better ten"
        )
    parts = [voice.embedding for voice in heard if voice.embedding is not None and voice.speech_ms >= _PART_MS]
    if any(likeness(one, other) < _ONE_PERSON for one, other in combinations(parts, 2)):
        raise ValueError("has more than one voice: record one person alone")
    return Enrolment(_mean(heard), speech_ms)


def _mean(heard: Sequence[HeardVoice]) -> Embedding:
    """Each by its length of speech."""
    total = [0.0] * max(len(voice.embedding or ()) for voice in heard)
    for voice in heard:
        total = [a + voice.speech_ms * b for a, b in zip(total, voice.embedding or (), strict=True)]
    return unit(tuple(total))
