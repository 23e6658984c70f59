"""The embedded recognizer and voice activity detection on virtual time, with stated times.

What Moonshine makes of an audio is worked out once and remembered, so that the same conversation can be held again and
again with other brains; when it is told follows from the stated times, so the figures do not depend on the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import blake2b

from antiphon.engines.base import RecognizerStream, Transcript
from antiphon.engines.moonshine import Moonshine, MoonshineStream, _Job
from antiphon.engines.silero import Silero, SileroStream

_Trace = dict[bytes, list[str]]


class InlineSilero(Silero):
    """Judges at once, in no virtual time."""

    def enqueue(self, stream: SileroStream, window: object) -> None:
        stream.add(window)  # type: ignore[arg-type]  # as the engine itself hands it on
        taken, fresh, skipped, _ = stream.take()
        self._deliver(self._judge([(stream, taken, fresh, skipped)]))


class InlineMoonshine(Moonshine):
    """The same."""

    def submit(self, job: _Job) -> None:
        assert self._model is not None
        self._settle(job, job.stream.recognize(self._model, job.end_bytes, lambda: False))


class TracedRecognizer:
    """Moonshine's words; a partial is told ``partial_ms`` after its audio, a final takes ``final_ms``."""

    name = "traced:moonshine"
    description = "what Moonshine made of the same audio before"

    def __init__(self, engine: InlineMoonshine, *, partial_ms: float = 60, final_ms: float = 60) -> None:
        self._engine = engine
        self.partial_s, self.final_s = partial_ms / 1000, final_ms / 1000
        self.partials: _Trace = {}
        self.finals: dict[bytes, str] = {}

    async def load(self) -> None:
        await self._engine.load()

    async def close(self) -> None:
        await self._engine.close()

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        return _TracedStream(self, on_partial)

    def fresh(self, on_partial: Callable[[str], None]) -> MoonshineStream:
        return self._engine.open(on_partial)


class _TracedStream:
    def __init__(self, owner: TracedRecognizer, on_partial: Callable[[str], None]) -> None:
        self._owner = owner
        self._tell = on_partial
        self._digest = blake2b(digest_size=16)
        self._fed: list[bytes] = []
        self._live: MoonshineStream | None = None
        """There once audio comes that nobody has heard before."""
        self._behind: list[str] | None = None
        """Where partials of the live stream go."""
        self._timers: list[asyncio.TimerHandle] = []

    def feed(self, pcm: bytes) -> None:
        self._fed.append(pcm)
        self._digest.update(len(pcm).to_bytes(4, "little") + pcm)
        key = self._digest.digest()
        if key not in self._owner.partials:
            self._owner.partials[key] = self._heard(pcm)
        elif self._live is not None:
            self._heard(pcm)
        loop = asyncio.get_running_loop()
        for text in self._owner.partials[key]:
            self._timers.append(loop.call_later(self._owner.partial_s, self._tell, text))

    def _heard(self, pcm: bytes) -> list[str]:
        if self._live is None:
            self._live = self._owner.fresh(self._note)
            for earlier in self._fed[:-1]:
                self._live.feed(earlier)
        self._behind = []
        self._live.feed(pcm)
        texts, self._behind = self._behind, None
        return texts

    def _note(self, text: str) -> None:
        if self._behind is not None:
            self._behind.append(text)

    async def final(self) -> Transcript:
        key = self._digest.digest()
        if key not in self._owner.finals:
            if self._live is None:
                self._live = self._owner.fresh(self._note)
                for pcm in self._fed:
                    self._live.feed(pcm)
            self._owner.finals[key] = (await self._live.final()).text
        text = self._owner.finals[key]
        await asyncio.sleep(self._owner.final_s)
        return Transcript(text)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._live is not None:
            self._live.close()
