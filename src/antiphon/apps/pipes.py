"""The reading end of a pipe to another process of ours."""

from __future__ import annotations

import asyncio
import os

_MOST_BYTES = 4096


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
