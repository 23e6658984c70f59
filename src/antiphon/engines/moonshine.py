"""The Moonshine recognizer: one loaded model and a few threads for all turns.

Partials are made while audio is fed, one at a time for each turn, and never at the cost of a final: those are taken
first, and a partial under way stops at its next step when one waits. What a partial found is the draft from which the
next partial or final goes on, so that a final costs little more than the encoder's pass.

The model is best on some seconds of audio and its cost grows with them, so a long turn is cut in its pauses; the text
of what lies before a cut stands.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np

from antiphon.audio import EAR_RATE_HZ, Samples, samples_of
from antiphon.engines.base import Transcript
from antiphon.engines.moonshine_model import Guess, MoonshineModel
from antiphon.engines.pauses import where_to_cut
from antiphon.errors import EngineError

_SAMPLES_PER_MS = EAR_RATE_HZ // 1000

_PARTIAL_EVERY_MS = 300
_PARTIAL_SLOWDOWN = 0.04
"""A partial costs about 1 % of the uncut audio's length, so it is made less often as that grows."""

CUT_FROM_MS = 5_000
"""From this length on a turn is cut where it has a pause ..."""
CUT_AT_MS = 12_000
"""... and at this length at its quietest place, whatever that is."""


class MoonshineStream:
    """The recognition of one turn. Made by ``Moonshine.open``."""

    def __init__(self, engine: Moonshine, on_partial: Callable[[str], None]) -> None:
        self._engine = engine
        self._on_partial = on_partial
        self._audio_lock = threading.Lock()
        self._pcm = bytearray()
        self._cut_bytes = 0  # how much of the turn was cut off the front of _pcm
        self._fed_bytes = 0
        # In the event loop:
        self._closed = False
        self._partial_due_bytes = _PARTIAL_EVERY_MS * _SAMPLES_PER_MS * 2
        self._partial: _Job | None = None
        self._final: _Job | None = None
        self._shown = ""
        # In a worker, one at a time:
        self.working = threading.Lock()
        self._standing: list[str] = []
        self._draft: tuple[int, ...] = ()
        self._known: tuple[int, str] = (0, "")  # the text up to a byte of the turn

    # In the event loop.

    def feed(self, pcm: bytes) -> None:
        if self._closed:
            return
        room = self._engine.max_turn_bytes - self._fed_bytes
        with self._audio_lock:
            self._pcm += pcm[:room]
            uncut_bytes = len(self._pcm)
        self._fed_bytes += min(len(pcm), room)
        if self._fed_bytes >= self._partial_due_bytes and self._partial is None:
            self._partial = _Job(self, None, None)
            every_bytes = _PARTIAL_EVERY_MS * _SAMPLES_PER_MS * 2 + int(uncut_bytes * _PARTIAL_SLOWDOWN)
            self._partial_due_bytes = self._fed_bytes + every_bytes
            self._engine.submit(self._partial)

    async def final(self) -> Transcript:
        if self._closed:
            raise EngineError("the recognition of this turn is closed")
        if self._final is not None:
            self._final.give_up()
        answer: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        job = self._final = _Job(self, self._fed_bytes, answer)
        self._engine.submit(job)
        try:
            return await answer
        finally:
            job.give_up()
            if self._final is job:
                self._final = None

    def close(self) -> None:
        self._closed = True
        for job in (self._partial, self._final):
            if job is not None:
                job.give_up()

    def show(self, job: _Job, text: str | None) -> None:
        """A partial is done; None when it was given up."""
        if self._partial is job:
            self._partial = None
        if text and text != self._shown and not self._closed:
            self._shown = text
            self._on_partial(text)

    # In a worker.

    def recognize(self, model: MoonshineModel, end_bytes: int | None, should_stop: Callable[[], bool]) -> str | None:
        """The text of the turn up to ``end_bytes`` of what was fed, or of all of it; None when stopped."""
        while True:
            samples, end_bytes_now = self._uncut(end_bytes)
            if end_bytes_now == self._known[0]:
                return self._known[1]
            cut = where_to_cut(samples, CUT_FROM_MS, CUT_AT_MS)
            guess = model.recognize(samples if cut is None else samples[:cut], self._draft, should_stop)
            self._draft = guess.tokens
            if not guess.whole:
                return None
            if cut is None:
                text = " ".join([*self._standing, guess.text]).strip()
                self._known = end_bytes_now, text
                return text
            self._stand(guess, cut)

    def _uncut(self, end_bytes: int | None) -> tuple[Samples, int]:
        """What is not cut off yet, up to ``end_bytes`` of the turn, and where in the turn that ends."""
        with self._audio_lock:
            end = len(self._pcm) if end_bytes is None else max(end_bytes - self._cut_bytes, 0)
            return samples_of(bytes(memoryview(self._pcm)[:end])), self._cut_bytes + end

    def _stand(self, guess: Guess, cut: int) -> None:
        if guess.text:
            self._standing.append(guess.text)
        self._draft = ()
        with self._audio_lock:
            del self._pcm[: cut * 2]
            self._cut_bytes += cut * 2


