"""A recognizer of the tone code."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines import tone_code
from antiphon.engines.base import RecognizerStream, Transcript
from antiphon.engines.scripted.engine import ScriptedEngine
from antiphon.engines.scripted.options import Failures, Options
from antiphon.errors import EngineError


@dataclass(frozen=True, slots=True)
class RecognizerOptions(Options):
    final_ms: float = 0.0
    """How long a final takes."""
    partial_every_ms: float = 100.0
    """How much audio is fed between two looks at it."""


class _RecognizerStream:
    def __init__(self, options: RecognizerOptions, failures: Failures, on_partial: Callable[[str], None]) -> None:
        self._options = options
        self._failures = failures
        self._tell = on_partial
        self._decoder = tone_code.Decoder()
        self._partial_bytes = int(options.partial_every_ms * EAR_RATE_HZ / 1000) * 2
        self._unheard = bytearray()
        self._told = ""
        self._finals: set[asyncio.Future[None]] = set()

    def feed(self, pcm: bytes) -> None:
        self._unheard += pcm
        if len(self._unheard) >= self._partial_bytes:
            self._listen()
            if self._decoder.whole_words != self._told:
                self._told = self._decoder.whole_words
                self._tell(self._told)

    def _listen(self) -> None:
        self._decoder.push(bytes(self._unheard))
        self._unheard.clear()

    async def final(self) -> Transcript:
        self._listen()
        text = self._decoder.text
        fails = self._failures.next_job()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._finals.add(done)
        timer = loop.call_later(self._options.final_ms / 1000, _settle, done)
        try:
            await done
        finally:
            timer.cancel()
            self._finals.discard(done)
        if fails:
            raise EngineError("the scripted recognizer fails here, as it was told to")
        return Transcript(text)

    def close(self) -> None:
        self._tell = _tell_nobody
        for final in self._finals:
            final.cancel()


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _tell_nobody(_text: str) -> None:
    pass


class ScriptedRecognizer(ScriptedEngine):
    """Reads the tone code. A partial is told when a further word is whole."""

    stage = "recognizer"

    def __init__(self, options: RecognizerOptions | None = None) -> None:
        self._options = options or RecognizerOptions()
        self._failures = Failures(self._options)

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(RecognizerOptions.parse(options))

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        return _RecognizerStream(self._options, self._failures, on_partial)
