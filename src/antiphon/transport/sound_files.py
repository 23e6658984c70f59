"""Sound as files have it: encoded while it is made, decoded when it was sent whole.

PCM and WAV need nothing. The rest is libsndfile's (through the package ``soundfile``), where it is installed.
"""

from __future__ import annotations

import importlib
import io
import struct
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from antiphon.audio import EAR_RATE_HZ, WIRE_PCM_RATE_HZ, resample, samples_of
from antiphon.errors import ProtocolError
from antiphon.riff import is_wav, parse_wav

RATE_HZ = WIRE_PCM_RATE_HZ
"""Of all that is encoded here, mono: what clients of ``/v1/audio/speech`` expect of ``pcm``."""

_BLOCK_FRAMES = 1 << 16

_UNKNOWN_SIZE = 0xFFFFFFFF
"""In place of a length that is not known yet; readers go on to the end of the stream."""

_BY_LIBRARY = {
    "mp3": ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
    "opus": ("OGG", "OPUS", "audio/ogg"),
    "flac": ("FLAC", "PCM_16", "audio/flac"),
}
"""libsndfile's format and subtype, and the content type."""


class Encoder(Protocol):
    """Encodes one stream. ``encode`` takes mono s16 at 24 kHz and returns what is ready; it may run in a thread."""

    content_type: str

    def encode(self, pcm: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Pcm:
    content_type = "audio/pcm"

    def encode(self, pcm: bytes) -> bytes:
        return pcm

    def finish(self) -> bytes:
        return b""


class _Wav(_Pcm):
    content_type = "audio/wav"

    def __init__(self) -> None:
        form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
        self._header = b"RIFF" + struct.pack("<I", _UNKNOWN_SIZE) + b"WAVE" + form
        self._header += b"data" + struct.pack("<I", _UNKNOWN_SIZE)

    def encode(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        return self.encode(b"")


class _Tail(io.RawIOBase):
    """A file whose beginning has left already. What is written over it is dropped: lengths in headers, mostly."""

    def __init__(self) -> None:
        super().__init__()
        self._gone = 0
        self._kept = bytearray()
        self._at = 0

    def take(self) -> bytes:
        taken = bytes(self._kept)
        self._gone += len(taken)
        self._kept.clear()
        return taken

    def write(self, data: Any) -> int:
        written = bytes(data)
        start = self._at - self._gone
        if start >= 0:
            self._kept[start : start + len(written)] = written
        self._at += len(written)
        return len(written)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._gone + len(self._kept)}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True


class _BySoundFile:
    def __init__(self, library: Any, name: str) -> None:
        kind, subtype, self.content_type = _BY_LIBRARY[name]
        self._tail = _Tail()
        # At a constant rate (80 kbit/s) readers find the length of an MP3 whose header left before it was known.
        rate = {"compression_level": 0.5, "bitrate_mode": "CONSTANT"} if name == "mp3" else {}
        self._file = library.SoundFile(self._tail, "w", RATE_HZ, 1, format=kind, subtype=subtype, **rate)

    def encode(self, pcm: bytes) -> bytes:
        self._file.write(samples_of(pcm))
        return self._tail.take()

    def finish(self) -> bytes:
        self._file.close()
        return self._tail.take()


def _library() -> Any:
    """The package, or None where it is not installed or its library cannot be loaded."""
    try:
        return importlib.import_module("soundfile")
    except (ImportError, OSError):
        return None


def make_encoder(name: str | None) -> Encoder:
    """For a ``response_format``: without one it is MP3 as OpenAI's, or WAV where that cannot be had.

    Raises ProtocolError for a format that cannot be made here.
    """
    library = None if name in ("pcm", "wav") else _library()
    if name is None:
        name = "wav" if library is None else "mp3"
    if name == "pcm":
        return _Pcm()
    if name == "wav":
        return _Wav()
    if name in _BY_LIBRARY and library is not None:
        return _BySoundFile(library, name)
    if name in _BY_LIBRARY:
        wanted = "pcm or wav here; for the others install the package 'soundfile' on the server"
    else:
        wanted = f"pcm, wav, {', '.join(_BY_LIBRARY)}"
    raise ProtocolError(
        f"response_format {name!r} cannot be made: use {wanted}", code="unsupported_format", param="response_format"
    )


@dataclass(frozen=True, slots=True)
class Sound:
    """Mono s16 at 16 kHz."""

    pcm: bytes
    duration_s: float


def decode(data: bytes, limit_s: float) -> Sound:
    """A file's sound; costs a thread some time. Raises ProtocolError where it cannot be read, or is over the limit."""
    if is_wav(data):
        return _decode_wav(data, limit_s)
    library = _library()
    if library is None:
        raise _unreadable("only WAV can be read here; for other formats install the package 'soundfile' on the server")
    try:
        with library.SoundFile(io.BytesIO(data)) as file:
            # Files that were streamed tell a wrong length or none; as if it could not seek, it reads to the true end.
            file.seekable = lambda: False
            rate_hz = int(file.samplerate)
            mono = _read_mono(file, rate_hz, limit_s)
    except library.LibsndfileError as error:
        raise _unreadable(f"it is in no format that can be read: {error}") from None
    except (RuntimeError, ValueError, ZeroDivisionError) as error:
        raise _unreadable(str(error)) from None
    return Sound(resample(mono, rate_hz, EAR_RATE_HZ), len(mono) / 2 / rate_hz)


def _read_mono(file: Any, rate_hz: int, limit_s: float) -> bytes:
    mono = bytearray()
    while len(block := file.read(frames=_BLOCK_FRAMES, dtype="float32", always_2d=True)):
        mono += np.clip(np.rint(block.mean(axis=1) * 32768), -32768, 32767).astype("<i2").tobytes()
        _check(len(mono) / 2 / rate_hz, limit_s)
    return bytes(mono)


def _decode_wav(data: bytes, limit_s: float) -> Sound:
    try:
        riff = parse_wav(data)
        _check(riff.duration_s, limit_s)
        return Sound(riff.pcm(EAR_RATE_HZ), riff.duration_s)
    except ValueError as error:
        raise _unreadable(f"it {error}") from None


def _check(duration_s: float, limit_s: float) -> None:
    if duration_s > limit_s:
        raise ProtocolError(
            f"The audio is longer than {limit_s:g} s: send it in parts", code="audio_too_long", param="file"
        )


def _unreadable(why: str) -> ProtocolError:
    return ProtocolError(f"The audio file cannot be read: {why}", code="unsupported_file", param="file")
