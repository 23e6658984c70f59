"""Resampling with a bounded delay, for live audio.

soxr's streams work in blocks: fed with 20 ms frames they hold audio back by 20 to 40 ms, at 8 kHz by up to 100. A
polyphase filter gives out what its window allows, which is all but the last 0.3 to 2 ms.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from antiphon.audio import samples_of

Coefficients = npt.NDArray[np.float32]

_STOPBAND_DB = 70.0
_CENTRE = 0.95
"""Where the filter is half-way down, as a share of the lower Nyquist frequency."""
_TRANSITION = 0.3
"""The width of its slope, as a share of the same."""
_MAX_PHASES = 16


@cache
def _filter(up: int, down: int) -> tuple[Coefficients, int]:
    """The filter's phases, shape (up, 2 * reach + 1), each reversed for a dot product with the input; and ``reach``.

    A Kaiser-windowed sinc; length and beta by Kaiser's formulas (Oppenheim and Schafer, Discrete-Time Signal
    Processing, section 7.5.3).
    """
    lower_nyquist = 1 / max(up, down)  # in half cycles a sample at the common, upsampled rate
    slope = math.pi * _TRANSITION * lower_nyquist
    reach = math.ceil((_STOPBAND_DB - 8) / (2.285 * slope) / 2 / up)
    centre = up * reach
    beta = 0.1102 * (_STOPBAND_DB - 8.7)
    cutoff = _CENTRE * lower_nyquist
    taps = cutoff * np.sinc(cutoff * np.arange(-centre, centre + 1)) * np.kaiser(2 * centre + 1, beta) * up
    padded = np.zeros((2 * reach + 1) * up)
    padded[: len(taps)] = taps
    phases = padded.reshape(2 * reach + 1, up).T[:, ::-1]
    return np.ascontiguousarray(phases, np.float32), reach


class LiveResampler:
    """Resamples a stream of mono s16 between rates of a small ratio, such as 48, 24, 16 and 8 kHz.

    One instance belongs to one stream. The output is in time with the input: sample n of it stands for the time
    n / to_hz. Raises ValueError for rates whose ratio is not small.
    """

    __slots__ = ("_down", "_input", "_next", "_phases", "_reach", "_skipped", "_up")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        common = math.gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        if self._up > _MAX_PHASES:
            raise ValueError(f"{from_hz} Hz to {to_hz} Hz is no small ratio; use audio.Resampler")
        self._phases, self._reach = _filter(self._up, self._down)
        self.reset()

    def reset(self) -> None:
        """Forgets the stream so far; a new one may begin. Needed after ``last``."""
        self._input: npt.NDArray[np.float32] = np.zeros(self._reach, np.float32)
        self._skipped = 0  # input samples that have left ``_input``
        self._next = 0  # the number of the next output sample

    def push(self, pcm: bytes | memoryview, *, last: bool = False) -> bytes:
        """Feeds s16 bytes at ``from_hz``, returns what is ready at ``to_hz``. ``last`` gives out the rest."""
        if self._up == self._down:
            return bytes(pcm)
        samples = samples_of(pcm)
        kept, fresh = len(self._input), len(samples)
        source = np.empty(kept + fresh + (self._reach if last else 0), np.float32)
        source[:kept] = self._input
        source[kept : kept + fresh] = samples
        source[kept + fresh :] = 0
        windows = len(source) - 2 * self._reach
        if windows <= 0:
            self._input = source
            return b""
        newest = self._skipped + windows - 1
        end = (newest * self._up + self._up - 1) // self._down + 1
        out = self._filtered(source, end)
        self._next = end
        skip = end * self._down // self._up - self._skipped
        self._input = source[skip:]
        self._skipped += skip
        return out.tobytes()

    def _filtered(self, source: npt.NDArray[np.float32], end: int) -> npt.NDArray[np.int16]:
        """Output samples ``_next`` up to ``end``: those of one phase are every ``up``-th, ``down`` inputs apart."""
        out = np.empty(end - self._next, np.float32)
        width = 2 * self._reach + 1
        for first in range(min(self._up, len(out))):
            at, phase = divmod((self._next + first) * self._down, self._up)
            part = out[first :: self._up]
            windows: npt.NDArray[np.float32] = np.ndarray(
                (len(part), width), np.float32, source, 4 * (at - self._skipped), (4 * self._down, 4)
            )
            # Copied, because BLAS takes no overlapping rows and numpy's own product is slower than the copy.
            part[:] = np.ascontiguousarray(windows) @ self._phases[phase]
        np.rint(out, out=out)
        np.minimum(out, 32767, out=out)
        np.maximum(out, -32768, out=out)
        return out.astype("<i2")
