"""The workers of one stage, as one thing to ask: found by a registry, watched, and chosen from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import grpc
import structlog

from antiphon.core.fleet import Choice, Full, Health, Load, Policy, Request, Router, Shortage, Worker
from antiphon.errors import EngineError
from antiphon.v1 import models_pb2
from antiphon.voices.channel import POLL_S, Connection
from antiphon.voices.lease import Lease
from antiphon.voices.registry import Announcement, Registry
from antiphon.voices.watcher import NoWatcher, Watcher
from antiphon.voices.worker_tls import WorkerTls

log = structlog.get_logger(__name__)

START_S = 30.0
"""How long ``start`` waits for the first worker: loading models takes seconds."""

PATIENCE_S = 2.0
"""How long a request waits for a worker to come back, unless the fleet is told otherwise."""

LOAD_S = 120.0
"""How long a model may take to load in the background."""

GOODBYE_S = 0.2
"""What a fleet that is closed gives the ends of conversations to reach their workers."""


class Fleet:
    """The workers of one stage. ``start`` first, ``close`` last."""

    def __init__(
        self,
        stage: str,
        registry: Registry,
        *,
        policy: Policy = Policy.LEAST_LOADED,
        seed: int | None = None,
        tls: WorkerTls | None = None,
        watcher: Watcher | None = None,
        poll_s: float = POLL_S,
        patience_s: float = PATIENCE_S,
        name_of: Callable[[str], str] = str,
    ) -> None:
        """``patience_s`` is how long a request waits for a worker to come back before it fails; ``name_of`` gives the
        name of the worker at an address.
        """
        self.stage = stage
        self.name_of = name_of
        self.patience_s = patience_s
        self.watcher: Watcher = watcher or NoWatcher()
        self._registry = registry
        self._router = Router(policy, seed)
        self._tls = tls
        self._poll_s = poll_s
        self._connections: dict[str, Connection] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._goodbyes: set[asyncio.Task[None]] = set()
        self._loads: set[Load] = set()
        self._change = asyncio.Event()

    @property
    def connections(self) -> tuple[Connection, ...]:
        """In the order in which they became known."""
        return tuple(self._connections.values())

    @property
    def workers(self) -> tuple[Worker, ...]:
        return tuple(connection.worker for connection in self._connections.values())

    async def start(self, wait_s: float = START_S) -> None:
        """Begins to follow the workers and waits for the first that serves. Raises EngineError when none comes."""
        self.spawn(self._follow())
        try:
            async with asyncio.timeout(wait_s):
                while not any(worker.health is Health.SERVING for worker in self.workers):
                    self._give_up_if_hopeless()
                    await self.changed()
        except TimeoutError as error:
            known = "; ".join(map(_in_words, self.connections)) or "none is known"
            raise EngineError(
                f"no {self.stage} worker came up within {wait_s:g} s ({known}): start one with "
                f"`antiphon worker {self.stage}`",
                retryable=True,
            ) from error

    def _give_up_if_hopeless(self) -> None:
        """Raises EngineError when none of the workers that are known can be reached as things are."""
        known = [connection for connection in self.connections if not connection.of_another_stage]
        if known and all(connection.hopeless for connection in known):
            raise EngineError(f"no {self.stage} worker can be reached: {'; '.join(map(_in_words, known))}")

    async def close(self) -> None:
        """Ends all that is under way and closes the channels. May be called twice, and without ``start``."""
        if self._goodbyes:
            await asyncio.wait(self._goodbyes, timeout=GOODBYE_S)
        tasks = [*self._tasks, *self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._connections.clear()
        self._running.clear()

    def spawn(self, work: Coroutine[Any, Any, None], *, goodbye: bool = False) -> asyncio.Task[None]:
        """Runs something beside its caller until it ends, or the fleet is closed; a ``goodbye`` a moment longer."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        if goodbye:
            self._goodbyes.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._goodbyes.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("fleet_task_failed", stage=self.stage, exc_info=error)

    # Who there is.

    async def _follow(self) -> None:
        async for announced in self._registry.watch():
            self._update({worker.address for worker in announced if self._is_ours(worker)})

    def _is_ours(self, worker: Announcement) -> bool:
        return worker.stage in ("", self.stage)

    def _update(self, addresses: set[str]) -> None:
        for address in self._connections.keys() - addresses:
            self._retire(address)
        for address in sorted(addresses - self._connections.keys()):
            connection = Connection(address, self.stage, self._tell_change, self._tls, poll_s=self._poll_s)
            self._connections[address] = connection
            task = asyncio.create_task(connection.run())
            task.add_done_callback(self._ended)
            self._running[address] = task
        self._tell_change()

    def _retire(self, address: str) -> None:
        """A worker that is no longer announced gets nothing new. What it has it may end."""
        connection, task = self._connections.pop(address), self._running.pop(address)
        self._router.forget(address)
        self.spawn(self._close_when_idle(connection, task))

    async def _close_when_idle(self, connection: Connection, task: asyncio.Task[None]) -> None:
        try:
            while connection.in_flight:
                await self.changed()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _tell_change(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def changed(self, timeout_s: float | None = None) -> None:
        """Waits until something is different: a worker, a place, a model; or until the time is over."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._change.wait()
        except TimeoutError:
            pass

    async def ask(self) -> None:
        """Asks the workers that serve what they have now; returns when all have said so, or are gone."""
        serving = [each for each in self._connections.values() if each.worker.health is Health.SERVING]
        await asyncio.gather(*(connection.ask(voices=True) for connection in serving))

    # Who serves.

    def place_of(self, address: str | None) -> str | None:
        """The name of the worker at ``address``; without one that of the only worker, None where there are others."""
        if address is None and len(self._connections) == 1:
            address = next(iter(self._connections))
        return None if address is None else self.name_of(address)

    async def acquire(self, request: Request, *, patience_s: float = 0.0, even_if_busy: bool = False) -> Lease:
        """A place at a worker for the request.

        Waits up to ``patience_s`` for a worker to come back, and for a place at a busy one only if ``even_if_busy``:
        what was begun may wait a moment, what is new is refused at once. Raises EngineError, retryable, which says
        when to try again.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + patience_s
        while True:
            chosen = self._choose(request)
            if isinstance(chosen, Choice):
                return self._lease(chosen)
            left_s = until - loop.time()
            if left_s <= 0 or (chosen.shortage is Shortage.BUSY and not even_if_busy):
                raise self._refusal(request, chosen)
            await self.changed(min(left_s, chosen.retry_after_s))

    async def acquire_but(
        self, request: Request, avoid: frozenset[str], *, patience_s: float = 0.0, even_if_busy: bool = False
    ) -> Lease:
        """A place at none of the instances ``avoid``, which refused this very request, if there is any other; else at
        any, since what is refused once may be taken a moment later. Raises EngineError.
        """
        if avoid:
            chosen = self._choose(replace(request, avoid=avoid))
            if isinstance(chosen, Choice):
                return self._lease(chosen)
        return await self.acquire(request, patience_s=patience_s, even_if_busy=even_if_busy)

    def try_acquire(self, request: Request) -> Lease | None:
        """A place for the request, if there is one now."""
        chosen = self._choose(request)
        return self._lease(chosen) if isinstance(chosen, Choice) else None

    def look(self, request: Request) -> tuple[Connection, str] | None:
        """Who would serve the request now, and with which model; it takes no place and starts nothing."""
        chosen = self._choose(request)
        if isinstance(chosen, Full):
            return None
        return self._connections[chosen.worker.address], chosen.model

    def _choose(self, request: Request) -> Choice | Full:
        return self._router.choose(request, self.workers, asyncio.get_running_loop().time())

    def _lease(self, choice: Choice) -> Lease:
        if choice.load is not None:
            self._load_in_background(choice.load)
        return Lease(self._connections[choice.worker.address], choice.worker, choice.model)

    def _refusal(self, request: Request, full: Full) -> EngineError:
        self.watcher.refused(self.stage, full.shortage)
        wanted = f" ({', '.join(request.models)})" if request.models else ""
        return EngineError(
            f"the {self.stage} fleet cannot take it now: {full.shortage.value}{wanted}; "
            f"try again in {full.retry_after_s:.1f} s",
            retryable=True,
            retry_after_s=full.retry_after_s,
        )

    def _load_in_background(self, load: Load) -> None:
        if load not in self._loads:
            self._loads.add(load)
            self.spawn(self._load(load))

    async def _load(self, load: Load) -> None:
        connection = self._connections[load.address]
        try:
            await connection.stub.LoadModel(models_pb2.LoadModelRequest(model=load.model), timeout=LOAD_S)
            await connection.ask()
        except grpc.aio.AioRpcError as error:
            log.warning(
                "model_not_loaded",
                address=load.address,
                model=load.model,
                reason=f"{error.code().name}: {error.details()}",
            )
        finally:
            self._loads.discard(load)


def _in_words(connection: Connection) -> str:
    return f"{connection.address}: {connection.trouble}" if connection.trouble else connection.address
