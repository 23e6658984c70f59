"""What has happened so far, and waiting for what should happen next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, TypeVar

T = TypeVar("T")

PATIENCE_S = 45.0
"""Far above what anything takes on a quiet machine."""

_SHOWN = 12


class EventLog(Generic[T]):
    """Events in the order in which they came, of any type. ``wait_for`` fails as soon as ``fail`` was called."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.entries: list[T] = []
        self.failure: Exception | None = None
        self._patience_s = patience_s
        self._changed = asyncio.Event()

    def add(self, entry: T) -> None:
        self.entries.append(entry)
        self._wake()

    def fail(self, reason: Exception) -> None:
        """Something is wrong for good. The first reason counts."""
        self.failure = self.failure or reason
        self._wake()

    def mark(self) -> int:
        """Now, as a position for ``since``."""
        return len(self.entries)

    async def wait_for(
        self, what: str, matches: Callable[[T], Any], *, since: int = 0, within_s: float | None = None
    ) -> T:
        """The first entry from ``since`` on that matches. Raises TimeoutError, or the failure."""
        limit_s = within_s or self._patience_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._find(matches, since)
        except TimeoutError:
            last = [_brief(entry) for entry in self.entries[since:][-_SHOWN:]]
            raise TimeoutError(f"no {what} within {limit_s:.0f} s; the last that came: {last}") from None

    async def _find(self, matches: Callable[[T], Any], since: int) -> T:
        position = since
        while True:
            changed = self._changed
            while position < len(self.entries):
                entry = self.entries[position]
                if matches(entry):
                    return entry
                position += 1
            if self.failure is not None:
                raise self.failure
            await changed.wait()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _brief(entry: object) -> str:
    if isinstance(entry, dict):
        return str(entry.get("type"))
    return str(getattr(entry, "type", type(entry).__name__))
