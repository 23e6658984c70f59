"""The audio formats of the wire, to the ear and from the mouth, as streams."""

from __future__ import annotations

from enum import Enum
from typing import Any

from antiphon.audio import (
    EAR_RATE_HZ,
    G711_RATE_HZ,
    MOUTH_RATE_HZ,
    WIRE_PCM_RATE_HZ,
    alaw_decode,
    alaw_encode,
    ulaw_decode,
    ulaw_encode,
)
from antiphon.resampling import LiveResampler


class AudioFormat(Enum):
    PCM = "audio/pcm"
    """Mono s16 at 24 kHz."""
    PCMU = "audio/pcmu"
    """G.711 mu-law at 8 kHz."""
    PCMA = "audio/pcma"
    """G.711 A-law at 8 kHz."""

    @property
    def rate_hz(self) -> int:
        return WIRE_PCM_RATE_HZ if self is AudioFormat.PCM else G711_RATE_HZ

    @property
    def sample_bytes(self) -> int:
        return 2 if self is AudioFormat.PCM else 1

    def wire(self) -> dict[str, Any]:
        if self is AudioFormat.PCM:
            return {"type": self.value, "rate": self.rate_hz}
        return {"type": self.value}

    def to_pcm(self, data: bytes) -> bytes:
        """Bytes of the wire as mono s16 at ``rate_hz``."""
        if self is AudioFormat.PCM:
            return data
        return ulaw_decode(data) if self is AudioFormat.PCMU else alaw_decode(data)

    def from_pcm(self, pcm: bytes) -> bytes:
        """Mono s16 at ``rate_hz`` as bytes of the wire."""
        if self is AudioFormat.PCM:
            return pcm
        return ulaw_encode(pcm) if self is AudioFormat.PCMU else alaw_encode(pcm)


class EarDecoder:
    """A client's audio, as it comes, to what the ear takes: mono s16 at 16 kHz."""

    __slots__ = ("_odd", "_resampler", "format")

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format = audio_format
        self._resampler = LiveResampler(audio_format.rate_hz, EAR_RATE_HZ)
        self._odd = b""

    def push(self, data: bytes) -> bytes:
        """Any number of bytes; half a sample waits for its other half."""
        if self.format is AudioFormat.PCM:
            if self._odd:
                data = self._odd + data
            whole = len(data) & ~1
            self._odd = data[whole:]
            data = data[:whole]
        return self._resampler.push(self.format.to_pcm(data))

    def drop_odd(self) -> None:
        """Forgets half a sample: what comes next begins with a whole one."""
        self._odd = b""


class MouthEncoder:
    """A reply's audio, mono s16 at 48 kHz, to what the client takes."""

    __slots__ = ("_format", "_resampler")

    def __init__(self, audio_format: AudioFormat) -> None:
        self._format = audio_format
        self._resampler = LiveResampler(MOUTH_RATE_HZ, audio_format.rate_hz)

    def push(self, pcm: bytes, *, last: bool = False) -> bytes:
        """``last`` gives out what the filter still holds."""
        return self._format.from_pcm(self._resampler.push(pcm, last=last))


def to_ear(data: bytes, audio_format: AudioFormat) -> bytes:
    """A whole recording in a format of the wire as mono s16 at 16 kHz."""
    pcm = audio_format.to_pcm(data[: len(data) // audio_format.sample_bytes * audio_format.sample_bytes])
    return LiveResampler(audio_format.rate_hz, EAR_RATE_HZ).push(pcm, last=True)


def from_ear(pcm: bytes, audio_format: AudioFormat) -> bytes:
    """A whole recording of the ear, mono s16 at 16 kHz, in a format of the wire."""
    return audio_format.from_pcm(LiveResampler(EAR_RATE_HZ, audio_format.rate_hz).push(pcm, last=True))
