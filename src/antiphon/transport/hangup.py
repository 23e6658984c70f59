"""A client that leaves while its request is being served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

_LOOK_S = 0.25
"""How often a request that waits for its engine looks whether its client is still there."""

T = TypeVar("T")


class GoneError(Exception):
    """The client has left."""


async def while_connected(request: web.Request, work: Awaitable[T]) -> T:
    """The work's result. Raises GoneError, with the work cancelled, when the client leaves."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_S)
            if request.transport is None or request.transport.is_closing():
                raise GoneError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def cut(request: web.Request) -> None:
    """Ends the connection of an answer that cannot be completed."""
    if request.transport is not None:
        request.transport.abort()
