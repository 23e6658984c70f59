"""Where speech truly ended: the voice activity detection says so to a window, and hears on into a room's fading."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from antiphon.audio import EAR_RATE_HZ, Samples

BLOCK_MS = 5
"""The end is found to this."""

LOOK_BACK_MS = 400
"""It is looked for so far before the place that the detector names: no detector is later."""

FLOOR = 0.02
"""What is more than 34 dB below the loudest block is not heard as speech beside it."""

OVER_NOISE = 2.0
"""Speech is so many times as loud (6 dB) as the room after it."""

ROOM_SHARE = 0.1
"""The room is as loud as the quietest tenth of what comes after; the rest may be the voice that fades."""

_BLOCK_SAMPLES = EAR_RATE_HZ * BLOCK_MS // 1000
_LOOK_BACK_BLOCKS = LOOK_BACK_MS // BLOCK_MS


def trailing_silence_ms(speech: Samples, after: Samples) -> int:
    """How much of the end of ``speech`` is none, in ms: at most ``LOOK_BACK_MS``.

    Both at 16 kHz: ``speech`` up to the place that the detector names, a second of it or more, and the silence
    ``after`` it. 0 where the end cannot be told from what comes after it.
    """
    levels = _levels(speech[len(speech) % _BLOCK_SAMPLES :])
    if not len(levels):
        return 0
    rest = _levels(after)
    room = float(np.quantile(rest, ROOM_SHARE)) if len(rest) else 0.0
    threshold = max(float(levels.max()) * FLOOR, OVER_NOISE * room, 1.0)
    loud = np.flatnonzero(levels[-_LOOK_BACK_BLOCKS:] > threshold)
    if not len(loud):
        return 0
    return (min(len(levels), _LOOK_BACK_BLOCKS) - 1 - int(loud[-1])) * BLOCK_MS


def _levels(samples: Samples) -> npt.NDArray[np.float64]:
    """The RMS of each block."""
    count = len(samples) // _BLOCK_SAMPLES
    blocks = samples[: count * _BLOCK_SAMPLES].reshape(count, _BLOCK_SAMPLES).astype(np.float64)
    levels: npt.NDArray[np.float64] = np.sqrt(np.mean(blocks**2, axis=1))
    return levels
