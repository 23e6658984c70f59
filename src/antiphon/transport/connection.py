"""One client's connection: what waits to be sent over its line, and who is cut off."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from enum import Enum, auto

import structlog
from aiohttp import WSCloseCode

from antiphon.transport.limits import Limits
from antiphon.transport.line import Line, Received

_log = structlog.get_logger(__name__)


class Phase(Enum):
    OPEN = auto()
    CLOSING = auto()
    """What waits is sent; then the line is closed."""
    CUT = auto()
    """Nothing is sent any more."""


class Connection:
    """A line to a client, from its opening to the last byte. All of it lives within ``run``."""

    def __init__(self, line: Line, limits: Limits, *, vendor: bool = False) -> None:
        """``vendor``: the client asked for events of our own."""
        self.vendor = vendor
        self._line = line
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.OPEN
        self._close_code: int = WSCloseCode.OK
        self._close_reason = ""
        self._queue: deque[tuple[bytes, bool]] = deque()  # events, and whether they are media
        self._queued = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._sending_since: float | None = None
        self.was_cut_off = False
        """The client did not take what it was sent."""
        self.active_at = self._loop.time()
        """When something was last sent or received."""
        self.queued_bytes = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    async def run(self, take: Callable[[Received], Awaitable[None]], left: Callable[[], None]) -> None:
        """Gives what the client sends to ``take`` and sends what is queued, until the connection is closed or cut.

        ``left`` is called when the client has left; the connection still wants to be closed then.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._writing = group.create_task(self._write())
                reading = group.create_task(self._read(take, left))
                await asyncio.wait([self._writing])
                reading.cancel()
        finally:
            self._cut()
            self._line.abort()

    async def _read(self, take: Callable[[Received], Awaitable[None]], left: Callable[[], None]) -> None:
        while (received := await self._line.receive()) is not None:
            self.active_at = self._loop.time()
            self.received_bytes += len(received.data)
            await take(received)
        left()

    async def _write(self) -> None:
        try:
            while self._phase is not Phase.CUT:
                if self._queue:
                    await self._send_next()
                elif self._phase is Phase.CLOSING:
                    break
                else:
                    self._queued.clear()
                    await self._queued.wait()
        except ConnectionError:
            self._cut()  # The client is gone; nothing that is left can reach it.
        finally:
            await self._line.close(self._close_code, self._close_reason)

    async def _send_next(self) -> None:
        data, _ = self._queue.popleft()
        self._sending_since = self._loop.time()
        await self._line.send(data)
        self.active_at = self._loop.time()
        self._sending_since = None
        self.queued_bytes -= len(data)
        self.sent_bytes += len(data)

    # Sending.

    def send(self, data: bytes, *, media: bool = False) -> None:
        """Queues one event. A client that lets too much of it wait is cut off."""
        if self._phase is Phase.CUT:
            return
        self._queue.append((data, media))
        self.queued_bytes += len(data)
        self._queued.set()
        if self.queued_bytes > self._limits.max_queued_bytes:
            self._cut_off("too much waits to be read")

    def drop_media(self) -> None:
        """Forgets the media that waits; all else keeps its order."""
        kept = [(data, media) for data, media in self._queue if not media]
        self.queued_bytes -= sum(len(data) for data, media in self._queue if media)
        self._queue = deque(kept)

    # Ending.

    def close(self, code: int, reason: str) -> None:
        """Lets what waits go out, then closes the line."""
        if self._phase is Phase.OPEN:
            self._phase = Phase.CLOSING
            self._close_code, self._close_reason = code, reason
            self._queued.set()

    def _cut(self) -> None:
        self._phase = Phase.CUT
        self._queue.clear()
        self.queued_bytes = 0
        self._queued.set()

    def _cut_off(self, reason: str) -> None:
        _log.warning("a slow reader was cut off", reason=reason, queued_bytes=self.queued_bytes)
        self.was_cut_off = True
        self._close_code, self._close_reason = WSCloseCode.POLICY_VIOLATION, reason
        self._cut()
        if self._writing is not None:
            self._writing.cancel()  # It may be waiting for the client to take something.

    def check(self, now: float) -> None:
        """Looks at the times. Called now and then."""
        if self._sending_since is not None and now - self._sending_since > self._limits.stalled_after_s:
            self._sending_since = None
            self._cut_off("nothing was read")
