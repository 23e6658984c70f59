"""One process that a supervisor started: how it says that it is ready, what it says otherwise, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import deque
from dataclasses import dataclass

import orjson
import structlog

from antiphon.apps.pipes import first_bytes

STOP_LIMIT_S = 0.7
"""What children get to end in order. Then they are killed, so that all is over within two seconds."""

_RELAY_LIMIT_S = 0.5
"""How long the last output of a child may take to come after its end."""

_LEVELS = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_OWN_KEYS = ("timestamp", "level", "logger")
"""Of a child's log line; ours has its own."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Command:
    """What to run: ``--ready-fd N`` is added to the arguments, where the program writes a line when it is ready.

    It must end with this process, however that ends; ``antiphon.apps.child`` sees to it.
    """

    name: str
    arguments: tuple[str, ...]
    program: tuple[str, ...] = (sys.executable, "-m", "antiphon.apps.child")
    spare: bool = False
    """A second process is kept that takes the place of one that ends. It is given ``--standby-fd N`` too, prepares what
    can be prepared, and begins when a byte comes there; it ends when that pipe does."""


class ChildProcess:
    """Made by ``spawn``; its last user awaits ``ended`` or ``end``."""

    def __init__(
        self, process: asyncio.subprocess.Process, ready: int, start: int | None, relay: asyncio.Task[None]
    ) -> None:
        self._process = process
        self._ready = ready
        self._start = start
        self._relay = relay
        self._begun = asyncio.Event()

    @classmethod
    async def spawn(cls, command: Command, said: deque[str], *, stand_by: bool = False) -> ChildProcess:
        """Lines that are no log lines are added to ``said``. Raises OSError."""
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            ready, ready_there = os.pipe()
            ours.callback(os.close, ready)
            theirs.callback(os.close, ready_there)
            options, start = ["--ready-fd", str(ready_there)], None
            passed = [ready_there]
            if stand_by:
                start_there, start = os.pipe()
                ours.callback(os.close, start)
                theirs.callback(os.close, start_there)
                options = ["--standby-fd", str(start_there), *options]
                passed.append(start_there)
            process = await asyncio.create_subprocess_exec(
                *(*command.program, *command.arguments, *options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                pass_fds=passed,
                start_new_session=True,  # so that Ctrl-C reaches only us, and we stop it in order
            )
            ours.pop_all()
        return cls(process, ready, start, asyncio.create_task(_relay(command.name, said, process)))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def how_it_ended(self) -> str:
        return in_words(self._process.returncode)

    def begin(self) -> None:
        """One that stands by is told to begin."""
        self._begun.set()
        if self._start is not None:
            with contextlib.suppress(BrokenPipeError):  # it has just ended
                os.write(self._start, b"\n")
            self._close_start()

    def _close_start(self) -> None:
        start, self._start = self._start, None
        if start is not None:
            os.close(start)

    async def is_needed(self) -> bool:
        """Waits until one that stands by is told to begin; False if it ends before."""
        ending = asyncio.create_task(self._process.wait())
        beginning = asyncio.create_task(self._begun.wait())
        try:
            await asyncio.wait([ending, beginning], return_when=asyncio.FIRST_COMPLETED)
            return self._begun.is_set()
        finally:
            ending.cancel()
            beginning.cancel()
            await asyncio.gather(ending, beginning, return_exceptions=True)

    async def says_ready(self) -> bool:
        """Whether it writes a line, before it closes the pipe or ends. Asked once."""
        ready, self._ready = self._ready, -1
        return bool(await first_bytes(ready))

    async def wait(self) -> None:
        await self._process.wait()

    async def ended(self) -> None:
        """Waits for its end, and for its last words."""
        try:
            await self._process.wait()
            await asyncio.wait([self._relay], timeout=_RELAY_LIMIT_S)
        finally:
            await self.forget()

    async def forget(self) -> None:
        """Gives up what is held for it, which runs or has ended."""
        self._close_start()
        ready, self._ready = self._ready, -1
        if ready >= 0:
            os.close(ready)
        self._relay.cancel()
        await asyncio.gather(self._relay, return_exceptions=True)

    def ask_to_end(self) -> None:
        self._send(signal.SIGTERM)

    async def end(self) -> None:
        """After ``ask_to_end``: waits for it a little, and kills it then."""
        try:
            async with asyncio.timeout(STOP_LIMIT_S):
                await self._process.wait()
        except TimeoutError:
            self._send(signal.SIGKILL)
            await self._process.wait()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


async def _relay(name: str, said: deque[str], process: asyncio.subprocess.Process) -> None:
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
            _log_line(name, said, line)


def _log_line(name: str, said: deque[str], line: bytes) -> None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        text = line.decode(errors="replace").rstrip()
        said.append(text)
        _log.info("worker_says", worker=name, line=text)
        return
    level = _LEVELS.get(str(entry.get("level")), logging.INFO)
    fields = {str(key): value for key, value in entry.items() if key not in (*_OWN_KEYS, "event", "worker")}
    logger = structlog.get_logger(str(entry.get("logger", __name__)))
    logger.log(level, entry["event"], worker=name, **fields)


def in_words(code: int | None) -> str:
    """How a process ended."""
    if code is None:
        return "it did not end"
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
