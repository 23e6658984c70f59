"""Clauses that are spoken beside the one that sounds, so that a slow voice keeps up. They are heard in their order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import Synthesizer
from antiphon.errors import EngineError

_LOOKAHEAD_S = 10.0
"""So much audio of one clause may wait; more than any clause has."""


class _Stream:
    """One clause, spoken in a stream of its own."""

    def __init__(self, synthesizer: Synthesizer, text: str, voice: Voice) -> None:
        self.text = text
        self._chunks: asyncio.Queue[AudioChunk | None] = asyncio.Queue()
        self._samples = 0
        self._room = asyncio.Event()
        self._room.set()
        self._task = asyncio.create_task(self._speak(synthesizer, voice))

    async def _speak(self, synthesizer: Synthesizer, voice: Voice) -> None:
        try:
            async with aclosing(synthesizer.speak(_once(self.text), voice)) as chunks:
                async for chunk in chunks:
                    await self._room.wait()
                    self._count(len(chunk.pcm) // 2)
                    self._chunks.put_nowait(chunk)
        finally:
            self._chunks.put_nowait(None)

    def _count(self, samples: int) -> None:
        self._samples += samples
        if self._samples < _LOOKAHEAD_S * MOUTH_RATE_HZ:
            self._room.set()
        else:
            self._room.clear()

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        """Raises what the voice raised, after what it gave before."""
        while (chunk := await self._chunks.get()) is not None:
            self._count(-(len(chunk.pcm) // 2))
            yield chunk
        await self._task

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _once(text: str) -> AsyncIterator[str]:
    yield text


class ClausePool:
    """The streams of one reply. Whoever has one closes it."""

    def __init__(self, synthesizer: Synthesizer) -> None:
        self._synthesizer = synthesizer
        self._streams: deque[_Stream] = deque()

    def __len__(self) -> int:
        return len(self._streams)

    def begin(self, text: str, voice: Voice) -> None:
        """Speaks one more clause, which is heard after those that were begun before."""
        self._streams.append(_Stream(self._synthesizer, text, voice))

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        """The audio of all of them, also of those that are begun meanwhile.

        Raises UnspokenError where a stream failed before its clause had begun to sound: a voice that is asked for too
        much at a time may still do one after the other. Raises EngineError where it failed in the midst of it.
        """
        while self._streams:
            stream, sounded = self._streams[0], False
            try:
                async for chunk in stream.chunks():
                    sounded = sounded or bool(chunk.pcm)
                    yield chunk
            except EngineError as error:
                unspoken = [each.text for each in self._streams]
                await self.close()
                if sounded:
                    raise
                raise UnspokenError(unspoken) from error
            self._streams.popleft()
            await stream.close()

    async def close(self) -> None:
        streams, self._streams = self._streams, deque()
        for stream in streams:
            await stream.close()


class UnspokenError(Exception):
    """What is still to be said, in order."""

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__("a voice could not speak several clauses at once")
        self.texts = tuple(texts)
