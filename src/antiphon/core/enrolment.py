"""A voice to be known by name: one embedding out of a recording of one person."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from antiphon.audio import EAR_RATE_HZ, ms_to_bytes, samples_of
from antiphon.core.who import Embedding, HeardVoice, WhoPolicy, likeness, unit

LEAST_SPEECH_MS = 3_000
"""Less speech says too little of a voice."""

_ONE_PERSON = 0.30
"""So alike are any two parts of one person's speech, at two seconds and more."""
_PART_MS = 2_000


ENOUGH_SPEECH_MS = 5_000
"""With less a voice is known, and may be taken for another."""
CLEAR_DB = 15.0
"""So far speech stands out of white noise of a tenth of its power, which draws a voice to 0.85 of what it was, measured
on voices of the moonshine-voice wheel; half that far at as much noise as speech, which leaves 0.6 to 0.75 of it."""
_FRAME_MS = 20


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


def contrast_db(pcm: bytes) -> float:
    """How far what is loud stands out of what is quiet, in mono s16 at 16 kHz: the levels that a tenth of all frames
    are over and under. Of nothing it is infinite."""
    frame = ms_to_bytes(_FRAME_MS, EAR_RATE_HZ) // 2
    samples = samples_of(pcm)
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame).astype(np.float64)
    if not len(frames):
        return math.inf
    quiet, loud = np.percentile(10 * np.log10(np.square(frames).mean(axis=1) + 1.0), (10, 90))
    return float(loud - quiet)


def doubts(name: str, found: Enrolment, contrast: float, known: Mapping[str, Embedding]) -> list[str]:
    """Why a voice may not be known again, for people. ``contrast`` is in dB; ``known`` are all who are enrolled."""
    told: list[str] = []
    if found.speech_ms < ENOUGH_SPEECH_MS:
        told.append(f"{found.speech_ms / 1000:.1f} s of speech is little: ten seconds are known again more surely")
    if contrast < CLEAR_DB:
        told.append(
            f"the speech stands out of the noise by {contrast:.0f} dB only ({CLEAR_DB:.0f} and more are good): "
            "record where it is quieter, or nearer to the microphone"
        )
    like = {other: likeness(unit(voice), found.embedding) for other, voice in known.items()}
    before = {other: like.pop(other) for other in known if other.casefold() == name.casefold()}
    same = WhoPolicy().same[-1][1]
    nearest = max(like, key=lambda other: like[other], default=None)
    if nearest is not None and like[nearest] >= same:
        told.append(
            f"the voice is most like {nearest}'s, by {like[nearest]:.2f} (from {same:.2f} on two are taken for one "
            "person): if it is the same person, forget one of the names"
        )
    for other, likes in before.items():
        if likes < same:
            told.append(f"it is unlike what was known as {other} until now ({likes:.2f})")
    return told


def _mean(heard: Sequence[HeardVoice]) -> Embedding:
    """Each by its length of speech."""
    total = [0.0] * max(len(voice.embedding or ()) for voice in heard)
    for voice in heard:
        total = [a + voice.speech_ms * b for a, b in zip(total, voice.embedding or (), strict=True)]
    return unit(tuple(total))
