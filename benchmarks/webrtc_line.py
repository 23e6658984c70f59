"""Human speech over a lossy line on virtual time, through our ear and through aiortc's stock receive buffer.

Both get the same packets at the same times. What comes out is heard by the VAD and the recognizer in
``webrtc_media``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache

from aiortc.codecs.opus import OpusDecoder as StockDecoder
from aiortc.jitterbuffer import JitterBuffer as StockBuffer
from aiortc.rtp import RtpPacket

from antiphon.audio import EAR_RATE_HZ, FRAME_BYTES, FRAME_MS, FRAME_SAMPLES, MOUTH_RATE_HZ, Resampler, resample
from antiphon.session.pacer import Pacer
from antiphon.sim.lossy_line import LineQuality, LossyLine
from antiphon.sim.speech import recordings
from antiphon.sim.virtual_time import run_virtual
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.opus import OpusEncoder

FRAME_S = FRAME_MS / 1000
PAUSE_FRAMES = 100
"""Silence before, between and after the recordings."""

_STOCK_CAPACITY, _STOCK_PREFETCH = 16, 4
"""As aiortc's receiver makes its buffer for audio."""


@dataclass
class Heard:
    """What came out of a buffer, when, and what became of the frames."""

    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    """Mono s16 at 16 kHz with the time at which it was there."""
    delays_ms: list[float] = field(default_factory=list)
    """From when a frame was sent to when it was heard."""
    missing: float = 0.0
    """The share of the frames that were sent and not heard as they were sent."""
    restored: float = 0.0
    """The share of these for which there was error correction in the next packet."""

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.pieces)


@cache
def frames() -> tuple[bytes, ...]:
    """The recordings, with pauses, in frames of 20 ms at 48 kHz."""
    pause = bytes(PAUSE_FRAMES * FRAME_BYTES)
    spoken = [resample(recording.pcm, EAR_RATE_HZ, MOUTH_RATE_HZ) for recording in recordings()]
    pcm = pause + b"".join(speech + pause for speech in spoken)
    return tuple(pcm[at : at + FRAME_BYTES] for at in range(0, len(pcm) - FRAME_BYTES + 1, FRAME_BYTES))


@cache
def packets(loss_percent: int) -> tuple[bytes, ...]:
    """As a browser on a desktop makes them that was told of this loss."""
    encoder = OpusEncoder(complexity=9, loss_percent=loss_percent)
    return tuple(encoder.encode(frame) for frame in frames())


def arrivals(quality: LineQuality, seed: int) -> list[tuple[float, int, bytes]]:
    """When which packet arrives, in the order of arrival."""
    line = LossyLine(quality, seed)
    coming = [
        (number * FRAME_S + delay_s, number, payload)
        for number, payload in enumerate(packets(round(quality.loss * 100)))
        for delay_s in line.fate()
    ]
    return sorted(coming, key=lambda arrival: arrival[0])


Take = Callable[[int, bytes], None]


async def _deliver(coming: Sequence[tuple[float, int, bytes]], take: Take) -> None:
    loop = asyncio.get_running_loop()
    start = loop.time()
    for at, number, payload in coming:
        if (wait_s := start + at - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        take(number, payload)
    await asyncio.sleep(1.0)


def through_ours(quality: LineQuality, seed: int) -> Heard:
    async def run() -> Heard:
        loop, heard, samples = asyncio.get_running_loop(), Heard(), 0
        start = loop.time()
        coming = arrivals(quality, seed)
        first = min(number for _, number, _ in coming[:1])

        def hear(pcm: bytes) -> None:
            nonlocal samples
            now = loop.time() - start
            heard.pieces.append((now, pcm))
            heard.delays_ms.append((now - first * FRAME_S - samples / EAR_RATE_HZ) * 1000)
            samples += len(pcm) // 2

        ear = Ear(hear, Pacer())
        await _deliver(
            coming, lambda number, payload: ear.packet("opus", 1, number % 2**16, number * FRAME_SAMPLES, payload)
        )
        ear.close()
        sent = len(frames())
        heard.delays_ms = heard.delays_ms[:sent]
        heard.missing = ear.counts.lost / sent
        heard.restored = ear.restored / max(ear.counts.lost, 1)
        return heard

    return run_virtual(run())


def through_stock(quality: LineQuality, seed: int) -> Heard:
    async def run() -> Heard:
        loop, heard, whole = asyncio.get_running_loop(), Heard(), set[int]()
        start = loop.time()
        buffer, decoder = StockBuffer(_STOCK_CAPACITY, _STOCK_PREFETCH), StockDecoder()
        resampler = Resampler(MOUTH_RATE_HZ, EAR_RATE_HZ)

        def take(number: int, payload: bytes) -> None:
            packet = RtpPacket(sequence_number=number % 2**16, timestamp=number * FRAME_SAMPLES, payload=payload)
            packet._data = payload  # type: ignore[attr-defined]
            _, encoded = buffer.add(packet)
            if encoded is None:
                return
            now = loop.time() - start
            whole.add(encoded.timestamp)
            heard.delays_ms.append((now - encoded.timestamp / MOUTH_RATE_HZ) * 1000)
            for frame in decoder.decode(encoded):
                stereo = frame.to_ndarray().reshape(-1, 2)  # type: ignore[attr-defined]
                heard.pieces.append((now, resampler.push(stereo[:, 0].tobytes())))

        await _deliver(arrivals(quality, seed), take)
        # The last frames stay in the buffer until others come; they are not counted against it.
        heard.missing = 1 - len(whole) / (len(frames()) - _STOCK_PREFETCH)
        return heard

    return run_virtual(run())
