"""Loudness: measured as ITU-R BS.1770 has it, and brought to a common one without going over full scale. Pure.

A ``Leveller`` gives a segment of speech one gain, so that nothing pumps within a sentence, and a limiter behind it
takes the few peaks that would go over the ceiling. It sees them coming: at most ``LOOKAHEAD_SAMPLES`` (2.5 ms) of a
chunk wait for the next one, and the rest of it for nothing. What leaves depends on the samples of the segment and the
gain, not on how they were cut into chunks: a segment that is made again elsewhere is the same there, to a rounding.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from antiphon.audio import MOUTH_RATE_HZ, samples_of

TARGET_LUFS = -16.0
"""The usual loudness of speech on the web: -16 LUFS for mono, after AES TD1008."""

CEILING_DBTP = -1.0
"""Of the true peak, after EBU R 128."""

_Sound = npt.NDArray[np.float32]
_Floats = npt.NDArray[np.float64]

# The meter.

_HOP_SAMPLES = MOUTH_RATE_HZ // 10
_HOPS = 4
"""Blocks of 400 ms, one each 100 ms."""
_ABSOLUTE_GATE_LUFS = -70.0
_RELATIVE_GATE_LU = -10.0
_OFFSET_LUFS = -0.691
_BIN_LU = 0.05
_BINS = round((5.0 - _ABSOLUTE_GATE_LUFS) / _BIN_LU)
# The two filters of BS.1770-5, annex 1, tables 1 and 2, at 48 kHz: the head's shelf, and the high pass.
_SHELF = ((1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585))
_HIGH_PASS = ((1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621))


@cache
def _weights() -> _Floats:
    """What each bin of a hop's spectrum counts in its mean square, shape (_HOP_SAMPLES // 2 + 1,)."""
    turns = np.exp(-2j * np.pi * np.arange(_HOP_SAMPLES // 2 + 1) / _HOP_SAMPLES)
    power = np.ones(len(turns))
    for numerator, denominator in (_SHELF, _HIGH_PASS):
        power *= np.abs(np.polyval(numerator[::-1], turns) / np.polyval(denominator[::-1], turns)) ** 2
    power[1:-1] *= 2  # a bin and its mirror image
    return power / _HOP_SAMPLES**2


class LoudnessMeter:
    """The integrated loudness of mono s16 at 48 kHz, over all that was pushed. It costs 0.1 % of real time.

    The weighting is done on the spectrum of each 100 ms, which for speech differs from the recommendation's filters by
    less than 0.1 LU.
    """

    __slots__ = ("_counts", "_hops", "_rest", "_sums")

    def __init__(self) -> None:
        self._rest = np.empty(0, np.float32)
        self._hops: list[float] = []
        self._counts = np.zeros(_BINS, np.int64)
        self._sums = np.zeros(_BINS)
        """Of the mean squares of the blocks in each bin."""

    def push(self, pcm: bytes) -> None:
        """Takes the next audio, of any even length."""
        sound = np.concatenate([self._rest, samples_of(pcm).astype(np.float32) / 32768])
        count = len(sound) // _HOP_SAMPLES
        self._rest = sound[count * _HOP_SAMPLES :]
        if not count:
            return
        spectra = np.fft.rfft(sound[: count * _HOP_SAMPLES].reshape(count, _HOP_SAMPLES))
        self._hops += ((spectra.real**2 + spectra.imag**2) @ _weights()).tolist()
        for end in range(_HOPS, len(self._hops) + 1):
            self._count(sum(self._hops[end - _HOPS : end]) / _HOPS)
        self._hops = self._hops[-_HOPS + 1 :]

    def add(self, other: LoudnessMeter) -> None:
        """What ``other`` has heard counts here too."""
        self._counts += other._counts
        self._sums += other._sums

    def _count(self, mean_square: float) -> None:
        lufs = _lufs(mean_square)
        if lufs > _ABSOLUTE_GATE_LUFS:
            place = min(int((lufs - _ABSOLUTE_GATE_LUFS) / _BIN_LU), _BINS - 1)
            self._counts[place] += 1
            self._sums[place] += mean_square

    @property
    def speech_s(self) -> float:
        """How much of it counts: what is not silence."""
        return float(self._counts[self._gate() :].sum()) * _HOP_SAMPLES / MOUTH_RATE_HZ

    @property
    def lufs(self) -> float | None:
        """None while it has heard too little, or silence."""
        first = self._gate()
        count = self._counts[first:].sum()
        return _lufs(float(self._sums[first:].sum() / count)) if count else None

    def _gate(self) -> int:
        """The first bin above both gates."""
        count = self._counts.sum()
        if not count:
            return 0
        relative = _lufs(float(self._sums.sum() / count)) + _RELATIVE_GATE_LU
        return max(0, math.ceil((relative - _ABSOLUTE_GATE_LUFS) / _BIN_LU))


def _lufs(mean_square: float) -> float:
    return _OFFSET_LUFS + 10 * math.log10(mean_square) if mean_square > 0 else -math.inf


# The limiter.

_BLOCK = 16
"""The gain is reckoned for a third of a millisecond at a time, and drawn straight from one to the next."""
_ATTACK = 5
"""In blocks: so long before a peak the gain begins to go down."""
_RELEASE = _BLOCK / (0.2 * MOUTH_RATE_HZ)
"""By which the gain rises a block: from nothing to all in 0.2 s, from 3 dB of reduction in 60 ms."""
_TAPS = 12
"""Of the interpolation at the three points between two samples, which makes fourfold oversampling."""
_BEFORE = _TAPS // 2 - 1
"""Samples of the interpolation that lie before the one after which it interpolates."""
_AFTER = _TAPS - 1 - _BEFORE

LOOKAHEAD_SAMPLES = (_ATTACK + 2) * _BLOCK + _AFTER

_CEILING = 10 ** ((CEILING_DBTP - 0.1) / 20)
"""A tenth lower, for what lies between the points of the interpolation."""
_SUSPECT = _CEILING / 2
"""Speech that was resampled has no peak between samples that is 6 dB over all of those around it."""


@cache
def _between() -> _Sound:
    """The interpolation at a quarter, a half and three quarters after a sample, shape (_TAPS, 3)."""
    at = np.arange(-_BEFORE, _AFTER + 1)[:, None] - np.array([0.25, 0.5, 0.75])
    kaiser = np.i0(6.0 * np.sqrt(1 - (at / (_TAPS / 2)) ** 2)) / np.i0(6.0)
    return np.asarray(np.sinc(at) * kaiser, np.float32)


class Leveller:
    """Brings one segment of mono s16 at 48 kHz to a loudness. Made anew for each segment."""

    __slots__ = ("_factor", "_gains", "_levels", "_needs", "_sound", "_unseen")

    def __init__(self, gain_db: float) -> None:
        self._factor = np.float32(10 ** (gain_db / 20))
        self._sound: _Sound = np.zeros(_BEFORE, np.float32)
        """What has not left, and ``_BEFORE`` samples before that."""
        self._unseen = 0
        """The first of its blocks whose peak is not known."""
        self._needs: _Floats = np.ones(1)
        """The gain that each block may have at most: of the block before the first without a level, and after it."""
        self._levels: _Floats = np.ones(0)
        """The lowest of these ahead, going up slowly: of the last ``_ATTACK`` blocks."""
        self._gains: _Floats = np.ones(0)
        """At the beginning of each block that has not left, as far as they are known."""

    def push(self, pcm: bytes, *, last: bool = False) -> bytes:
        """Takes the next audio, of any even length; gives what may leave: with ``last`` all, and no more may come."""
        fresh = samples_of(pcm).astype(np.float32) * (self._factor / np.float32(32768))
        padding = _AFTER + _BLOCK if last else 0
        self._sound = np.concatenate([self._sound, fresh, np.zeros(padding, np.float32)])
        needs = self._look()
        if last:
            needs = np.concatenate([needs, np.ones(_ATTACK + 2)])
        self._gains = np.concatenate([self._gains, self._smooth(needs)])
        count = max(0, len(self._gains) - 1)
        waiting = len(self._sound) - _BEFORE - padding
        sound = self._sound[_BEFORE : _BEFORE + (waiting if last else count * _BLOCK)]
        if count and self._gains.min() < 1.0:
            ramp = np.arange(_BLOCK) / _BLOCK
            gains = self._gains[:-1, None] + np.diff(self._gains)[:, None] * ramp
            sound = sound * gains.ravel()[: len(sound)].astype(np.float32)
        out = np.clip(np.rint(sound * np.float32(32768)), -32768, 32767)
        self._sound = self._sound[count * _BLOCK :]
        self._unseen -= count
        self._gains = self._gains[count:]
        return bytes(out.astype("<i2").tobytes())

    def _look(self) -> _Floats:
        """What the blocks need whose surroundings are known now."""
        count = max(0, (len(self._sound) - _BEFORE - _AFTER) // _BLOCK - self._unseen)
        needs = np.ones(count)
        if not count:
            return needs
        start, width = self._unseen * _BLOCK, _BEFORE + _BLOCK + _AFTER
        self._unseen += count
        around: _Sound = np.lib.stride_tricks.sliding_window_view(self._sound[start:], width)[::_BLOCK][:count]
        suspects = np.flatnonzero(np.maximum(around.max(axis=1), -around.min(axis=1)) > _SUSPECT)
        if not len(suspects):
            return needs
        blocks = np.ascontiguousarray(around[suspects])
        windows = np.lib.stride_tricks.sliding_window_view(blocks, _TAPS, axis=1)
        points = np.abs(windows.reshape(-1, _TAPS) @ _between()).reshape(len(suspects), -1).max(axis=1)
        samples = np.abs(blocks[:, _BEFORE : _BEFORE + _BLOCK]).max(axis=1)
        needs[suspects] = np.minimum(1.0, _CEILING / np.maximum(points, samples).astype(np.float64))
        return needs

    def _smooth(self, needs: _Floats) -> _Floats:
        """The gains at the beginnings of the next blocks, none of them above what the blocks beside it need."""
        self._needs = np.concatenate([self._needs, needs])
        count = len(self._needs) - 1 - _ATTACK
        if count <= 0:
            return np.ones(0)
        at_edges = np.minimum(self._needs[:-1], self._needs[1:])
        self._needs = self._needs[count:]
        lowest = np.lib.stride_tricks.sliding_window_view(at_edges, _ATTACK + 1).min(axis=1)
        rise = _RELEASE * np.arange(count)
        falling = lowest - rise
        if len(self._levels):
            falling[0] = min(falling[0], self._levels[-1] + _RELEASE)
            levels = np.minimum.accumulate(falling) + rise
            levels = np.concatenate([self._levels, levels])
        else:
            levels = np.minimum.accumulate(falling) + rise
            levels = np.concatenate([np.full(_ATTACK, levels[0]), levels])
        self._levels = np.asarray(levels[-_ATTACK:], np.float64)
        smooth: _Floats = np.lib.stride_tricks.sliding_window_view(levels, _ATTACK + 1).mean(axis=1)
        return smooth
