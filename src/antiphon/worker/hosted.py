"""Engines in memory: how they get there, who uses them, and what a person reads when one does not load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import structlog

from antiphon.engines.base import Engine
from antiphon.errors import AntiphonError

LOAD_LIMIT_S = 300.0
"""A load that takes longer has failed."""

_MAX_REASONS = 10
"""In one answer; what else went wrong is in the log."""

E = TypeVar("E", bound=Engine)

_log = structlog.get_logger(__name__)


class Hosted(Generic[E]):
    """An engine in memory. A newer one may take its place while it still works; it is closed after its last use."""

    def __init__(self, engine: E) -> None:
        self.engine = engine
        self._users = 0
        self._unused = asyncio.Event()
        self._unused.set()

    @contextmanager
    def used(self) -> Iterator[E]:
        self._users += 1
        self._unused.clear()
        try:
            yield self.engine
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def close(self) -> None:
        """Closes the engine when nobody uses it any more. What goes wrong is logged: the memory is given up anyway."""
        await self._unused.wait()
        try:
            await self.engine.close()
        except Exception:
            _log.exception("engine_close_failed", engine=self.engine.name)


class Loader(Generic[E]):
    """Brings engines into memory."""

    def __init__(self, make: Callable[[str], Awaitable[E]], warm_up: Callable[[E], Awaitable[None]]) -> None:
        """``make`` gives the engine of a name, not loaded yet; ``warm_up`` has a loaded one do a little work."""
        self._make = make
        self._warm_up = warm_up

    async def load(self, model: str) -> Hosted[E]:
        """Raises whatever the engine raises, and TimeoutError; it is closed then."""
        hosted = Hosted(await self._make(model))
        try:
            async with asyncio.timeout(LOAD_LIMIT_S):
                await hosted.engine.load()
                await self._warm_up(hosted.engine)
        except BaseException:
            await hosted.close()
            raise
        return hosted


def reason_of(error: Exception) -> str:
    """What a person reads about a failed load."""
    match error:
        case AntiphonError():
            return str(error)
        case MemoryError():
            return "out of memory"
        case TimeoutError():
            return f"loading took longer than {LOAD_LIMIT_S:.0f} s"
        case _:
            return f"{type(error).__name__}: {error}"


def joined(reasons: Sequence[str]) -> str:
    """One message of several lines, of a length that a status can have."""
    lines = "\n".join(reasons).splitlines()
    if len(lines) > _MAX_REASONS:
        lines[_MAX_REASONS:] = [f"and {len(lines) - _MAX_REASONS} more: see the log"]
    return "\n".join(lines)
