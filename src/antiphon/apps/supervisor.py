"""Keeps child processes running: starts them, starts them again when they end, and stops them with this process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import TracebackType
from typing import Self

import structlog

from antiphon.apps.child_process import ChildProcess, Command, in_words
from antiphon.errors import ConfigError, EngineError

RESTART_S = (0.1, 5.0)
"""The first wait before a child that ended is started again, which doubles, and the longest."""

RAN_WELL_S = 10.0
"""A child that was ready for so long begins anew with the first wait."""

SPARE_AFTER_S = 2.0
"""So long after a child is ready the next is prepared, which takes a second of CPU that its first work may need."""

CONFIG_EXIT = 2
"""With this code the command line ends for an error that its user can act on."""

_TAIL_LINES = 8
_MESSAGE_PREFIX = "antiphon: "

_log = structlog.get_logger(__name__)


class ChildState(Enum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It ended, and is started again in a moment."""
    STOPPED = "stopped"


@dataclass(slots=True)
class Child:
    """One child, whichever process it is at the moment."""

    command: Command
    state: ChildState = ChildState.STARTING
    pid: int | None = None
    spare_pid: int | None = None
    """The process that stands by, if there is one now."""
    restarts: int = 0
    last_exit: str = ""
    """How it ended last, in plain words."""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    """Its last lines that were no log lines, since it was ready last."""

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def complaint(self) -> str:
        """Why it does not run, in its own words; empty while it runs, and where it said nothing."""
        if self.state in (ChildState.RUNNING, ChildState.STOPPED):
            return ""
        lines = [line for line in self.said if line.strip()]
        plain = [line.removeprefix(_MESSAGE_PREFIX) for line in lines if line.startswith(_MESSAGE_PREFIX)]
        return (plain or lines or [""])[-1]


class Supervisor:
    """Runs its children within ``async with``. Belongs to one event loop."""

    def __init__(self, commands: Sequence[Command], on_restart: Callable[[str], None] | None = None) -> None:
        """``on_restart`` is called with the name of a child that ended and is started again."""
        self._on_restart = on_restart or (lambda _name: None)
        self.children = tuple(Child(command) for command in commands)
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._processes: set[ChildProcess] = set()
        self._spares: dict[str, ChildProcess] = {}
        self._change = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for child in self.children:
            self._ready[child.name] = loop.create_future()
            self._keepers.append(loop.create_task(self._keep(child), name=f"keep {child.name}"))
            if child.command.spare:
                self._keepers.append(loop.create_task(self._keep_spare(child), name=f"keep a spare {child.name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        running = [process for process in self._processes if process.running]
        for process in running:
            process.ask_to_end()
        await asyncio.gather(*(process.end() for process in running))
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(process.forget() for process in self._processes))
        for child in self.children:
            self._tell(child, ChildState.STOPPED)
        for ready in self._ready.values():
            if ready.done() and not ready.cancelled():
                ready.exception()  # whoever waited is gone
            ready.cancel()

    async def ready(self, name: str) -> None:
        """Waits until the child has been ready once.

        A child that ends before it ever was raises here: ConfigError for something that it could not use as given, else
        EngineError.
        """
        await asyncio.shield(self._ready[name])

    async def changed(self) -> None:
        """Waits until a child is another process, or in another state."""
        await self._change.wait()

    def _tell(self, child: Child, state: ChildState, pid: int | None = None) -> None:
        child.state, child.pid = state, pid
        self._changed()

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        first_s, longest_s = RESTART_S
        wait_s = first_s
        while True:
            self._tell(child, ChildState.STARTING)
            ready_at = await self._live(child)
            if ready_at is not None and loop.time() - ready_at >= RAN_WELL_S:
                wait_s = first_s
            ready = self._ready[child.name]
            if not ready.done():
                ready.set_exception(_start_error(child))
                self._tell(child, ChildState.STOPPED)
                return
            child.restarts += 1
            # One that stands by begins at once, unless the last one that did has just ended too.
            at_once = child.name in self._spares and wait_s == first_s
            self._tell(child, ChildState.WAITING)
            said = {"said": child.complaint} if child.complaint else {}
            _log.warning(
                "worker_ended", worker=child.name, how=child.last_exit, restart_in_s=0.0 if at_once else wait_s, **said
            )
            self._on_restart(child.name)
            if not at_once:
                await asyncio.sleep(wait_s)
            wait_s = min(longest_s, wait_s * 2)

    async def _live(self, child: Child) -> float | None:
        """One life of a child, from its start to its end. Returns when it became ready, if it did."""
        process = self._spares.pop(child.name, None)
        child.spare_pid = None
        if process is not None:
            process.begin()
        else:
            process = await self._spawn(child)
        if process is None:
            child.last_exit = "it did not start"
            return None
        self._tell(child, ChildState.STARTING, process.pid)
        ready_at: float | None = None
        try:
            if await process.says_ready():
                ready_at = asyncio.get_running_loop().time()
                self._tell_ready(child)
            await process.ended()
        finally:
            child.pid = None
        self._processes.discard(process)
        child.last_exit = process.how_it_ended
        return ready_at

    async def _spawn(self, child: Child, *, stand_by: bool = False) -> ChildProcess | None:
        try:
            process = await ChildProcess.spawn(child.command, child.said, stand_by=stand_by)
        except OSError as error:
            child.said.append(f"it cannot be started: {error.strerror}")
            return None
        self._processes.add(process)
        return process

    def _tell_ready(self, child: Child) -> None:
        child.said.clear()
        self._tell(child, ChildState.RUNNING, child.pid)
        ready = self._ready[child.name]
        if not ready.done():
            ready.set_result(None)
        _log.info("worker_ready", worker=child.name, pid=child.pid, restarts=child.restarts)

    async def _keep_spare(self, child: Child) -> None:
        """Has a process stand by once the child is ready, not before: it would take its time."""
        while True:
            while child.state is not ChildState.RUNNING:
                await self.changed()
            await asyncio.sleep(SPARE_AFTER_S)
            spare = await self._spawn(child, stand_by=True)
            if spare is not None:
                self._spares[child.name], child.spare_pid = spare, spare.pid
                self._changed()
                if await spare.is_needed():
                    continue
                del self._spares[child.name]
                child.spare_pid = None
                await spare.ended()
                self._processes.discard(spare)
                _log.warning("worker_spare_ended", worker=child.name, how=spare.how_it_ended)
            await asyncio.sleep(RESTART_S[1])


def _start_error(child: Child) -> ConfigError | EngineError:
    """What a person reads about a child that never was ready: its own words, where it found some."""
    lines = [line for line in child.said if line]
    plain = [line for line in lines if line.startswith(_MESSAGE_PREFIX)]
    if child.last_exit == in_words(CONFIG_EXIT) and plain:
        at = lines.index(plain[-1])
        return ConfigError("\n".join([plain[-1].removeprefix(_MESSAGE_PREFIX), *lines[at + 1 :]]))
    return EngineError("\n".join([f"the worker {child.name} did not start: {child.last_exit}", *lines]))
