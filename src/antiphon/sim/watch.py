"""Engines under watch: says whether they are at work, so that virtual time does not run ahead of them.

    watch = Watch()
    run_virtual(converse(watch.over(suite)), busy=watch.busy)

An engine is at work when a session waits for it. Partials come when they come: nobody waits for these.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any

from antiphon.audio import Samples
from antiphon.core.speech import AudioChunk, BrainDelta, BrainRequest, Finish, Voice
from antiphon.engines.base import (
    Brain,
    Engine,
    Recognizer,
    RecognizerStream,
    Synthesizer,
    Transcript,
    Vad,
    VadStream,
    VoiceInfo,
)
from antiphon.engines.optional import read_ahead
from antiphon.engines.suite import Suite


class Watch:
    """Counts what sessions wait for."""

    def __init__(self) -> None:
        self._waits = 0

    def busy(self) -> bool:
        return self._waits > 0

    def add(self, waits: int) -> None:
        self._waits += waits

    @contextmanager
    def waiting(self) -> Iterator[None]:
        self._waits += 1
        try:
            yield
        finally:
            self._waits -= 1

    def over(self, suite: Suite) -> Suite:
        """The same engines, watched."""
        return Suite(
            _WatchedVad(suite.vad, self),
            _WatchedRecognizer(suite.recognizer, self),
            _WatchedBrain(suite.brain, self),
            _WatchedSynthesizer(suite.synthesizer, self),
        )


class _Watched:
    def __init__(self, engine: Engine, watch: Watch) -> None:
        self._any_engine = engine
        self._watch = watch

    @property
    def name(self) -> str:
        return self._any_engine.name

    @property
    def description(self) -> str:
        return self._any_engine.description

    async def load(self) -> None:
        with self._watch.waiting():
            await self._any_engine.load()

    async def close(self) -> None:
        with self._watch.waiting():
            await self._any_engine.close()


class _WatchedVad(_Watched):
    def __init__(self, engine: Vad, watch: Watch) -> None:
        super().__init__(engine, watch)
        self._engine = engine

    def open(self, on_probability: Callable[[float], None]) -> VadStream:
        return _WatchedVadStream(self._engine, on_probability, self._watch)


class _WatchedVadStream:
    def __init__(self, engine: Vad, on_probability: Callable[[float], None], watch: Watch) -> None:
        self._watch = watch
        self._tell = on_probability
        self._asked = 0
        self._stream = engine.open(self._answered)

    def _answered(self, probability: float) -> None:
        self._count(-1)
        self._tell(probability)

    def _count(self, windows: int) -> None:
        self._asked += windows
        self._watch.add(windows)

    def push(self, window: Samples) -> None:
        self._count(1)
        self._stream.push(window)

    def reset(self) -> None:
        self._stream.reset()

    def close(self) -> None:
        self._stream.close()
        self._count(-self._asked)


class _WatchedRecognizer(_Watched):
    def __init__(self, engine: Recognizer, watch: Watch) -> None:
        super().__init__(engine, watch)
        self._engine = engine

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        return _WatchedRecognizerStream(self._engine.open(on_partial, language), self._watch)


class _WatchedRecognizerStream:
    def __init__(self, stream: RecognizerStream, watch: Watch) -> None:
        self._stream = stream
        self._watch = watch

    def feed(self, pcm: bytes) -> None:
        self._stream.feed(pcm)

    async def final(self) -> Transcript:
        with self._watch.waiting():
            return await self._stream.final()

    def close(self) -> None:
        self._stream.close()


class _WatchedBrain(_Watched):
    def __init__(self, engine: Brain, watch: Watch) -> None:
        super().__init__(engine, watch)
        self._engine = engine

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        async with aclosing(self._engine.respond(request)) as deltas:
            while True:
                with self._watch.waiting():
                    delta: Any = await anext(deltas, None)
                if delta is None:
                    return
                yield delta

    async def read(self, request: BrainRequest) -> Finish:
        with self._watch.waiting():
            return await read_ahead(self._engine, request)


class _WatchedSynthesizer(_Watched):
    def __init__(self, engine: Synthesizer, watch: Watch) -> None:
        super().__init__(engine, watch)
        self._engine = engine

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self._engine.voices

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        """At work while somebody waits for audio of a text that was handed over, and not while it has no text."""
        unspoken = 0
        waits = False

        def note(pieces: int, *, waiting: bool) -> None:
            nonlocal unspoken, waits
            before = waits and unspoken > 0
            unspoken, waits = unspoken + pieces, waiting
            self._watch.add(int(waits and unspoken > 0) - int(before))

        async def handed_over() -> AsyncGenerator[str]:
            async for piece in text:
                note(1, waiting=waits)
                yield piece

        async with aclosing(handed_over()) as pieces, aclosing(self._engine.speak(pieces, voice)) as chunks:
            try:
                while True:
                    note(0, waiting=True)
                    chunk: Any = await anext(chunks, None)
                    if chunk is None:
                        return
                    note(-int(chunk.last), waiting=False)
                    yield chunk
            finally:
                note(-unspoken, waiting=False)
