"""Where a long turn of the user is cut, for recognizers whose cost or quality depends on how much they are given."""

from __future__ import annotations

import numpy as np

from antiphon.audio import EAR_RATE_HZ, Samples

_SAMPLES_PER_MS = EAR_RATE_HZ // 1000

_MARGIN_MS = 1_000
"""Between a cut and either end of the audio."""
_PAUSE_MS = 240
_PAUSE_RATIO = 0.1
"""A pause is so much quieter than the whole (20 dB)."""
_LEVEL_MS = 20


def where_to_cut(samples: Samples, from_ms: int, at_ms: int) -> int | None:
    """The sample of ``samples`` (16 kHz) at which to cut, in the first ``at_ms``; None where it should stay whole.

    From ``from_ms`` on it is cut where it has a pause, and at ``at_ms`` at its quietest place, whatever that is.
    """
    length_ms = len(samples) // _SAMPLES_PER_MS
    if length_ms < from_ms:
        return None
    searched = samples[: at_ms * _SAMPLES_PER_MS]
    count = len(searched) // (_LEVEL_MS * _SAMPLES_PER_MS)
    power = (
        np.square(searched[: count * _LEVEL_MS * _SAMPLES_PER_MS].astype(np.float32)).reshape(count, -1).mean(axis=1)
    )
    width = _PAUSE_MS // _LEVEL_MS
    pauses = np.convolve(power, np.full(width, 1 / width), mode="valid")
    first, last = _MARGIN_MS // _LEVEL_MS, count - _MARGIN_MS // _LEVEL_MS - width
    quietest = first + int(pauses[first:last].argmin())
    is_pause = pauses[quietest] <= power.mean() * _PAUSE_RATIO**2
    if not is_pause and length_ms < at_ms:
        return None
    return (quietest + width // 2) * _LEVEL_MS * _SAMPLES_PER_MS
