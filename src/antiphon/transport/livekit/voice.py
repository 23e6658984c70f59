"""The agent's voice in a room: 20 ms frames into the SDK's source, in order, one task for all of them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from antiphon.audio import FRAME_MS
from antiphon.transport.livekit.sdk import Sdk

QUEUE_MS = 60
"""What the SDK's source may hold. It takes 10 ms from it by a clock of its own, and silence where there is none, so it
needs a frame or two in hand; what is in it counts as heard, so it should hold no more."""

WAITING_MS = 200
"""As much as our pacer may send at once after the loop stood still. Of more, the oldest is dropped."""


class Voice:
    """``run`` must be running while it speaks; ``close`` frees it."""

    def __init__(self, sdk: Sdk) -> None:
        self._sdk = sdk
        self._source = sdk.source(QUEUE_MS)
        self.track: Any = sdk.track(self._source)
        """To be published."""
        self._frames: deque[bytes] = deque(maxlen=WAITING_MS // FRAME_MS)
        self._more = asyncio.Event()
        self._finished = False

    def say(self, pcm: bytes) -> None:
        """A frame of 20 ms: mono s16 at 48 kHz."""
        self._frames.append(pcm)
        self._more.set()

    def clear(self) -> None:
        """What has not left yet is not said."""
        self._frames.clear()
        self._source.clear_queue()

    async def run(self) -> None:
        """Until it is finished."""
        while not self._finished:
            await self._more.wait()
            self._more.clear()
            while self._frames:
                await self._source.capture_frame(self._sdk.frame(self._frames.popleft()))

    def finish(self) -> None:
        """Nothing more is said; ``run`` returns soon after."""
        self._finished = True
        self.clear()
        self._more.set()

    async def close(self) -> None:
        await self._source.aclose()
