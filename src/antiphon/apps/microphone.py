"""A microphone without a microphone: audio appended in real time, of which the true time of each sample is known."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from antiphon.apps.realtime_client import Connection, append_json
from antiphon.audio import FRAME_MS, WIRE_PCM_RATE_HZ

WIRE_FRAME_SAMPLES = WIRE_PCM_RATE_HZ * FRAME_MS // 1000
WIRE_FRAME_BYTES = WIRE_FRAME_SAMPLES * 2
FRAME_S = FRAME_MS / 1000
SILENCE = bytes(WIRE_FRAME_BYTES)

_SILENCE_JSON = append_json(SILENCE)


@dataclass(frozen=True, slots=True)
class Said:
    """Where a recording lies in the microphone's stream, in samples at 24 kHz."""

    start_sample: int
    end_sample: int


class PacedMicrophone:
    """Sends frames of 20 ms without a pause, each when a real microphone would have captured its last sample.

    What is said comes at the next free frame; between, there is silence. ``on_frame`` is called with each frame as it
    is sent (mono s16 at 24 kHz).
    """

    def __init__(self, client: Connection, on_frame: Callable[[bytes], None] | None = None) -> None:
        self._client = client
        self._on_frame = on_frame
        self._pending: deque[tuple[bytes, asyncio.Future[None] | None]] = deque()
        self._frames = 0
        self._began_at = asyncio.get_running_loop().time()

    def time_of(self, sample: int) -> float:
        """When sample ``sample`` was spoken, on the event loop's clock."""
        return self._began_at + sample / WIRE_PCM_RATE_HZ

    @property
    def next_sample(self) -> int:
        """Where the next recording would begin."""
        return (self._frames + len(self._pending)) * WIRE_FRAME_SAMPLES

    def say(self, pcm: bytes) -> Said:
        """Puts mono s16 at 24 kHz in line."""
        return self._line_up(pcm, None)

    async def speak(self, pcm: bytes) -> Said:
        """The same, and returns once the last of it has been sent."""
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        said = self._line_up(pcm, sent)
        await sent
        return said

    def _line_up(self, pcm: bytes, sent: asyncio.Future[None] | None) -> Said:
        if not pcm:
            raise ValueError("there is nothing to say")
        start = self.next_sample
        frames = [pcm[i : i + WIRE_FRAME_BYTES] for i in range(0, len(pcm), WIRE_FRAME_BYTES)]
        frames[-1] = frames[-1].ljust(WIRE_FRAME_BYTES, b"\0")
        self._pending.extend((frame, None) for frame in frames[:-1])
        self._pending.append((frames[-1], sent))
        return Said(start, start + len(pcm) // 2)

    async def run(self) -> None:
        """Sends until cancelled. Raises ClientError when the connection ends."""
        loop = asyncio.get_running_loop()
        self._began_at = loop.time()
        self._frames = 0
        while True:
            due_at = self._began_at + (self._frames + 1) * FRAME_S
            await asyncio.sleep(max(0.0, due_at - loop.time()))
            frame, sent = self._pending.popleft() if self._pending else (SILENCE, None)
            self._frames += 1
            await self._client.send_text(_SILENCE_JSON if frame is SILENCE else append_json(frame))
            if self._on_frame is not None:
                self._on_frame(frame)
            if sent is not None and not sent.done():
                sent.set_result(None)
