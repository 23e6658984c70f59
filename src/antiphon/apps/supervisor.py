"""Keeps child processes running: starts them, starts them again when they end, and stops them with this process."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson
import structlog

from antiphon.errors import ConfigError, EngineError

RESTART_S = (0.1, 5.0)
"""The first wait before a child that ended is started again, which doubles, and the longest."""

RAN_WELL_S = 10.0
"""A child that was ready for so long begins anew with the first wait."""

STOP_LIMIT_S = 0.7
"""What children get to end in order. Then they are killed, so that all is over within two seconds."""

CONFIG_EXIT = 2
"""With this code the command line ends for an error that its user can act on."""

_TAIL_LINES = 8
_RELAY_LIMIT_S = 0.5
"""How long the last output of a child may take to come after its end."""

_MESSAGE_PREFIX = "antiphon: "
_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_OWN_KEYS = ("timestamp", "level", "logger")
"""Of a child's log line; ours has its own."""

_log = structlog.get_logger(__name__)


class ChildState(Enum):
    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"
    """It ended, and is started again in a moment."""
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: ``--ready-fd N`` is added to the arguments, where the program writes a line when it is ready.

    It must end with this process, however that ends; ``antiphon.apps.child`` sees to it.
    """

    name: str
    arguments: tuple[str, ...]
    program: tuple[str, ...] = (sys.executable, "-m", "antiphon.apps.child")


@dataclass(slots=True)
class Child:
    """One child, whichever process it is at the moment."""

    command: Command
    state: ChildState = ChildState.STARTING
    pid: int | None = None
    restarts: int = 0
    last_exit: str = ""
    """How it ended last, in plain words."""
    said: deque[str] = field(default_factory=lambda: deque(maxlen=_TAIL_LINES))
    """Its last lines that were no log lines."""

    @property
    def name(self) -> str:
        return self.command.name


class Supervisor:
    """Runs its children within ``async with``. Belongs to one event loop."""

    def __init__(self, commands: Sequence[Command], on_restart: Callable[[str], None] | None = None) -> None:
        """``on_restart`` is called with the name of a child that ended and is started again."""
        self._on_restart = on_restart or (lambda _name: None)
        self.children = tuple(Child(command) for command in commands)
        self._ready: dict[str, asyncio.Future[None]] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._change = asyncio.Event()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for child in self.children:
            self._ready[child.name] = loop.create_future()
            self._keepers.append(loop.create_task(self._keep(child), name=f"keep {child.name}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        running = [process for process in self._processes.values() if process.returncode is None]
        for process in running:
            _send(process, signal.SIGTERM)
        await asyncio.gather(*(_end(process) for process in running))
        await asyncio.gather(*self._keepers, return_exceptions=True)
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
            self._tell(child, ChildState.WAITING)
            _log.warning("worker_ended", worker=child.name, how=child.last_exit, restart_in_s=wait_s)
            self._on_restart(child.name)
            await asyncio.sleep(wait_s)
            wait_s = min(longest_s, wait_s * 2)

    async def _live(self, child: Child) -> float | None:
        """One life of a child, from its start to its end. Returns when it became ready, if it did."""
        loop = asyncio.get_running_loop()
        readable, writable = os.pipe()
        with os.fdopen(readable, "rb", buffering=0) as pipe:
            try:
                process = await _spawn(child.command, writable)
            except OSError as error:
                child.said.append(f"it cannot be started: {error.strerror}")
                child.last_exit = "it did not start"
                return None
            finally:
                os.close(writable)
            self._processes[child.name] = process
            self._tell(child, ChildState.STARTING, process.pid)
            relay = loop.create_task(_relay(child, process))
            ready_at: float | None = None
            try:
                if await _says_ready(pipe):
                    ready_at = loop.time()
                    self._tell_ready(child)
                await process.wait()
                await asyncio.wait([relay], timeout=_RELAY_LIMIT_S)
            finally:
                child.pid = None
                relay.cancel()
                await asyncio.gather(relay, return_exceptions=True)
        child.last_exit = _in_words(process.returncode)
        return ready_at

    def _tell_ready(self, child: Child) -> None:
        self._tell(child, ChildState.RUNNING, child.pid)
        ready = self._ready[child.name]
        if not ready.done():
            ready.set_result(None)
        _log.info("worker_ready", worker=child.name, pid=child.pid, restarts=child.restarts)


async def _spawn(command: Command, ready_fd: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*command.program, *command.arguments, "--ready-fd", str(ready_fd)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        pass_fds=(ready_fd,),
        start_new_session=True,  # so that Ctrl-C reaches only us, and we stop it in order
    )


async def _says_ready(pipe: object) -> bool:
    """Whether the child writes a line, before it closes the pipe or ends."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
    try:
        return (await reader.readline()).endswith(b"\n")
    finally:
        transport.close()


async def _relay(child: Child, process: asyncio.subprocess.Process) -> None:
    """Puts what a child writes into our log, under its name."""
    assert process.stdout is not None
    while True:
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than the reader's buffer: what came of it is dropped
            continue
        if not line:
            return
        if line.strip():
            _log_line(child, line)


def _log_line(child: Child, line: bytes) -> None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        text = line.decode(errors="replace").rstrip()
        child.said.append(text)
        _log.info("worker_says", worker=child.name, line=text)
        return
    level = _LEVELS.get(str(entry.get("level")), logging.INFO)
    fields = {str(key): value for key, value in entry.items() if key not in (*_OWN_KEYS, "event", "worker")}
    logger = structlog.get_logger(str(entry.get("logger", __name__)))
    logger.log(level, entry["event"], worker=child.name, **fields)


def _start_error(child: Child) -> ConfigError | EngineError:
    """What a person reads about a child that never was ready: its own words, where it found some."""
    lines = [line for line in child.said if line]
    plain = [line for line in lines if line.startswith(_MESSAGE_PREFIX)]
    if child.last_exit == _in_words(CONFIG_EXIT) and plain:
        at = lines.index(plain[-1])
        return ConfigError("\n".join([plain[-1].removeprefix(_MESSAGE_PREFIX), *lines[at + 1 :]]))
    return EngineError("\n".join([f"the worker {child.name} did not start: {child.last_exit}", *lines]))


def _in_words(code: int | None) -> str:
    if code is None:
        return "it did not end"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def _send(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await process.wait()
    except TimeoutError:
        _send(process, signal.SIGKILL)
        await process.wait()


_FOLDER_PREFIX = "antiphon-"
_LOCK = "lock"


@contextlib.contextmanager
def runtime_folder(base: Path | None = None) -> Iterator[Path]:
    """A folder, for sockets unless ``base`` says where, that only this user may enter; it goes with the block's end.

    Those that killed servers left behind go too: a folder in use has a lock that its server holds.
    """
    base = base or Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if not os.access(base, os.W_OK):
        base = Path(tempfile.gettempdir())
    _remove_left_behind(base)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=base))  # 0700
    try:
        new = folder / "new"
        with new.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / _LOCK)  # it is never seen without its owner's lock on it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_behind(base: Path) -> None:
    for path in base.glob(f"{_FOLDER_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid != os.getuid():
                continue
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its server lives
                shutil.rmtree(path.parent, ignore_errors=True)