@dataclass(slots=True, eq=False)
class _Job:
    """A partial or, with an answer to give, a final."""

    stream: MoonshineStream
    end_bytes: int | None
    answer: asyncio.Future[Transcript] | None
    given_up: bool = False

    def give_up(self) -> None:
        """In the event loop: nobody waits for it any more."""
        self.given_up = True
        if self.answer is not None:
            self.answer.cancel()


class Moonshine:
    """The shared engine: English, 27 million parameters. Streams belong to the event loop in which ``load`` ran.

    ``threads`` turns are recognized at a time. Its transcripts have no word times: the model gives none.
    """

    name = "moonshine:tiny-en"
    description = "Moonshine tiny, English, on this machine's CPU"

    def __init__(self, threads: int = 1, *, max_turn_s: float = 600) -> None:
        self.max_turn_bytes = int(max_turn_s * EAR_RATE_HZ) * 2
        self._thread_count = threads
        self._model: MoonshineModel | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[threading.Thread] = []
        self._work = threading.Condition()
        self._finals: deque[_Job] = deque()
        self._partials: deque[_Job] = deque()
        self._closing = False

    async def load(self) -> None:
        if self._threads:
            return
        try:
            model = await asyncio.to_thread(MoonshineModel)
            await asyncio.to_thread(model.recognize, np.zeros(EAR_RATE_HZ, np.int16))
        except Exception as error:
            raise EngineError(f"Moonshine cannot be loaded ({error}); reinstall moonshine-voice 0.0.73") from error
        self._model = model
        self._loop = asyncio.get_running_loop()
        self._closing = False
        for index in range(self._thread_count):
            thread = threading.Thread(target=self._run, args=(model,), name=f"moonshine-{index}", daemon=True)
            self._threads.append(thread)
            thread.start()

    async def close(self) -> None:
        threads, self._threads = self._threads, []
        with self._work:
            self._closing = True
            waiting = [*self._finals, *self._partials]
            self._finals.clear()
            self._partials.clear()
            self._work.notify_all()
        for job in waiting:
            job.give_up()
        for thread in threads:
            await asyncio.to_thread(thread.join)
        self._model = None

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> MoonshineStream:
        """``language`` is not looked at: the model knows English."""
        if not self._threads:
            raise EngineError("Moonshine is not loaded: await load() first")
        return MoonshineStream(self, on_partial)

    def submit(self, job: _Job) -> None:
        with self._work:
            (self._partials if job.answer is None else self._finals).append(job)
            self._work.notify()

    # The workers.

    def _run(self, model: MoonshineModel) -> None:
        while (job := self._next()) is not None:
            if job.given_up:
                self._post(self._settle, job, None)
                continue
            try:
                with job.stream.working:
                    text = job.stream.recognize(model, job.end_bytes, partial(self._should_stop, job))
            except Exception as error:
                self._post(self._fail, job, error)
            else:
                self._post(self._settle, job, text)

    def _next(self) -> _Job | None:
        with self._work:
            while not (self._closing or self._finals or self._partials):
                self._work.wait()
            if self._closing:
                return None
            return self._finals.popleft() if self._finals else self._partials.popleft()

    def _should_stop(self, job: _Job) -> bool:
        return job.given_up or self._closing or (job.answer is None and bool(self._finals))

    def _post(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop was closed under the engine: nobody is left to hear it
            self._loop.call_soon_threadsafe(function, *args)

    # Back in the event loop.

    def _settle(self, job: _Job, text: str | None) -> None:
        if job.answer is None:
            job.stream.show(job, text and text.rstrip(".,;:"))
        elif not job.answer.done():
            if text is None:
                job.answer.cancel()
            else:
                job.answer.set_result(Transcript(text))

    def _fail(self, job: _Job, error: Exception) -> None:
        if job.answer is None:
            assert self._loop is not None
            self._loop.call_exception_handler({"message": "a partial recognition failed", "exception": error})
            job.stream.show(job, None)
        elif not job.answer.done():
            job.answer.set_exception(EngineError(f"Moonshine failed: {error}", retryable=True))
