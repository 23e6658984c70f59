"""Audio: rates, G.711, and stateful resampling. Everything inside is mono signed 16-bit little-endian PCM."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

EAR_RATE_HZ = 16_000
"""What recognizers and VAD hear."""

MOUTH_RATE_HZ = 48_000
"""What synthesizers produce and playout sends."""

FRAME_MS = 20
FRAME_SAMPLES = MOUTH_RATE_HZ * FRAME_MS // 1000
FRAME_BYTES = FRAME_SAMPLES * 2

WIRE_PCM_RATE_HZ = 24_000
"""``audio/pcm`` on the Realtime wire."""

G711_RATE_HZ = 8_000
"""``audio/pcmu`` and ``audio/pcma``."""

AUDIBLE = 128
"""A sample beyond this magnitude (-48 dB of full scale) is heard; below are dither and the tails of fades."""

Samples = npt.NDArray[np.int16]


def samples_of(pcm: bytes | bytearray | memoryview) -> Samples:
    """A view of PCM bytes as int16 samples, shape (n,). Raises ValueError on an odd byte count."""
    return np.frombuffer(pcm, dtype="<i2")


def ms_to_bytes(ms: float, rate_hz: int) -> int:
    """The number of bytes of ``ms`` milliseconds of mono s16, a whole number of samples."""
    return int(ms * rate_hz / 1000) * 2


def bytes_to_ms(count: int, rate_hz: int) -> float:
    """How long so many bytes of mono s16 last."""
    return count / 2 * 1000 / rate_hz


def first_audible(pcm: bytes) -> int | None:
    """The index of the first sample that is heard; None in silence."""
    loud = np.flatnonzero(np.abs(samples_of(pcm).astype(np.int32)) > AUDIBLE)
    return int(loud[0]) if len(loud) else None


class Resampler:
    """Resamples a stream of mono s16 with soxr, keeping its filter's state between calls.

    One instance belongs to one stream. ``quality`` is soxr's ("QQ", "LQ", "MQ", "HQ", "VHQ").
    """

    __slots__ = ("_from_hz", "_quality", "_stream", "_to_hz")

    def __init__(self, from_hz: int, to_hz: int, quality: str = "MQ") -> None:
        self._from_hz = from_hz
        self._to_hz = to_hz
        self._quality = quality
        self._stream: soxr.ResampleStream | None = None
        self.reset()

    def push(self, pcm: bytes | memoryview, *, last: bool = False) -> bytes:
        """Feeds s16 bytes at ``from_hz``, returns what is ready at ``to_hz``. ``last`` flushes the filter."""
        if self._stream is None:
            return bytes(pcm)
        return bytes(self._stream.resample_chunk(samples_of(pcm), last=last))

    def reset(self) -> None:
        """Forgets the stream so far; a new one may begin. Needed after ``last``."""
        if self._from_hz != self._to_hz:
            self._stream = soxr.ResampleStream(self._from_hz, self._to_hz, 1, dtype="int16", quality=self._quality)


def resample(pcm: bytes, from_hz: int, to_hz: int, quality: str = "HQ") -> bytes:
    """Resamples a whole recording at once."""
    return Resampler(from_hz, to_hz, quality).push(pcm, last=True)


# ITU-T G.711, from the segment definitions of the recommendation (tables 1 and 2), as 8-bit lookup tables.


def _ulaw_table() -> Samples:
    code = ~np.arange(256, dtype=np.int32) & 0xFF
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)
    value = magnitude - 0x84
    return np.where(code & 0x80, -value, value).astype(np.int16)


def _alaw_table() -> Samples:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    mantissa, segment = code & 0x0F, (code >> 4) & 7
    value = np.where(segment == 0, (mantissa << 4) + 8, ((mantissa << 4) + 0x108) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, value, -value).astype(np.int16)


_ULAW = _ulaw_table()
_ALAW = _alaw_table()


def _encoder(table: Samples) -> npt.NDArray[np.uint8]:
    """For each of the 65536 values, the code whose decoded value is nearest."""
    order = np.argsort(table, kind="stable")
    values = table[order].astype(np.int32)
    wanted = np.arange(-32768, 32768, dtype=np.int32)
    upper = np.clip(np.searchsorted(values, wanted), 1, len(values) - 1)
    nearer_low = wanted - values[upper - 1] <= values[upper] - wanted
    codes = order[np.where(nearer_low, upper - 1, upper)].astype(np.uint8)
    return np.roll(codes, -32768)  # indexable by the value's own uint16 bit pattern


_TO_ULAW = _encoder(_ULAW)
_TO_ULAW[0] = 0xFF  # of the two zeros, the one that lines idle on
_TO_ALAW = _encoder(_ALAW)
_TO_ALAW[0] = 0xD5  # A-law has no zero; of the two nearest, the positive one


def ulaw_decode(data: bytes) -> bytes:
    """G.711 mu-law, a byte a sample, as mono s16."""
    return bytes(_ULAW[np.frombuffer(data, np.uint8)])


def ulaw_encode(pcm: bytes) -> bytes:
    """Mono s16 as G.711 mu-law, to the nearest of its values. Raises ValueError on an odd byte count."""
    return bytes(_TO_ULAW[np.frombuffer(pcm, "<u2")])


def alaw_decode(data: bytes) -> bytes:
    """G.711 A-law, a byte a sample, as mono s16."""
    return bytes(_ALAW[np.frombuffer(data, np.uint8)])


def alaw_encode(pcm: bytes) -> bytes:
    """Mono s16 as G.711 A-law, to the nearest of its values. Raises ValueError on an odd byte count."""
    return bytes(_TO_ALAW[np.frombuffer(pcm, "<u2")])
