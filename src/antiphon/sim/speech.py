"""Human speech that is on every machine: the recordings which the recognizer's package carries, with their texts.

The self-test and the tests speak with these. They are read from the installed package, never copied.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np

from antiphon.audio import EAR_RATE_HZ, Samples, resample, samples_of

_PACKAGE = "moonshine_voice"

_BECKETT = "Ever tried. Ever failed. No matter. Try again. Fail again. Fail better."
"""Samuel Beckett, Worstward Ho (1983): the one line that is spoken."""

_TWO_CITIES = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, "
    "it was the epoch of belief, it was the epoch of incredulity, it was the season of Light, "
    "it was the season of Darkness, it was the spring of hope, it was the winter of despair, "
    "we had everything before us, we had nothing before us, we were all going direct to Heaven, "
    "we were all going direct the other way; in short, the period was so far like the present period, "
    "that some of its noisiest authorities insisted on its being received, for good or for evil, "
    "in the superlative degree of comparison only."
)
"""Charles Dickens, A Tale of Two Cities (1859), the first sentence."""

_TEXTS = {"beckett": _BECKETT, "two_cities": _TWO_CITIES}

_LEVEL_WINDOW_SAMPLES = EAR_RATE_HZ // 100
_SPEECH_BELOW_PEAK_DB = 17.0
"""Speech is what lies within so much of the loudest moment: the recordings' own noise reaches up to 19 dB below it."""

_SMOOTHED_OVER = 3
"""Windows of 10 ms: a click is shorter than a sound of speech."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A human voice reading a known text. Mono s16 at 16 kHz.

    ``start_sample`` and ``end_sample`` are where the speech truly begins and ends, to 10 ms, by its energy.
    """

    name: str
    text: str
    samples: Samples
    start_sample: int
    end_sample: int

    @property
    def pcm(self) -> bytes:
        return self.samples.tobytes()

    @property
    def spoken(self) -> Samples:
        """The speech alone, from its first sound to its last."""
        return self.samples[self.start_sample : self.end_sample]


def levels(samples: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """RMS of each whole 10 ms of 16 kHz audio, in units of one sample step."""
    count = len(samples) // _LEVEL_WINDOW_SAMPLES
    windows = samples[: count * _LEVEL_WINDOW_SAMPLES].astype(np.float64).reshape(count, _LEVEL_WINDOW_SAMPLES)
    return np.asarray(np.sqrt(np.mean(windows**2, axis=1)))


def speech_bounds(samples: Samples) -> tuple[int, int]:
    """Where speech begins and ends in a recording at 16 kHz, by energy, to 10 ms. (0, 0) for silence."""
    level = np.sqrt(np.convolve(levels(samples) ** 2, np.full(_SMOOTHED_OVER, 1 / _SMOOTHED_OVER), mode="same"))
    loud = np.flatnonzero(level > level.max(initial=0.0) * 10 ** (-_SPEECH_BELOW_PEAK_DB / 20))
    if not len(loud):
        return 0, 0
    return int(loud[0]) * _LEVEL_WINDOW_SAMPLES, (int(loud[-1]) + 1) * _LEVEL_WINDOW_SAMPLES


def _read(name: str) -> Recording:
    with (files(_PACKAGE) / "assets" / f"{name}.wav").open("rb") as file, wave.open(file) as recording:
        pcm = resample(recording.readframes(recording.getnframes()), recording.getframerate(), EAR_RATE_HZ)
    samples = samples_of(pcm)
    start, end = speech_bounds(samples)
    return Recording(name, _TEXTS[name], samples, start, end)


@lru_cache(maxsize=1)
def recordings() -> tuple[Recording, ...]:
    """Those with known texts: ``beckett`` (10 s, with long pauses) and ``two_cities`` (44 s, read fluently)."""
    return tuple(_read(name) for name in _TEXTS)
