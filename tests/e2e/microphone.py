"""A user's microphone: an endless stream of short frames at the pace of real time, silence where nobody speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

CHUNK_MS = 40


class Microphone:
    """``send`` gets each chunk. ``async with Microphone(send) as microphone: await microphone.say(pcm)``.

    ``silence`` is one sample of it in the format that is sent: two zero bytes of PCM, 0xFF of mu-law.
    """

    def __init__(
        self, send: Callable[[bytes], Awaitable[object]], rate_hz: int = 24_000, silence: bytes = b"\0\0"
    ) -> None:
        self._send = send
        self._quiet = silence * (rate_hz * CHUNK_MS // 1000)
        self._waiting = bytearray()
        self._said = asyncio.Event()
        self._said.set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        [outcome] = await asyncio.gather(self._task, return_exceptions=True)
        if isinstance(outcome, Exception) and kind is None:
            raise outcome

    async def say(self, audio: bytes) -> None:
        """Returns when the last of ``audio`` has been sent. Raises what ``send`` raised."""
        assert self._task is not None
        self._waiting += audio
        self._said.clear()
        said = asyncio.create_task(self._said.wait())
        await asyncio.wait((said, self._task), return_when=asyncio.FIRST_COMPLETED)
        said.cancel()
        if self._task.done():
            self._task.result()

    async def _run(self) -> None:
        clock = asyncio.get_running_loop().time
        due = clock()
        while True:
            chunk = bytes(self._waiting[: len(self._quiet)])
            del self._waiting[: len(self._quiet)]
            await self._send(chunk + self._quiet[len(chunk) :])
            if not self._waiting:
                self._said.set()
            due += CHUNK_MS / 1000
            await asyncio.sleep(max(0.0, due - clock()))
