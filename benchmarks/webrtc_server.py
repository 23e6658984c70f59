"""A server for calls with scripted engines: with our ear and mouth, or with aiortc's own receiver and sender.

``python -m benchmarks.webrtc_server ours|stock`` writes its address as a line, and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import psutil
import uvloop
from aiortc import RTCRtpReceiver, RTCRtpSender
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame

from antiphon.apps.child import die_with_parent
from antiphon.apps.config import Config
from antiphon.apps.logs import logging_to
from antiphon.apps.server import Server
from antiphon.audio import EAR_RATE_HZ, FRAME_SAMPLES, MOUTH_RATE_HZ
from antiphon.resampling import LiveResampler
from antiphon.session.pacer import Pacer
from antiphon.transport.webrtc import peer

KINDS = ("ours", "stock")
_CONFIG = {
    "port": 0,
    "in_process": True,
    "open_browser": False,
    "vad": "scripted",
    "asr": "scripted",
    "llm": "scripted:first_token_ms=50,token_ms=20,tokens=60",
    "tts": "scripted:first_audio_ms=40,speed=10",
}


class _StockEar:
    """Reads the receiver's track, as aiortc means it."""

    def __init__(self, heard: Callable[[bytes], None], pacer: Pacer) -> None:
        self._heard = heard
        self._reading: asyncio.Task[None] | None = None

    def read(self, track: MediaStreamTrack) -> None:
        self._reading = asyncio.create_task(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        resampler = LiveResampler(MOUTH_RATE_HZ, EAR_RATE_HZ)
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            self._heard(resampler.push(frame.to_ndarray().reshape(-1, 2)[:, 0].tobytes()))

    def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()


class _StockMouth(MediaStreamTrack):
    """Gives the sender frames of audio, which it encodes in a thread."""

    kind = "audio"

    def __init__(self, pacer: Pacer, codec: str) -> None:
        super().__init__()
        self._frames: deque[AudioFrame] = deque(maxlen=10)
        self._more = asyncio.Event()
        self._next = 0

    def start(self) -> None:
        """It has nothing to say of its own."""

    def send(self, pcm: bytes) -> None:
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME_SAMPLES)
        frame.planes[0].update(pcm)
        frame.sample_rate, frame.pts, frame.time_base = MOUTH_RATE_HZ, self._next, Fraction(1, MOUTH_RATE_HZ)
        self._next += FRAME_SAMPLES
        self._frames.append(frame)
        self._more.set()

    async def recv(self) -> AudioFrame:
        while not self._frames:
            if self.readyState != "live":
                raise MediaStreamError
            self._more.clear()
            await self._more.wait()
        return self._frames.popleft()

    def stop(self) -> None:
        super().stop()
        self._more.set()


def _use_stock() -> None:
    """Puts aiortc's own in the place of ours."""

    def listen(receiver: RTCRtpReceiver, ear: _StockEar) -> None:
        ear.read(receiver.track)

    def speak(sender: RTCRtpSender, mouth: _StockMouth) -> None:
        sender.replaceTrack(mouth)

    for name, stock in (("Ear", _StockEar), ("Mouth", _StockMouth), ("listen", listen), ("speak", speak)):
        setattr(peer, name, stock)


async def _serve(kind: str) -> None:
    if kind == "stock":
        _use_stock()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with Server(Config.model_validate(_CONFIG)) as server:
        print(server.url, flush=True)
        await reader.read()


@dataclass(frozen=True, slots=True)
class MeasuredServer:
    url: str
    usage: psutil.Process

    def cpu_s(self) -> float:
        times = self.usage.cpu_times()
        return float(times.user + times.system)


@asynccontextmanager
async def measured_server(kind: str) -> AsyncIterator[MeasuredServer]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.webrtc_server", kind, stdin=pipe, stdout=pipe, env=dict(os.environ)
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        url = (await process.stdout.readline()).decode().strip()
        if not url:
            raise RuntimeError("the server did not start")
        yield MeasuredServer(url, psutil.Process(process.pid))
    finally:
        process.stdin.close()
        await process.wait()


if __name__ == "__main__":
    die_with_parent()
    with (
        logging_to(sys.stderr, "auto", "error"),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,  # as the server does
    ):
        runner.run(_serve(sys.argv[1]))
