"""What the self-test measures, on audio and on words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from antiphon.apps.realtime_client import Arrival
from antiphon.audio import AUDIBLE, WIRE_PCM_RATE_HZ, samples_of
from antiphon.core.text import words_of

_SPAN_WINDOW_MS = 5
_SPAN_FLOOR = 0.02
"""Speech is where a window's RMS is over this share of the loudest one's: 34 dB below it."""


def speech_span(pcm: bytes, rate_hz: int) -> tuple[int, int]:
    """Where the speech in a clean recording begins and ends, in samples, to within 5 ms. (0, 0) for silence."""
    window = rate_hz * _SPAN_WINDOW_MS // 1000
    samples = samples_of(pcm).astype(np.float64)
    count = len(samples) // window
    if count == 0:
        return (0, 0)
    rms = np.sqrt(np.mean(samples[: count * window].reshape(count, window) ** 2, axis=1))
    loud = np.flatnonzero(rms > max(rms.max() * _SPAN_FLOOR, 1.0))
    if len(loud) == 0:
        return (0, 0)
    return int(loud[0]) * window, (int(loud[-1]) + 1) * window


@dataclass(frozen=True, slots=True)
class ReplyAudio:
    """The audio of one reply as it came: mono s16 at 24 kHz."""

    pcm: bytes
    first_audible_at: float | None
    """When its first audible sample can be played at the earliest; leading silence counts as delay."""
    last_audible_at: float | None
    last_frame_at: float | None
    """When the last of its frames came, audible or not."""
    longest_gap_ms: float
    """The longest time between two of its frames."""

    @property
    def duration_ms(self) -> float:
        return len(self.pcm) / 2 * 1000 / WIRE_PCM_RATE_HZ


def reply_audio(arrivals: Sequence[Arrival], reply: str) -> ReplyAudio:
    """Gathers the audio deltas of the reply with id ``reply``."""
    pieces: list[bytes] = []
    first: float | None = None
    last: float | None = None
    previous_at: float | None = None
    gap_s = 0.0
    for arrival in arrivals:
        if arrival.kind != "response.output_audio.delta" or arrival.text("response_id") != reply:
            continue
        pcm = arrival.audio()
        pieces.append(pcm)
        if previous_at is not None:
            gap_s = max(gap_s, arrival.at - previous_at)
        previous_at = arrival.at
        audible = np.flatnonzero(np.abs(samples_of(pcm).astype(np.int32)) > AUDIBLE)
        if len(audible):
            last = arrival.at + int(audible[-1]) / WIRE_PCM_RATE_HZ
            if first is None:
                first = arrival.at + int(audible[0]) / WIRE_PCM_RATE_HZ
    return ReplyAudio(b"".join(pieces), first, last, previous_at, gap_s * 1000)


def word_errors(expected: str, heard: str) -> int:
    """The least number of words to insert, delete or replace that turns the one into the other (Levenshtein 1966)."""
    wanted, got = words_of(expected), words_of(heard)
    row = list(range(len(got) + 1))
    for i, word in enumerate(wanted, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(got, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]


def word_error_rate(expected: str, heard: str) -> float:
    """Word errors over the number of expected words. For no expected words: 0 if nothing was heard, else 1."""
    count = len(words_of(expected))
    if count == 0:
        return 1.0 if words_of(heard) else 0.0
    return word_errors(expected, heard) / count


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: the smallest value that ``share`` of all do not exceed. Raises on no values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
