"""One conversation over a WebSocket: the socket, its session, and the limits under which they live."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from antiphon.core.commands import Command
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.outlet import RealtimeOutlet

_MiB = 1024 * 1024
_log = structlog.get_logger(__name__)


class Conversing(Protocol):
    """What a connection needs of ``session.Session``."""

    def hear(self, pcm: bytes) -> None: ...

    def post(self, command: Command) -> None: ...

    def close(self) -> None: ...

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Limits:
    max_sessions: int = 200
    """At the same time; further clients are told to come again."""
    max_session_s: float = 3600.0
    idle_timeout_s: float = 300.0
    """Neither side has sent anything for so long."""
    max_message_bytes: int = 24 * _MiB
    """Room for the largest audio that an event may carry, 15 MiB, as base64. A longer message closes the connection."""
    max_queued_bytes: int = 8 * _MiB
    """What may wait for a client that reads slowly: two minutes of PCM."""
    stalled_after_s: float = 10.0
    """A client that takes nothing for so long is cut off."""
    close_timeout_s: float = 2.0
    """For the closing handshake, and for a session to end."""

    @property
    def check_interval_s(self) -> float:
        """How often the times above are looked at."""
        return min(1.0, self.max_session_s / 4, self.idle_timeout_s / 4, self.stalled_after_s / 4)


class Phase(Enum):
    OPEN = auto()
    ENDING = auto()
    """The session is told to close; what it still says is sent."""
    CUT = auto()
    """Nothing is sent any more."""


class Connection:
    """One client's socket and session, from the upgrade to the last byte. All of it lives within ``run``."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, limits: Limits) -> None:
        self._socket = socket
        self._transport = transport
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.OPEN
        self._close_code: int = WSCloseCode.OK
        self._close_reason = ""
        self._queue: deque[tuple[bytes, bool]] = deque()  # events, and whether they are media
        self._queued = asyncio.Event()
        self._session: Conversing | None = None
        self._conversing: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._outlet: RealtimeOutlet | None = None
        now = self._loop.time()
        self._opened_at = now
        self._active_at = now
        self._sending_since: float | None = None
        self._ending_since = now
        self.queued_bytes = 0
        self.sent_bytes = 0
        self.received_bytes = 0

    async def run(self, session: Conversing, inlet: RealtimeInlet, outlet: RealtimeOutlet) -> None:
        """Converses until either side leaves. Cancelling it closes the session, and returns when that is gone."""
        self._session, self._outlet = session, outlet
        outlet.session_created()
        try:
            async with asyncio.TaskGroup() as group:
                self._conversing = group.create_task(self._converse(session))
                self._writing = group.create_task(self._write())
                try:
                    await self._read(inlet)
                    self._end(WSCloseCode.OK, "")
                except Exception as failure:
                    self._fail("a client's event could not be read", failure)
        finally:
            self._phase = Phase.CUT
            self._session = self._outlet = None  # they know of this connection; no circle is left behind
            if self._transport is not None and not self._transport.is_closing():
                self._transport.abort()

    # The three things that go on at once.

    async def _read(self, inlet: RealtimeInlet) -> None:
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT:
                self._active_at = self._loop.time()
                self.received_bytes += len(message.data)
                await inlet.receive(message.data)
            elif message.type is WSMsgType.BINARY:
                self._active_at = self._loop.time()
                self.received_bytes += len(message.data)
                inlet.refuse_binary()
            else:
                return  # CLOSE, CLOSING, CLOSED or ERROR: aiohttp has answered it

    async def _converse(self, session: Conversing) -> None:
        try:
            await session.run()
        except Exception as failure:
            self._fail("the session failed", failure)
        finally:
            self._begin_ending()
            self._queued.set()

    async def _write(self) -> None:
        try:
            while self._phase is not Phase.CUT:
                if self._queue:
                    await self._send_next()
                elif self._conversing is not None and self._conversing.done():
                    return
                else:
                    self._queued.clear()
                    await self._queued.wait()
        except ConnectionError:
            self._cut()  # The client is gone; nothing that is left can reach it.
        finally:
            await self._close_socket()

    async def _send_next(self) -> None:
        data, _ = self._queue.popleft()
        self._sending_since = self._loop.time()
        await self._socket.send_frame(data, WSMsgType.TEXT)
        self._active_at = self._loop.time()
        self._sending_since = None
        self.queued_bytes -= len(data)
        self.sent_bytes += len(data)

    async def _close_socket(self) -> None:
        """Says why, waits a little for the client to say so too, and leaves no socket either way."""
        try:
            async with asyncio.timeout(self._limits.close_timeout_s):
                await self._socket.close(code=self._close_code, message=self._close_reason.encode())
        except (TimeoutError, ConnectionError):
            _log.debug("the client did not answer the close")
            self._abort()
        except asyncio.CancelledError:
            self._abort()
            raise
        else:
            self._leave()

    def _leave(self) -> None:
        """Closes the socket once what was said has gone out, for which it has a little time."""
        transport = self._transport
        if transport is None:
            return
        transport.close()
        if transport.get_write_buffer_size() or transport.get_extra_info("sslcontext") is not None:
            self._loop.call_later(self._limits.close_timeout_s, transport.abort)

    def _abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

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

    def error(self, message: str, code: str, *, kind: str = "invalid_request_error") -> None:
        if self._outlet is not None:
            self._outlet.error(message, code, kind=kind)

    # Ending.

    def _begin_ending(self) -> None:
        if self._phase is Phase.OPEN:
            self._phase = Phase.ENDING
            self._ending_since = self._loop.time()

    def _end(self, code: int, reason: str) -> None:
        """Lets the session close and what it says go out, then closes the socket."""
        if self._phase is Phase.OPEN:
            self._close_code, self._close_reason = code, reason
            self._begin_ending()
        if self._session is not None:
            self._session.close()

    def _fail(self, what: str, failure: Exception) -> None:
        _log.error(what, exc_info=failure)
        self.error("The server failed; the session is over", "server_error", kind="server_error")
        self._end(WSCloseCode.INTERNAL_ERROR, "server error")

    def _cut(self) -> None:
        """Sends nothing more."""
        self._phase = Phase.CUT
        self._queue.clear()
        self.queued_bytes = 0
        self._queued.set()
        if self._session is not None:
            self._session.close()

    def _cut_off(self, reason: str) -> None:
        _log.warning("a slow reader was cut off", reason=reason, queued_bytes=self.queued_bytes)
        self._close_code, self._close_reason = WSCloseCode.POLICY_VIOLATION, reason
        self._cut()
        if self._writing is not None:
            self._writing.cancel()  # It may be waiting for the client to take something.

    def check(self, now: float) -> None:
        """Looks at the times. Called now and then for every connection."""
        limits = self._limits
        if self._sending_since is not None and now - self._sending_since > limits.stalled_after_s:
            self._sending_since = None
            self._cut_off("nothing was read")
        elif self._phase is not Phase.OPEN:
            if now - self._ending_since > 2 * limits.close_timeout_s and self._conversing is not None:
                self._conversing.cancel()
        elif now - self._opened_at > limits.max_session_s:
            self.error(f"A session lasts at most {limits.max_session_s:g} s", "session_expired")
            self._end(WSCloseCode.GOING_AWAY, "session expired")
        elif now - self._active_at > limits.idle_timeout_s:
            self.error(f"Nothing was sent for {limits.idle_timeout_s:g} s", "session_idle_timeout")
            self._end(WSCloseCode.GOING_AWAY, "idle")

    def going_away(self) -> None:
        """The server stops."""
        self._end(WSCloseCode.GOING_AWAY, "the server stops")
