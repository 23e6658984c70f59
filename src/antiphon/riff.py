"""WAV data in memory: PCM and float of any rate and channel count, read as mono s16."""

from __future__ import annotations

import io
import struct
import wave
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from antiphon.audio import resample

_EXTENSIBLE = 0xFFFE
"""The format tag of mmreg.h whose real tag (1 for PCM, 3 for float) opens the sub-format GUID, at byte 24."""


@dataclass(frozen=True, slots=True)
class Riff:
    """The parts of a WAV file that matter."""

    tag: int
    channels: int
    rate_hz: int
    bits: int
    data: bytes

    @property
    def duration_s(self) -> float:
        frame_bytes = self.channels * max(self.bits // 8, 1)
        return len(self.data) / frame_bytes / self.rate_hz

    def pcm(self, rate_hz: int) -> bytes:
        """Mono s16 at ``rate_hz``, channels mixed. Raises ValueError for a sample format that is not known."""
        values = _decode(self.data, self.tag, self.bits)
        if values is None:
            raise ValueError(f"holds format {self.tag} with {self.bits} bits: convert it to 16-bit PCM")
        mono = values[: len(values) // self.channels * self.channels].reshape(-1, self.channels).mean(axis=1)
        pcm = np.clip(np.rint(mono * 32768), -32768, 32767).astype("<i2").tobytes()
        return resample(pcm, self.rate_hz, rate_hz)


def wav_of(pcm: bytes, rate_hz: int) -> bytes:
    """A WAV file of mono s16."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate_hz)
        sound.writeframes(pcm)
    return file.getvalue()


def is_wav(data: bytes) -> bool:
    """Whether it begins as a WAV file does; what follows may be damaged all the same."""
    return data[:4] == b"RIFF" and data[8:12] == b"WAVE"


def parse_wav(data: bytes) -> Riff:
    """Raises ValueError that says what is wrong: "is not a WAV file", "has a damaged header"."""
    chunks = _chunks(data)
    if chunks is None or b"fmt " not in chunks or b"data" not in chunks:
        raise ValueError("is not a WAV file")
    header = chunks[b"fmt "]
    if len(header) < 16:
        raise ValueError("has a damaged header")
    tag, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", header)
    if tag == _EXTENSIBLE and len(header) >= 26:
        (tag,) = struct.unpack_from("<H", header, 24)
    if channels < 1 or rate_hz < 1:
        raise ValueError("has a damaged header")
    return Riff(tag, channels, rate_hz, bits, chunks[b"data"])


def _chunks(data: bytes) -> dict[bytes, bytes] | None:
    """The RIFF chunks by name. A last chunk that claims to be longer than the file, as streamed ones do, is cut."""
    if not is_wav(data):
        return None
    chunks: dict[bytes, bytes] = {}
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        chunks.setdefault(name, data[at + 8 : at + 8 + size])
        at += 8 + size + size % 2
    return chunks


def _decode(data: bytes, tag: int, bits: int) -> npt.NDArray[np.float64] | None:
    """Samples in -1..1; None for a format that is not known."""
    data = data[: len(data) // (bits // 8) * (bits // 8)] if bits >= 8 else b""
    match tag, bits:
        case (1, 8):
            return (np.frombuffer(data, np.uint8).astype(np.float64) - 128) / 128
        case (1, 16):
            return np.frombuffer(data, "<i2") / 32768.0
        case (1, 24):
            # Into the upper three bytes of 32-bit words, so that the sign is right.
            wide = np.zeros((len(data) // 3, 4), np.uint8)
            wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            return wide.view("<i4").reshape(-1) / 2147483648.0
        case (1, 32):
            return np.frombuffer(data, "<i4") / 2147483648.0
        case (3, 32):
            return np.frombuffer(data, "<f4").astype(np.float64)
        case (3, 64):
            return np.frombuffer(data, "<f8").astype(np.float64)
    return None
