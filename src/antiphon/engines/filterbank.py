"""Mel filter banks as Kaldi computes them, on which speaker models are trained: 16 kHz in, 80 bands each 10 ms out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from antiphon.audio import EAR_RATE_HZ, Samples

BANDS = 80
FRAME_SAMPLES = EAR_RATE_HZ * 25 // 1000
SHIFT_SAMPLES = EAR_RATE_HZ * 10 // 1000
"""A frame of 25 ms each 10 ms."""

_FFT = 512
_LOWEST_HZ = 20.0
_PREEMPHASIS = np.float32(0.97)
_FLOOR = np.float32(np.finfo(np.float32).eps)
_WINDOW = np.hamming(FRAME_SAMPLES).astype(np.float32)

_Floats = npt.NDArray[np.float32]


def _mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return np.asarray(1127.0 * np.log1p(np.asarray(hz, np.float64) / 700.0))


def _triangles() -> _Floats:
    """Each band's weights over the bins of the spectrum: triangles, evenly spaced in mel."""
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(EAR_RATE_HZ / 2), BANDS + 2)[:, np.newaxis]
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    bins = _mel(np.arange(_FFT // 2 + 1) * (EAR_RATE_HZ / _FFT))[np.newaxis]
    weights = np.minimum((bins - left) / (center - left), (right - bins) / (right - center))
    weights[:, -1] = 0.0  # Kaldi leaves out the bin at half the rate
    return np.maximum(weights, 0.0).T.astype(np.float32)


_WEIGHTS = _triangles()


def frames_in(samples: int) -> int:
    """How many whole frames so many samples have."""
    return max(0, 1 + (samples - FRAME_SAMPLES) // SHIFT_SAMPLES)


def filterbank(samples: Samples) -> _Floats:
    """The logarithms of the bands' energies, ``(frames_in(len(samples)), BANDS)``."""
    count = frames_in(len(samples))
    if count == 0:
        return np.zeros((0, BANDS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(samples, FRAME_SAMPLES)[::SHIFT_SAMPLES]
    frames = windows.astype(np.float32)
    frames -= frames.mean(axis=1, keepdims=True)
    frames[:, 1:] -= _PREEMPHASIS * frames[:, :-1]
    frames[:, 0] *= 1 - _PREEMPHASIS
    power = np.abs(np.fft.rfft(frames * _WINDOW, _FFT)).astype(np.float32) ** 2
    return np.asarray(np.log(np.maximum(power @ _WEIGHTS, _FLOOR)))
