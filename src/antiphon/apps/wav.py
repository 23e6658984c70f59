"""WAV files: reads PCM and float files of any rate and channel count, writes stereo ones."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from antiphon.audio import Samples, resample
from antiphon.errors import ConfigError

_EXTENSIBLE = 0xFFFE
"""The format tag of mmreg.h whose real tag (1 for PCM, 3 for float) opens the sub-format GUID, at byte 24."""


def read_wav(path: Path, rate_hz: int) -> bytes:
    """The file as mono s16 at ``rate_hz``, channels mixed. Raises ConfigError that says what is wrong with the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    chunks = _chunks(data)
    if chunks is None or b"fmt " not in chunks or b"data" not in chunks:
        raise ConfigError(f"{path} is not a WAV file")
    header = chunks[b"fmt "]
    if len(header) < 16:
        raise ConfigError(f"{path} has a damaged header")
    tag, channels, file_rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", header)
    if tag == _EXTENSIBLE and len(header) >= 26:
        (tag,) = struct.unpack_from("<H", header, 24)
    if channels < 1 or file_rate_hz < 1:
        raise ConfigError(f"{path} has a damaged header")
    values = _decode(chunks[b"data"], tag, bits)
    if values is None:
        raise ConfigError(f"{path} holds format {tag} with {bits} bits: convert it to 16-bit PCM")
    mono = values[: len(values) // channels * channels].reshape(-1, channels).mean(axis=1)
    pcm = np.clip(np.rint(mono * 32768), -32768, 32767).astype("<i2").tobytes()
    return resample(pcm, file_rate_hz, rate_hz)


def _chunks(data: bytes) -> dict[bytes, bytes] | None:
    """The RIFF chunks by name. A last chunk that claims to be longer than the file, as streamed ones do, is cut."""
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
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


def write_stereo(path: Path, left: Samples, right: Samples, rate_hz: int) -> None:
    """Writes 16-bit stereo; the shorter side is filled with silence. Raises ConfigError when it cannot be written."""
    count = max(len(left), len(right))
    both = np.zeros((count, 2), "<i2")
    both[: len(left), 0] = left
    both[: len(right), 1] = right
    try:
        with path.open("wb") as stream, wave.open(stream) as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(both.tobytes())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
