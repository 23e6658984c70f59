"""A scripted speaker model: the voice is how loud it is. Whoever speaks twice as loud is somebody else.

For tests with the tone code: its answers follow from the audio alone, and take a stated time.
"""

from __future__ import annotations

import asyncio
import math

import numpy as np
import numpy.typing as npt

from antiphon.audio import EAR_RATE_HZ, samples_of
from antiphon.core.who import HeardVoice, Span
from antiphon.errors import EngineError

_WINDOW_MS = 20
_QUIET = 100.0
"""RMS below which a window is silence."""
_VOICES = 16
_PAUSE_MS = 100
"""Between two speakers."""


class ScriptedSpeakers:
    """``look_ms``: how long a look takes. ``fails``: each look fails."""

    name = "scripted-speakers"
    description = "scripted: for tests, not for conversations"

    def __init__(self, *, look_ms: float = 0.0, fails: bool = False) -> None:
        self._look_ms = look_ms
        self._fails = fails
        self.looks = 0

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def voices(self, pcm: bytes, from_ms: int = 0) -> tuple[HeardVoice, ...]:
        self.looks += 1
        await asyncio.sleep(self._look_ms / 1000)
        if self._fails:
            raise EngineError("the scripted speaker model fails, as it was told to")
        found: dict[int, list[Span]] = {}
        for span, rms in _runs(samples_of(pcm).astype(np.float64)):
            found.setdefault(_voice(rms), []).append(span)
        return tuple(_heard(voice, tuple(spans), from_ms) for voice, spans in found.items())


def _runs(samples: npt.NDArray[np.float64]) -> list[tuple[Span, float]]:
    """Where there is sound without a pause, and how loud it is in the middle of its windows."""
    size = EAR_RATE_HZ * _WINDOW_MS // 1000
    windows = samples[: len(samples) // size * size].reshape(-1, size)
    levels = np.sqrt(np.mean(windows**2, axis=1))
    runs: list[tuple[int, int]] = []
    for window in map(int, np.flatnonzero(levels > _QUIET)):
        if runs and (window - runs[-1][1]) * _WINDOW_MS < _PAUSE_MS:
            runs[-1] = runs[-1][0], window + 1
        else:
            runs.append((window, window + 1))
    return [((a * _WINDOW_MS, b * _WINDOW_MS), float(np.median(levels[a:b]))) for a, b in runs]


def _voice(rms: float) -> int:
    return round(math.log2(rms)) % _VOICES


def _heard(voice: int, spans: tuple[Span, ...], from_ms: int) -> HeardVoice:
    speech_ms = sum(max(0, end - max(start, from_ms)) for start, end in spans)
    if speech_ms == 0:
        return HeardVoice(spans)
    return HeardVoice(spans, speech_ms, tuple(1.0 if place == voice else 0.0 for place in range(_VOICES)))
