"""From pieces of text to a stream of audio chunks: what synthesizers that work in threads have in common.

A piece of text is a segment. It is rendered in parts of at most ``PART_CHARS`` characters, each one a job in the
engine's own threads, so a thread is never held for long and engines with one thread serve their streams in turn. No
part is begun while more than ``LOOKAHEAD_S`` of audio waits to be taken: a slow reader costs at most that and one part.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Word
from antiphon.errors import EngineError

PART_CHARS = 160
"""About ten seconds of speech."""

LOOKAHEAD_S = 2.0

_BREAKS = (re.compile(r"[.!?…。！？]+\s+|[。！？]"), re.compile(r"[,;:—、，；：]\s*"), re.compile(r"\s+"))


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a segment's text, and where in the segment it begins."""

    text: str
    start_char: int


Emit = Callable[[bytes, tuple[Word, ...]], bool]
"""Given to a renderer: takes the next audio (mono s16, 48 kHz) and words (counted from the start of the part).

Returns whether to go on: False once the stream was closed. Called in the renderer's thread.
"""

Render = Callable[[str, Emit], object]
"""Speaks one part, in a thread. It may raise EngineError."""


def parts_of(text: str, limit: int = PART_CHARS) -> Iterator[Part]:
    """Cuts ``text`` into parts of at most ``limit`` characters, at sentences, else at commas, else at spaces.

    Joined they are the text again. There is always at least one, if only an empty one.
    """
    start = 0
    while len(text) - start > limit:
        window = text[start : start + limit]
        ends = (max((match.end() for match in pattern.finditer(window)), default=0) for pattern in _BREAKS)
        end = next((end for end in ends if end > limit // 3), limit)
        yield Part(text[start : start + end], start)
        start += end
    yield Part(text[start:], start)


class _Buffer:
    """Chunks on their way from the threads to the one reader, in the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunks: deque[AudioChunk | None] = deque()
        self._samples = 0
        self._changed = asyncio.Event()
        self._closed = threading.Event()

    def put(self, chunk: AudioChunk | None) -> None:
        self._chunks.append(chunk)
        self._samples += 0 if chunk is None else len(chunk.pcm) // 2
        self._changed.set()

    def put_from_thread(self, chunk: AudioChunk) -> bool:
        if self._closed.is_set():
            return False
        try:
            self._loop.call_soon_threadsafe(self.put, chunk)
        except RuntimeError:  # the loop is closed, and the reader with it
            return False
        return not self._closed.is_set()

    async def get(self) -> AudioChunk | None:
        """The next chunk; None after the last."""
        while not self._chunks:
            self._changed.clear()
            await self._changed.wait()
        chunk = self._chunks.popleft()
        self._samples -= 0 if chunk is None else len(chunk.pcm) // 2
        self._changed.set()
        return chunk

    async def room(self) -> None:
        """Waits until less than ``LOOKAHEAD_S`` of audio is waiting."""
        while self._samples > LOOKAHEAD_S * MOUTH_RATE_HZ:
            self._changed.clear()
            await self._changed.wait()

    def close(self) -> None:
        """Threads find out at their next emit."""
        self._closed.set()


async def speak_segments(text: AsyncIterator[str], executor: Executor, render: Render) -> AsyncGenerator[AudioChunk]:
    """Renders each piece of ``text`` in ``executor`` as it comes; yields its chunks, and after them an empty last one.

    Closing the generator stops a running render at its next emit, and closes ``text`` if that is a generator. Raises
    what ``render`` raises, and EngineError when the engine was closed meanwhile.
    """
    buffer = _Buffer()
    producer = asyncio.create_task(_produce(text, executor, render, buffer))
    try:
        while (chunk := await buffer.get()) is not None:
            yield chunk
        await producer
    finally:
        buffer.close()
        producer.cancel()
        await asyncio.gather(producer, return_exceptions=True)


async def _produce(text: AsyncIterator[str], executor: Executor, render: Render, buffer: _Buffer) -> None:
    loop = asyncio.get_running_loop()
    try:
        segment = 0
        async for piece in text:
            samples = 0
            for part in parts_of(piece):
                await buffer.room()
                emit = _SegmentPart(buffer, segment, part, samples)
                try:
                    job = loop.run_in_executor(executor, render, part.text, emit)
                except RuntimeError as error:
                    raise EngineError("the synthesizer was closed while it spoke") from error
                await job
                samples += emit.samples
            buffer.put(AudioChunk(b"", segment, last=True))
            segment += 1
    finally:
        buffer.put(None)
        if isinstance(text, AsyncGenerator):
            await text.aclose()


class _SegmentPart:
    """The emit of one part: counts its samples and moves its words to where they are in the segment."""

    __slots__ = ("_buffer", "_part", "_segment", "_start_sample", "samples")

    def __init__(self, buffer: _Buffer, segment: int, part: Part, start_sample: int) -> None:
        self._buffer = buffer
        self._segment = segment
        self._part = part
        self._start_sample = start_sample
        self.samples = 0

    def __call__(self, pcm: bytes, words: tuple[Word, ...]) -> bool:
        self.samples += len(pcm) // 2
        moved = tuple(word.moved(self._part.start_char, self._start_sample) for word in words)
        return self._buffer.put_from_thread(AudioChunk(pcm, self._segment, moved))
