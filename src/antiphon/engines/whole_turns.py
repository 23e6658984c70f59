"""Turns of the user for recognizers that know no streams: they are given all audio so far, again and again.

A partial is such a pass over what has come; it is made only while no final waits, and the next one not before some
time after the last, longer where the passes are slow, so that they cost a bounded share of the recognizer's time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import Transcript
from antiphon.errors import EngineError

MAX_TURN_S = 600.0
_LEAST_S = 0.1
"""Of less audio nothing is recognized."""
_REST_FACTOR = 2.0
"""The rest between two partials, in lengths of the last: they take at most a third of the time."""

Pass = Callable[[bytes, bool], Awaitable[Transcript]]
"""Recognizes a turn's audio so far: mono s16 at 16 kHz, and whether it is for a final. Cancelling it stops the work."""


class WholeTurn:
    """A RecognizerStream. Belongs to the event loop in which it is made."""

    def __init__(
        self, recognize: Pass, on_partial: Callable[[str], None], partial_every_s: float | None, name: str
    ) -> None:
        """``partial_every_s`` of new audio begin a partial; None makes none."""
        self._recognize = recognize
        self._on_partial = on_partial
        self._partial_every_bytes = None if partial_every_s is None else _bytes(partial_every_s)
        self._name = name
        self._pcm = bytearray()
        self._partial_due_bytes = self._partial_every_bytes or 0
        self._partial_due_at = 0.0
        self._shown = ""
        self._closed = False
        self._partial: asyncio.Task[None] | None = None
        self._final: asyncio.Task[Transcript] | None = None
        self._known: tuple[int, Transcript] | None = None

    def feed(self, pcm: bytes) -> None:
        if self._closed:
            return
        self._pcm += pcm[: _bytes(MAX_TURN_S) - len(self._pcm)]
        loop = asyncio.get_running_loop()
        due = self._partial_every_bytes is not None and len(self._pcm) >= self._partial_due_bytes
        if due and self._partial is None and self._final is None and loop.time() >= self._partial_due_at:
            self._partial = loop.create_task(self._show_partial(bytes(self._pcm)))

    async def final(self) -> Transcript:
        if self._closed:
            raise EngineError("the recognition of this turn is closed")
        for task in (self._partial, self._final):
            if task is not None:
                task.cancel()
        self._partial = None
        length = len(self._pcm)
        if length < _bytes(_LEAST_S):
            return Transcript("")
        if self._known is not None and self._known[0] == length:
            return self._known[1]
        task = self._final = asyncio.get_running_loop().create_task(self._recognized(bytes(self._pcm)))
        try:
            transcript = await task
        finally:
            task.cancel()
            if self._final is task:
                self._final = None
        self._known = length, transcript
        return transcript

    def close(self) -> None:
        self._closed = True
        for task in (self._partial, self._final):
            if task is not None:
                task.cancel()

    async def _recognized(self, pcm: bytes) -> Transcript:
        return await self._recognize(pcm, True)

    async def _show_partial(self, pcm: bytes) -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            text = (await self._recognize(pcm, False)).text.rstrip(".,;:")
        except EngineError as error:
            # The final will say so to whoever waits for it.
            loop.call_exception_handler({"message": f"a partial of {self._name} failed", "exception": error})
            text = ""
        self._partial = None
        self._partial_due_at = loop.time() + _REST_FACTOR * (loop.time() - began_at)
        self._partial_due_bytes = len(pcm) + (self._partial_every_bytes or 0)
        if text and text != self._shown and not self._closed:
            self._shown = text
            self._on_partial(text)


def _bytes(seconds: float) -> int:
    return int(seconds * EAR_RATE_HZ) * 2
