"""The mouth of a call: an aiortc track that sends frames as they are given, already encoded.

Whoever gives the frames keeps the time: the session's speaker, on the pacer. Between replies hardly anything is sent,
as with Opus's own DTX: five frames of silence, so that a listener's concealment does not draw out the last sound, then
one each 400 ms. The RTP clock runs on through the gaps, so that the first frame after one is played as it arrives.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.packet import Packet

from antiphon.audio import (
    FRAME_BYTES,
    FRAME_SAMPLES,
    G711_RATE_HZ,
    MOUTH_RATE_HZ,
    alaw_encode,
    ulaw_encode,
)
from antiphon.errors import ConfigError
from antiphon.resampling import LiveResampler
from antiphon.session.pacer import Pacer
from antiphon.transport.webrtc.ear import CODECS
from antiphon.transport.webrtc.opus import LEAST_LOSS_PERCENT, OpusEncoder

TAIL_FRAMES = 5
KEEP_ALIVE_FRAMES = 20
"""One frame of silence each 400 ms (RFC 6716, section 2.1.9)."""

_TIME_BASE = Fraction(1, MOUTH_RATE_HZ)
_SILENCE = bytes(FRAME_BYTES)
_WAITING_FRAMES = 10
"""Frames that the transport does not take beyond 200 ms push out the oldest."""
_STALL_S = 0.25
"""Frames so late were not delayed but left out: the pacer makes up for 0.2 s at most."""


class Mouth(MediaStreamTrack):
    """Of one call, in the event loop. Begin with ``start`` when the connection stands; ``stop`` ends it."""

    kind = "audio"

    def __init__(self, pacer: Pacer, codec: str = "opus") -> None:
        """``codec`` is the one that was negotiated, of ``CODECS`` in any case. Raises ConfigError for another."""
        super().__init__()
        self._pacer = pacer
        self._clock = asyncio.get_running_loop()
        self._opus = OpusEncoder() if codec.lower() == "opus" else None
        self._encode = self._opus.encode if self._opus is not None else _g711(codec.lower())
        self._packets: deque[Packet[Any]] = deque(maxlen=_WAITING_FRAMES)
        self._reader: asyncio.Future[None] | None = None
        self._next = 0
        """The RTP time of the next frame, in samples."""
        self._zero_at = 0.0
        """When RTP time 0 was."""
        self._spoke = False
        """A frame was given since the last tick."""
        self._quiet_frames = 0
        """Ticks without one."""
        self._ticking = False
        self.sent_samples = 0
        """How much of what was given has been handed to RTP, at 48 kHz; silence of our own does not count."""

    def start(self) -> None:
        """Sends a first frame of silence, and keeps the line alive from now on."""
        if not self._ticking and self.readyState == "live":
            self._ticking = True
            self._zero_at = self._clock.time()
            self._pacer.join(self._tick)
            self._put(_SILENCE)

    def send(self, pcm: bytes) -> None:
        """Sends a frame of ``FRAME_BYTES`` at once: 20 ms, mono s16 at 48 kHz. Raises ValueError for another length."""
        if len(pcm) != FRAME_BYTES:
            raise ValueError(f"a frame has {FRAME_BYTES} bytes, not {len(pcm)}")
        if self.readyState != "live":
            return
        self.start()
        late_s = self._clock.time() - self._zero_at - self._next / MOUTH_RATE_HZ
        if self._quiet_frames or late_s > _STALL_S:
            self._catch_up(late_s)
        self._spoke = True
        self._quiet_frames = 0
        self._put(pcm)
        self.sent_samples += FRAME_SAMPLES

    def expect_loss(self, percent: float) -> None:
        """What the listener reports as lost: error correction gets more bits. None is taken for little."""
        if self._opus is not None and self.readyState == "live":
            self._opus.expect_loss(max(percent, LEAST_LOSS_PERCENT))

    def _tick(self, now: float) -> None:
        if self._spoke:
            self._spoke = False
            return
        self._quiet_frames += 1
        if self._quiet_frames <= TAIL_FRAMES or self._quiet_frames % KEEP_ALIVE_FRAMES == 0:
            self._catch_up(now - self._zero_at - self._next / MOUTH_RATE_HZ)
            self._put(_SILENCE)

    def _catch_up(self, late_s: float) -> None:
        """After a gap the RTP clock stands where the time is."""
        self._next += max(0, round(late_s * MOUTH_RATE_HZ))

    def _put(self, pcm: bytes) -> None:
        packet = Packet(self._encode(pcm))
        packet.pts = self._next
        packet.time_base = _TIME_BASE
        self._next += FRAME_SAMPLES
        self._packets.append(packet)
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def recv(self) -> Packet[Any]:
        """For aiortc's sender: the next packet. Raises MediaStreamError when the track has ended."""
        while not self._packets:
            if self.readyState != "live":
                raise MediaStreamError
            self._reader = self._clock.create_future()
            await self._reader
        return self._packets.popleft()

    def stop(self) -> None:
        """Ends the track and frees the encoder. No harm if done twice."""
        self._pacer.leave(self._tick)
        self._packets.clear()
        super().stop()
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)
        if self._opus is not None:
            self._opus.close()


def _g711(codec: str) -> Callable[[bytes], bytes]:
    encoders = {"pcmu": ulaw_encode, "pcma": alaw_encode}
    if codec not in encoders:
        raise ConfigError(f"no audio codec {codec!r}: offer one of {', '.join(CODECS)}")
    resampler = LiveResampler(MOUTH_RATE_HZ, G711_RATE_HZ)
    encode = encoders[codec]
    size = FRAME_BYTES * G711_RATE_HZ // MOUTH_RATE_HZ
    return lambda pcm: encode(resampler.push(pcm).rjust(size, b"\0"))  # the first is short of the filter's reach
