"""A server that answers each call with what it hears: with our ear and mouth, or with aiortc's own receiver and sender.

``python -m benchmarks.webrtc_echo ours|stock`` takes an SDP offer as a line of JSON and answers with one, until its
input ends. ``Caller`` is a client of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import psutil
import uvloop
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription

from antiphon.audio import EAR_RATE_HZ, FRAME_BYTES, FRAME_SAMPLES, MOUTH_RATE_HZ, samples_of
from antiphon.resampling import LiveResampler
from antiphon.session.pacer import Pacer
from antiphon.sim.udp_relay import UdpRelay
from antiphon.transport.webrtc.aiortc_parts import listen, negotiate, speak
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.mouth import Mouth

BEEP_EACH_FRAMES = 50
BEEP_FRAMES = 3
_LOUD = 6000
"""In sample steps: a beep is at 12,000, and nothing else is said."""
_BEEP = (12_000 * np.sin(np.arange(FRAME_SAMPLES) * 2 * np.pi * 1000 / MOUTH_RATE_HZ)).astype("<i2").tobytes()
_CONNECT_S = 30.0


def _answered_by_ours(peer: RTCPeerConnection, pacer: Pacer) -> None:
    transceiver = peer.getTransceivers()[0]
    mouth = Mouth(pacer, negotiate(transceiver))
    resampler, waiting = LiveResampler(EAR_RATE_HZ, MOUTH_RATE_HZ), bytearray()

    def hear(pcm: bytes) -> None:
        waiting.extend(resampler.push(pcm))
        while len(waiting) >= FRAME_BYTES:
            mouth.send(bytes(waiting[:FRAME_BYTES]))
            del waiting[:FRAME_BYTES]

    listen(transceiver.receiver, Ear(hear, pacer))
    speak(transceiver.sender, mouth)
    transceiver.direction = "sendrecv"


async def _serve(kind: str) -> None:
    pacer, peers, loop = Pacer(), [], asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        peer = RTCPeerConnection()
        peers.append(peer)
        if kind == "stock":

            def echo(track: MediaStreamTrack, peer: RTCPeerConnection = peer) -> None:
                peer.addTrack(track)

            peer.on("track", echo)
        await peer.setRemoteDescription(RTCSessionDescription(json.loads(line), "offer"))
        if kind == "ours":
            _answered_by_ours(peer, pacer)
        await peer.setLocalDescription(await peer.createAnswer())
        print(json.dumps(peer.localDescription.sdp), flush=True)
    for peer in peers:
        await peer.close()


class EchoServer:
    """The process. Made by ``echo_server``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._one_by_one = asyncio.Lock()
        self.usage = psutil.Process(process.pid)

    async def answer(self, offer: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._one_by_one:
            self._process.stdin.write(json.dumps(offer).encode() + b"\n")
            return str(json.loads(await self._process.stdout.readline()))

    def cpu_s(self) -> float:
        times = self.usage.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def echo_server(kind: str) -> AsyncIterator[EchoServer]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.webrtc_echo", kind, stdin=pipe, stdout=pipe, limit=1 << 20, env=os.environ
    )
    try:
        yield EchoServer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


class Caller:
    """A client that beeps each second and hears when the beep comes back; with our ear and mouth, for both servers."""

    def __init__(self, pacer: Pacer) -> None:
        self._loop = asyncio.get_running_loop()
        self._pacer = pacer
        self._peer = RTCPeerConnection()
        self._mouth = Mouth(pacer)
        self._ear = Ear(self._hear, pacer)
        self._frames = 0
        self._beeped_at: float | None = None
        self.round_trips_ms: list[float] = []

    async def connect(self, server: EchoServer, relay: UdpRelay | None = None) -> None:
        there = asyncio.Event()
        self._peer.on(
            "connectionstatechange", lambda: there.set() if self._peer.connectionState == "connected" else None
        )
        transceiver = self._peer.addTransceiver("audio")
        await self._peer.setLocalDescription(await self._peer.createOffer())
        offer = self._peer.localDescription.sdp
        answer = await server.answer(relay.for_far(offer) if relay else offer)
        listen(transceiver.receiver, self._ear)
        speak(transceiver.sender, self._mouth)
        sdp = relay.for_near(answer) if relay else answer
        await self._peer.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        async with asyncio.timeout(_CONNECT_S):
            await there.wait()
        self._pacer.join(self._tick)

    def _tick(self, now: float) -> None:
        place = self._frames % BEEP_EACH_FRAMES
        self._frames += 1
        if place == 0:
            self._beeped_at = self._loop.time()
        self._mouth.send(_BEEP if place < BEEP_FRAMES else bytes(FRAME_BYTES))

    def _hear(self, pcm: bytes) -> None:
        if self._beeped_at is not None and np.abs(samples_of(pcm)).max(initial=0) > _LOUD:
            self.round_trips_ms.append((self._loop.time() - self._beeped_at) * 1000)
            self._beeped_at = None

    async def hang_up(self) -> None:
        self._pacer.leave(self._tick)
        await self._peer.close()
        self._ear.close()
        self._mouth.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as the server does
        runner.run(_serve(sys.argv[1]))
