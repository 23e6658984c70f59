"""The I/O around ``core.residency``: loads, warms and closes engines as it decides, in tasks of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Generic, TypeVar

import structlog

from antiphon.core.residency import Residency
from antiphon.core.residency_events import (
    Action,
    Confirm,
    DeadlineReached,
    Event,
    Grant,
    LeaseEnded,
    LeaseWanted,
    Load,
    Loaded,
    LoadFailed,
    ModelStatus,
    Offered,
    Reason,
    Refuse,
    ResidencySettings,
    Revoke,
    Started,
    Ticket,
    Unload,
    Unloaded,
    UnloadWanted,
)
from antiphon.engines.base import Engine
from antiphon.engines.optional import reload_voices
from antiphon.errors import AntiphonError
from antiphon.worker.hosted import Hosted, Loader, joined, reason_of

E = TypeVar("E", bound=Engine)

_log = structlog.get_logger(__name__)


class ModelRefusedError(AntiphonError):
    """A model cannot be had here now. ``retry_after_s`` says when it may go better, if that is known."""

    def __init__(self, message: str, reason: Reason, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class Lease(Generic[E]):
    """Holds a model in memory until ``end``."""

    def __init__(self, manager: ModelManager[E], ticket: Ticket, model: str) -> None:
        self._manager = manager
        self._ticket = ticket
        self.model = model

    def using(self) -> Any:
        """A context manager that gives the engine. After a reload the next use gets the new one."""
        return self._manager.hosted(self.model).used()

    def end(self) -> None:
        """May be called twice."""
        self._manager.end(self._ticket)


@dataclass(frozen=True, slots=True)
class ModelInfo(Generic[E]):
    """How a model stands, what its load took, and its engine while it is in memory."""

    status: ModelStatus
    load_s: float
    engine: E | None


class ModelManager(Generic[E]):
    """The models of one worker. Belongs to the event loop in which ``start`` runs."""

    def __init__(
        self,
        settings: ResidencySettings,
        make: Callable[[str], Awaitable[E]],
        warm_up: Callable[[E], Awaitable[None]],
    ) -> None:
        """``make`` and ``warm_up`` are as in ``Loader``."""
        self._residency = Residency(settings)
        self._loader = Loader(make, warm_up)
        self._hosted: dict[str, Hosted[E]] = {}
        self._load_s: dict[str, float] = {}
        self._tickets = count(1)
        self._answers: dict[Ticket, asyncio.Future[None]] = {}
        self._revoked: dict[Ticket, Callable[[], None]] = {}
        self._loads: set[asyncio.Task[None]] = set()
        self._closes: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """How many wait for a model."""
        return len(self._answers)

    async def start(self) -> None:
        """Begins to load the preloaded models and waits until each is resident or has failed."""
        self._tell(Started())
        while self._loads:
            await asyncio.wait(self._loads)

    async def close(self) -> None:
        """Stops loads that run, closes all engines, and refuses those that wait."""
        while tasks := self._loads | self._closes:  # what was unloaded may make place for a load that begins
            for load in self._loads:
                load.cancel()
            await asyncio.wait(tasks)
        if self._timer is not None:
            self._timer.cancel()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ModelRefusedError("the worker ends", Reason.ENDING))
        hosted, self._hosted = self._hosted, {}
        await asyncio.gather(*(each.close() for each in hosted.values()))

    async def lease(
        self,
        model: str,
        session: str = "",
        *,
        insist: bool = False,
        resting: bool = False,
        on_revoked: Callable[[], None] | None = None,
    ) -> Lease[E]:
        """Waits until ``model`` is in memory and keeps it there; a ``resting`` one as long as no other needs the place.

        ``on_revoked`` is called when somebody takes the model away; the lease must then end soon. Without it, it ends
        at that moment. Raises ModelRefusedError.
        """
        ticket = self._ticket()
        self._revoked[ticket] = on_revoked or (lambda: self.end(ticket))
        try:
            await self._answer(ticket, LeaseWanted(ticket, model, session, insist, resting))
        except BaseException:
            self.end(ticket)
            raise
        return Lease(self, ticket, model)

    def end(self, ticket: Ticket) -> None:
        if self._revoked.pop(ticket, None) is not None:
            self._tell(LeaseEnded(ticket))

    async def load(self, model: str) -> None:
        """Loads ``model`` if it is not in memory, because a person asks. Raises ModelRefusedError."""
        (await self.lease(model, insist=True)).end()

    async def unload(self, model: str, *, force: bool = False) -> None:
        """Returns when ``model`` is out of memory. Raises ModelRefusedError when there is no such model."""
        ticket = self._ticket()
        await self._answer(ticket, UnloadWanted(ticket, model, force))

    def offer(self, model: str) -> None:
        """There is a further model, if it is not known yet."""
        self._tell(Offered(model))

    async def reload(self, only: str = "", *, also_wrong: Sequence[str] = ()) -> int:
        """Has the resident models, or one of them, read again what is on disk; returns how many did.

        An engine that has voice packs reads these; in the place of any other comes one that is loaded anew. Work that
        runs ends with what it began with. What fails stays as it was; raises ModelRefusedError then, the rest being
        done. ``also_wrong`` are failures that the caller knows of.
        """
        done, told = 0, [*also_wrong]
        for model in [name for name in self._hosted if only in ("", name)]:
            try:
                done += await self._reload(model)
            except Exception as error:
                _log.warning("model_reload_failed", model=model, why=reason_of(error), error=type(error).__name__)
                told.append(reason_of(error))
        if told:
            raise ModelRefusedError(joined(told), Reason.FAILED)
        return done

    async def _reload(self, model: str) -> int:
        old = self._hosted.get(model)
        if old is None:
            return 0
        with old.used() as engine:
            if await reload_voices(engine):
                return 1
        fresh = await self._loader.load(model)
        old = self._hosted.get(model)
        if old is None:  # it was unloaded meanwhile
            await fresh.close()
            return 0
        self._hosted[model] = fresh
        self._spawn(self._closes, old.close())
        return 1

    def is_resident(self, model: str) -> bool:
        return model in self._hosted

    def hosted(self, model: str) -> Hosted[E]:
        """For leases: the engine that now stands behind a model that is held."""
        return self._hosted[model]

    def info(self) -> list[ModelInfo[E]]:
        now = asyncio.get_running_loop().time()
        return [
            ModelInfo(
                status,
                self._load_s.get(status.name, 0.0),
                hosted.engine if (hosted := self._hosted.get(status.name)) else None,
            )
            for status in self._residency.status(now)
        ]

    # The decisions, and what they ask for.

    def _ticket(self) -> Ticket:
        return Ticket(next(self._tickets))

    async def _answer(self, ticket: Ticket, event: Event) -> None:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answers[ticket] = answer
        try:
            self._tell(event)
            await answer
        finally:
            self._answers.pop(ticket, None)

    def _tell(self, event: Event) -> None:
        loop = asyncio.get_running_loop()
        for action in self._residency.handle(event, loop.time()):
            self._apply(action)
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._residency.deadline()
        self._timer = None if deadline is None else loop.call_at(deadline, self._tell, DeadlineReached())

    def _apply(self, action: Action) -> None:
        match action:
            case Load(model):
                self._spawn(self._loads, self._load(model))
            case Unload(model):
                self._spawn(self._closes, self._unload(model))
            case Grant(ticket) | Confirm(ticket):
                self._settle(ticket, None)
            case Refuse(ticket, _, reason, message, retry_after_s):
                self._settle(ticket, ModelRefusedError(message, reason, retry_after_s))
            case Revoke(ticket):
                # Not from within the decision: it may end the lease at once.
                asyncio.get_running_loop().call_soon(self._revoked.get(ticket, _nothing))

    def _settle(self, ticket: Ticket, error: ModelRefusedError | None) -> None:
        answer = self._answers.get(ticket)
        if answer is None or answer.done():
            return  # whoever asked was cancelled in the same moment, and takes its ticket back
        if error is None:
            answer.set_result(None)
        else:
            answer.set_exception(error)

    @staticmethod
    def _spawn(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _load(self, model: str) -> None:
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        try:
            hosted = await self._loader.load(model)
        except Exception as error:
            # Whatever a broken file or a full memory does to a library ends here; the worker goes on.
            _log.warning("model_load_failed", model=model, why=reason_of(error), error=type(error).__name__)
            self._tell(LoadFailed(model, reason_of(error)))
            return
        self._hosted[model] = hosted
        self._load_s[model] = loop.time() - began_at
        _log.info("model_loaded", model=model, load_s=round(self._load_s[model], 3))
        self._tell(Loaded(model))

    async def _unload(self, model: str) -> None:
        await self._hosted.pop(model).close()
        _log.info("model_unloaded", model=model)
        self._tell(Unloaded(model))


def _nothing() -> None:
    """The lease ended before it could be revoked."""
