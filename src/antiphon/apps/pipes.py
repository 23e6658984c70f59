"""A pipe by which a process of ours says that it is ready, and both of its ends."""

from __future__ import annotations

import asyncio
import os

from antiphon.errors import ConfigError

_MOST_BYTES = 4096


def tell_ready(fd: int | None, address: str) -> None:
    """Writes the address as a line, and closes ``fd``; None is nobody who waits. Raises ConfigError."""
    if fd is None:
        return
    try:
        with os.fdopen(fd, "w") as ready:
            ready.write(f"{address}\n")
    except OSError as error:
        raise ConfigError(f"--ready-fd {fd}: {error.strerror}") from error


async def first_bytes(fd: int) -> bytes:
    """Waits for what comes first, and closes ``fd``, also when it is cancelled. Nothing, if the other end was closed.

    ``connect_read_pipe`` will not do: uvloop closes the number of a pipe later than the pipe, when it may be another
    file's already.
    """
    loop = asyncio.get_running_loop()
    came: asyncio.Future[bytes] = loop.create_future()

    def read() -> None:
        loop.remove_reader(fd)
        if not came.done():
            came.set_result(os.read(fd, _MOST_BYTES))

    loop.add_reader(fd, read)
    try:
        return await came
    finally:
        loop.remove_reader(fd)
        os.close(fd)
