"""What simulated callers say: human speech for any VAD, and words that the scripted recognizer reads.

The words are a few symbols of the tone code right before the speech, within the padding that belongs to its turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antiphon.apps.microphone import WIRE_FRAME_BYTES
from antiphon.apps.realtime_client import append_json
from antiphon.audio import EAR_RATE_HZ, WIRE_PCM_RATE_HZ, Samples, resample
from antiphon.engines import tone_code
from antiphon.sim.speech import levels, recordings

WORDS = "go"
RECORDING = "two_cities"
SHORTEST_S, LONGEST_S = 1.2, 4.0
"""Of one question."""
_PAUSE_WINDOWS = 8
"""So many quiet windows of 10 ms part one question from the next, so that none has a pause that ends a turn."""
_QUIET_BELOW_PEAK_DB = 30.0


@dataclass(frozen=True, slots=True)
class Question:
    """Ready to send: an append for each frame of 20 ms. ``end_sample`` (24 kHz) is where the speech truly ends."""

    messages: tuple[str, ...]
    end_sample: int


def questions() -> tuple[Question, ...]:
    """Pieces of the longer human recording that are spoken in one breath."""
    samples = next(recording.spoken for recording in recordings() if recording.name == RECORDING)
    words = np.frombuffer(tone_code.encode(WORDS, EAR_RATE_HZ), "<i2")
    return tuple(_question(np.concatenate([words, piece])) for piece in breaths(samples))


def breaths(samples: Samples) -> list[Samples]:
    level = levels(samples)
    quiet = level < level.max() * 10 ** (-_QUIET_BELOW_PEAK_DB / 20)
    window = len(samples) // len(level)
    pieces: list[Samples] = []
    begin, silent = 0, 0
    for i, is_quiet in enumerate([*quiet.tolist(), *[True] * _PAUSE_WINDOWS]):
        silent = silent + 1 if is_quiet else 0
        if silent == _PAUSE_WINDOWS:
            end = i + 1 - silent
            if SHORTEST_S * 100 <= end - begin <= LONGEST_S * 100:
                pieces.append(samples[begin * window : end * window])
        if silent >= _PAUSE_WINDOWS:
            begin = i + 1
    return pieces


def _question(samples: Samples) -> Question:
    pcm = resample(samples.tobytes(), EAR_RATE_HZ, WIRE_PCM_RATE_HZ)
    frames = [
        pcm[i : i + WIRE_FRAME_BYTES].ljust(WIRE_FRAME_BYTES, b"\0") for i in range(0, len(pcm), WIRE_FRAME_BYTES)
    ]
    return Question(tuple(append_json(frame) for frame in frames), len(pcm) // 2)
