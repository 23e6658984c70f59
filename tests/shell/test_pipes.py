from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from typing import Any

import pytest
import uvloop

from antiphon.apps.pipes import first_bytes


def run(work: Coroutine[Any, Any, None]) -> None:
    """In the loop of a server."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


@pytest.mark.parametrize("written", [b"ready\n", b""])
def test_what_comes_first_and_the_end(written: bytes) -> None:
    readable, writable = os.pipe()

    async def read() -> None:
        reading = asyncio.create_task(first_bytes(readable))
        await asyncio.sleep(0)
        os.write(writable, written)
        os.close(writable)
        assert await reading == written
        assert not is_open(readable)

    run(read())


def test_what_gets_its_number_stays_open() -> None:
    async def read() -> int:
        readable, writable = os.pipe()
        os.write(writable, b"ready\n")
        await first_bytes(readable)
        os.close(writable)
        opened = os.open(os.devnull, os.O_RDONLY)
        assert opened == readable
        return opened

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        opened = runner.run(read())
    os.close(opened)  # raises OSError where something else has closed it


def test_it_is_closed_when_nobody_waits_any_more() -> None:
    readable, writable = os.pipe()

    async def give_up() -> None:
        reading = asyncio.create_task(first_bytes(readable))
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert not is_open(readable)

    run(give_up())
    os.close(writable)
