"""A Brain over a language model in this process, which keeps what it has read of each conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import CancelledError, Future
from contextlib import aclosing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from antiphon.core.speech import BrainDelta, BrainRequest, Finish
from antiphon.engines.brain_around import BrainAround
from antiphon.engines.cached_answer import CachedAnswer, Mind, Steps, TokenCount
from antiphon.engines.chat_prompt import ChatPrompt
from antiphon.engines.contexts import CachedModel, Contexts, User
from antiphon.engines.model_files import is_path
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.written_answer import WrittenAnswer
from antiphon.errors import EngineError

ANSWER_SHARE = 4
"""One part in so many of a context is kept free for the answer."""
_MB = 1 << 20


class Library(Protocol):
    """How a library's model is read and where it runs."""

    engine: str
    what: str
    """The library, for people."""

    async def read(self, model: str) -> tuple[CachedModel, Any, Path]:
        """The model, its tokenizer, and the folder that they are from. Raises EngineError."""
        ...

    def submit(self, work: Callable[[], Steps]) -> Future[Any]:
        """Takes the steps of ``work``; others have their turns between them. Raises RuntimeError when closed."""
        ...

    def close(self) -> None:
        """Waits for what runs. Called in a thread."""
        ...


class CachedBrain:
    """Attentive and Remembering: see ``engines.optional``."""

    def __init__(self, library: Library, model: str, options: ModelOptions | None = None) -> None:
        """``model`` is a name that was pulled, a folder's path, or a repository in the hub's cache ("OWNER/NAME")."""
        self._library = library
        self._model_name = model
        self._options = options or ModelOptions()
        self._mind: Mind | None = None
        self._under_way: set[_Work] = set()
        self.count = TokenCount()
        """Of all answers since it was made."""

    @property
    def name(self) -> str:
        short = Path(self._model_name).name if is_path(self._model_name) else self._model_name
        return f"{self._library.engine}:{short}"

    @property
    def description(self) -> str:
        return f"{self.name.partition(':')[2]} in {self._library.what}"

    async def load(self) -> None:
        """Raises EngineError when the packages or the model are missing, or its files are broken."""
        if self._mind is not None:
            return
        model, tokenizer, folder = await self._library.read(self._model_name)
        most = min(self._options.context, model.most_tokens)
        held = max(most, self._options.memory * _MB // model.bytes_per_token)
        try:
            prompt = ChatPrompt(tokenizer, most - most // ANSWER_SHARE, thinking=self._options.thinking)
        except EngineError as error:
            raise EngineError(f"{self.name} cannot be used: {error}") from error
        contexts = Contexts(model, held)
        self._mind = Mind(model, tokenizer, prompt, contexts, self._options.sampling(folder), most)

    async def close(self) -> None:
        for work in self._under_way:
            work.stop()
        await asyncio.to_thread(self._library.close)
        self._mind = None

    def of_session(self, session: str) -> _OfSession:
        return _OfSession(self, session)

    def forget(self, session: str) -> None:
        if self._mind is not None:
            self._mind.contexts.forget(session)
            with suppress(RuntimeError):  # it is being closed
                self._library.submit(self._sweep)

    def _sweep(self) -> Steps:
        if self._mind is not None:
            self._mind.contexts.sweep()
        yield

    async def read(self, request: BrainRequest) -> Finish:
        return await self.read_for("", request)

    async def read_for(self, session: str, request: BrainRequest) -> Finish:
        """As ``read``, for one conversation."""
        with self._work(session, request, brief=True) as work:
            await work.done(work.answer.read)
        count = work.answer.count
        return Finish("stop", count.cached + count.read, 0, count.cached)

    def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        return self.respond_for("", request)

    async def respond_for(self, session: str, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        """As ``respond``, for one conversation."""
        written = WrittenAnswer(request)
        with self._work(session, request, brief=False) as work:
            while not work.answer.reason:
                async with aclosing(work.pieces()) as pieces:
                    async for piece in pieces:
                        for delta in written.push(piece):
                            yield delta
        count = work.answer.count
        for delta in written.finish(work.answer.reason, count.cached + count.read, count.written, count.cached):
            yield delta

    @contextmanager
    def _work(self, session: str, request: BrainRequest, *, brief: bool) -> Iterator[_Work]:
        if self._mind is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        work = _Work(self._library, self.name, CachedAnswer(self._mind, session, request, User(brief)))
        self._under_way.add(work)
        try:
            yield work
        finally:
            self._under_way.discard(work)
            work.end()
            self.count.add(work.answer.count)


class _OfSession(BrainAround):
    """The brain for one conversation."""

    def __init__(self, brain: CachedBrain, session: str) -> None:
        super().__init__(brain)
        self._cached = brain
        self._session = session

    def leave(self) -> None:
        self._cached.forget(self._session)

    async def read(self, request: BrainRequest) -> Finish:
        return await self._cached.read_for(self._session, request)

    def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        return self._cached.respond_for(self._session, request)


class _Work:
    """An answer and the job that works on it, of which there is one at a time."""

    def __init__(self, library: Library, name: str, answer: CachedAnswer) -> None:
        self.answer = answer
        self._library = library
        self._name = name
        self._job: Future[Any] | None = None

    async def done(self, steps: Callable[[], Steps]) -> None:
        """Raises EngineError."""
        job = self._submit(steps)
        try:
            await asyncio.wrap_future(job)
        except Exception as error:
            raise self._explained(error) from error

    async def pieces(self) -> AsyncGenerator[str]:
        """The next pieces of the answer's text, as they are written; there are more until it has a reason to end."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        def emit(piece: str | None) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(queue.put_nowait, piece)

        job = self._submit(partial(self.answer.write, emit))
        job.add_done_callback(lambda _: emit(None))
        while (piece := await queue.get()) is not None:
            yield piece
        try:
            job.result()
        except (Exception, CancelledError) as error:
            raise self._explained(error) from error
        if self.answer.user.stop.is_set() and not self.answer.reason:
            raise EngineError(f"{self._name} was closed")

    def stop(self) -> None:
        self.answer.user.stop.set()

    def end(self) -> None:
        """Stops what is under way; the context is free when that has ended."""
        self.stop()
        if self._job is None:
            return
        self._job.cancel()
        self._job.add_done_callback(lambda _: self.answer.give_back())

    def _submit(self, steps: Callable[[], Steps]) -> Future[Any]:
        try:
            self._job = self._library.submit(steps)
        except RuntimeError as error:
            raise EngineError(f"{self._name} was closed") from error
        return self._job

    def _explained(self, error: BaseException) -> EngineError:
        if isinstance(error, EngineError):
            return error
        if isinstance(error, CancelledError):
            return EngineError(f"{self._name} was closed")
        return EngineError(f"{self._name} failed ({type(error).__name__}: {error})", retryable=True)
