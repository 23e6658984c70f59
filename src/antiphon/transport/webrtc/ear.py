"""The ear of a call: RTP packets in, the user's audio out, 16 kHz mono s16, with what was lost concealed.

All calls are made in the event loop. A packet is decoded as it arrives; the shared pacer asks every 20 ms whether a
gap has waited long enough. Decoding takes some 20 us, so no thread has to be woken for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from antiphon.audio import EAR_RATE_HZ, FRAME_MS, G711_RATE_HZ, alaw_decode, ulaw_decode
from antiphon.core.jitter import Counts, JitterBuffer, Lost, Packet, Silence
from antiphon.errors import ConfigError
from antiphon.resampling import LiveResampler
from antiphon.session.pacer import Pacer
from antiphon.transport.webrtc.opus import CLOCK_HZ, OpusDecoder, OpusError, packet_samples

CODECS = ("opus", "pcmu", "pcma")
"""What the ear and the mouth speak, best first; names in lower case."""

CONCEALED_MS = 100
"""A gap is filled with what the decoder makes up for so long, and with silence from then on."""

_ASLEEP_S = 2.5 * FRAME_MS / 1000
"""A tick so long after the one before: the loop stood still, and what arrived meanwhile is read before a gap counts."""


class Decoder(Protocol):
    """Of one stream: what it gives is mono s16 at 16 kHz. Samples count the RTP clock, ``clock_hz``."""

    @property
    def clock_hz(self) -> int: ...

    def samples(self, payload: bytes) -> int:
        """How much audio a packet holds. Raises OpusError when it is damaged."""
        ...

    def decode(self, payload: bytes) -> bytes:
        """Raises OpusError when it is damaged."""
        ...

    def conceal(self, samples: int, following: bytes | None) -> bytes:
        """At least so much. Raises OpusError when ``following``, the packet after the lost one, is damaged."""
        ...

    def close(self) -> None: ...


class _Opus:
    clock_hz = CLOCK_HZ
    _STEP = CLOCK_HZ // 400
    """libopus conceals in whole 2.5 ms."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder(EAR_RATE_HZ)
        self.decode = self._decoder.decode
        self.close = self._decoder.close

    def samples(self, payload: bytes) -> int:
        return packet_samples(payload)

    def conceal(self, samples: int, following: bytes | None) -> bytes:
        whole = -(-samples // self._STEP) * self._STEP
        return self._decoder.conceal(whole, following if whole == samples else None)


class _G711:
    clock_hz = G711_RATE_HZ

    def __init__(self, decode: Callable[[bytes], bytes]) -> None:
        self._decode = decode
        self._resampler = LiveResampler(G711_RATE_HZ, EAR_RATE_HZ)
        self._last = b""

    def samples(self, payload: bytes) -> int:
        return len(payload)

    def decode(self, payload: bytes) -> bytes:
        self._last = payload
        return self._resampler.push(self._decode(payload))

    def conceal(self, samples: int, following: bytes | None) -> bytes:
        """The last packet once more, as ITU-T G.711 Appendix I begins; then silence."""
        again, self._last = self._last, b""
        pcm = self._decode(again[-samples:])
        return self._resampler.push(pcm.ljust(2 * samples, b"\0"))

    def close(self) -> None:
        """Nothing to free."""


def make_decoder(codec: str) -> Decoder:
    """The decoder for a name of ``CODECS``, in any case. Raises ConfigError for another."""
    match codec.lower():
        case "opus":
            return _Opus()
        case "pcmu":
            return _G711(ulaw_decode)
        case "pcma":
            return _G711(alaw_decode)
        case other:
            raise ConfigError(f"no audio codec {other!r}: offer one of {', '.join(CODECS)}")


class Ear:
    """Of one call. It starts with the first packet and listens until ``close``."""

    def __init__(self, heard: Callable[[bytes], None], pacer: Pacer) -> None:
        """``heard`` is called with pieces of any even length, mostly of one packet, each moment exactly once."""
        self._heard = heard
        self._pacer = pacer
        self._loop = asyncio.get_running_loop()
        self._codec = ""
        self._source = -1
        self._decoder: Decoder | None = None
        self._buffer = JitterBuffer(CLOCK_HZ)
        self._concealed_ms = 0.0
        """How much of the latest audio was made up."""
        self._rest = 0
        """What is left of gaps beyond whole samples of the ear's rate, in 1 / (clock_hz * EAR_RATE_HZ) s."""
        self._ticked_at = 0.0
        self._closed = False
        self.damaged = 0
        """Packets that could not be decoded."""
        self.restored = 0
        """Lost packets for which the next one was asked."""

    @property
    def counts(self) -> Counts:
        """Of the stream that is on, see there."""
        return self._buffer.counts

    @property
    def wait_ms(self) -> float:
        """How long a gap waits at most, at present."""
        return self._buffer.wait_s * 1000

    @property
    def waiting_packets(self) -> int:
        """How many packets wait behind a gap."""
        return self._buffer.waiting_packets

    def packet(self, codec: str, source: int, sequence: int, timestamp: int, payload: bytes) -> None:
        """Takes an RTP packet as it arrives; ``source`` is its SSRC. Raises ConfigError for a codec unknown to us."""
        if self._closed:
            return
        if codec != self._codec or source != self._source:
            self._begin(codec, source)
        assert self._decoder is not None
        try:
            samples = self._decoder.samples(payload) if payload else 0
        except OpusError:
            self.damaged += 1
            return
        now = self._loop.time()
        self._buffer.put(Packet(sequence, timestamp, samples, payload), now)
        self._drain(now)

    def _begin(self, codec: str, source: int) -> None:
        """A new stream takes the place of the one before."""
        decoder = make_decoder(codec)
        if self._decoder is None:
            self._ticked_at = self._loop.time()
            self._pacer.join(self._tick)
        else:
            self._decoder.close()
        self._decoder = decoder
        self._codec, self._source = codec, source
        self._buffer = JitterBuffer(decoder.clock_hz)
        self._rest = 0

    def _tick(self, now: float) -> None:
        asleep = now - self._ticked_at > _ASLEEP_S or now == self._ticked_at
        self._ticked_at = now
        if not asleep:
            self._drain(now)
            while not self._closed and (silence := self._buffer.pull_idle(now)) is not None:
                self._hear(silence)

    def _drain(self, now: float) -> None:
        while not self._closed and (piece := self._buffer.pull(now)) is not None:
            self._hear(piece)

    def _hear(self, piece: Packet | Lost | Silence) -> None:
        if pcm := self._sound_of(piece):
            self._heard(pcm)

    def _sound_of(self, piece: Packet | Lost | Silence) -> bytes:
        assert self._decoder is not None
        match piece:
            case Packet(payload=payload, samples=samples):
                try:
                    pcm = self._decoder.decode(payload)
                except OpusError:
                    self.damaged += 1
                    return self._made_up(samples, None)
                self._concealed_ms = 0
                return pcm
            case Lost(samples=samples, following=following):
                self.restored += following is not None
                return self._made_up(samples, following)
            case Silence(samples=samples):
                return self._made_up(samples, None)

    def _made_up(self, samples: int, following: bytes | None) -> bytes:
        assert self._decoder is not None
        clock_hz = self._decoder.clock_hz
        count, self._rest = divmod(samples * EAR_RATE_HZ + self._rest, clock_hz)
        if following is None and (self._concealed_ms >= CONCEALED_MS or samples > clock_hz * CONCEALED_MS // 1000):
            return bytes(2 * count)
        self._concealed_ms += samples * 1000 / clock_hz
        try:
            pcm = self._decoder.conceal(samples, following)
        except OpusError:  # the next one is damaged, and is found so again in its turn
            pcm = self._decoder.conceal(samples, None)
        return pcm[: 2 * count]

    def close(self) -> None:
        """Hears nothing more, and frees the decoder. No harm if done twice."""
        self._closed = True
        self._pacer.leave(self._tick)
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None
