"""What waits for a session's loop."""

from __future__ import annotations

import asyncio
from collections import deque

from antiphon.core.commands import Command
from antiphon.core.events import Event


class Inbox:
    """Events and commands in the order in which they came. ``post`` and ``close`` never block; one loop reads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._entries: deque[Event | Command] = deque()
        self._wake = asyncio.Event()
        self.closed = False
        """What is in it is still to be read, and nothing is waited for."""

    def post(self, entry: Event | Command) -> None:
        self._entries.append(entry)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()

    def clear(self) -> None:
        self._entries.clear()

    def take(self) -> Event | Command | None:
        return self._entries.popleft() if self._entries else None

    async def wait(self, until: float | None) -> bool:
        """Waits for an entry or the close, or until a time on the loop's clock (s). False where it was the time."""
        self._wake.clear()
        timer = None if until is None else self._loop.call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()
        return bool(self._entries) or self.closed
