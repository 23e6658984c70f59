"""A server of our own for the length of a program: started on a free port, stopped at the end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from antiphon.apps.pipes import first_bytes
from antiphon.errors import AntiphonError, ConfigError

START_LIMIT_S = 60.0
STOP_LIMIT_S = 1.2
"""Then it is killed, so that Ctrl-C ends us within two seconds."""
TAIL_LINES = 8
"""Of the server's log, shown when it does not start."""


class ServerStartError(AntiphonError):
    """The server did not start; the message ends with what it said."""


@dataclass(frozen=True, slots=True)
class LocalServer:
    """A server that runs. ``url`` is its base address; ``start_s`` is how long it took to be ready."""

    url: str
    pid: int
    start_s: float


@asynccontextmanager
async def local_server(arguments: Sequence[str] = (), log_file: Path | None = None) -> AsyncIterator[LocalServer]:
    """Runs ``antiphon serve`` in a process of its own with further ``arguments`` until the block is left.

    Its log is in ``log_file``, or lost. Raises ServerStartError, and ConfigError for a file that cannot be written.
    """
    log = _log(log_file)
    readable, writable = os.pipe()
    with log:
        began_at = asyncio.get_running_loop().time()
        try:
            process = await _spawn(arguments, writable, log)
        except BaseException:
            os.close(readable)
            raise
        finally:
            os.close(writable)
        try:
            url = await _ready(process, readable, log)
            yield LocalServer(url, process.pid, asyncio.get_running_loop().time() - began_at)
        finally:
            await _stop(process)


def _log(file: Path | None) -> IO[bytes]:
    if file is None:
        return tempfile.TemporaryFile()
    try:
        return file.open("wb+")
    except OSError as error:
        raise ConfigError(f"--log {file}: it cannot be written: {error.strerror}") from error


async def _spawn(arguments: Sequence[str], ready_fd: int, log: IO[bytes]) -> asyncio.subprocess.Process:
    command = ["-m", "antiphon.apps.child", "serve", "--port", "0", "--ready-fd", str(ready_fd), *arguments]
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=(ready_fd,),
        start_new_session=True,  # so that Ctrl-C reaches only us, and we stop it in order
    )


async def _ready(process: asyncio.subprocess.Process, ready_fd: int, log: IO[bytes]) -> str:
    """Reads the address that the server writes once it listens; its end without one is the server's death."""
    try:
        async with asyncio.timeout(START_LIMIT_S):
            line = await first_bytes(ready_fd)
    except TimeoutError as error:
        raise ServerStartError(f"the server was not ready within {START_LIMIT_S:.0f} s:\n{_tail(log)}") from error
    if not line.endswith(b"\n"):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_LIMIT_S):
                await process.wait()  # for its last words, and so that no signal is sent to what has ended
        raise ServerStartError(f"the server did not start:\n{_tail(log)}")
    return line.decode().strip()


def _tail(log: IO[bytes]) -> str:
    log.seek(0)
    return "\n".join(log.read().decode(errors="replace").splitlines()[-TAIL_LINES:])


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_LIMIT_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
