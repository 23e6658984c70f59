"""Conversations over WebSocket: one connection, its session, and the limits under which they live."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from antiphon.core.commands import Command
from antiphon.core.settings import SessionSettings
from antiphon.ids import IdSource
from antiphon.transport.base import Outlet
from antiphon.transport.realtime.config import Offer, SessionConfig
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.outlet import RealtimeOutlet

SUBPROTOCOL = "realtime"
_MiB = 1024 * 1024
_log = structlog.get_logger(__name__)


class Conversing(Protocol):
    """What a connection needs of ``session.Session``."""

    def hear(self, pcm: bytes) -> None: ...

    def post(self, command: Command) -> None: ...

    def close(self) -> None: ...

    async def run(self) -> None: ...


class SessionFactory(Protocol):
    def __call__(self, outlet: Outlet, settings: SessionSettings, session_id: str, /) -> Conversing:
        """A session that tells ``outlet``; ``session_id`` is the one its client is told."""
        ...


class Watcher(Protocol):
    """Counts what goes over the connections."""

    def opened(self) -> None: ...

    def refused(self, reason: str) -> None: ...

    def traffic(self, sent_bytes: int, received_bytes: int) -> None: ...


class NoWatcher:
    def opened(self) -> None:
        pass

    def refused(self, reason: str) -> None:
        pass

    def traffic(self, sent_bytes: int, received_bytes: int) -> None:
        pass


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
        self._queue: deque[bytes] = deque()
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
        data = self._queue.popleft()
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

    def send(self, data: bytes) -> None:
        """Queues one event. A client that lets too much of it wait is cut off."""
        if self._phase is Phase.CUT:
            return
        self._queue.append(data)
        self.queued_bytes += len(data)
        self._queued.set()
        if self.queued_bytes > self._limits.max_queued_bytes:
            self._cut_off("too much waits to be read")

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


class Gateway:
    """All WebSocket connections of a server. ``alive()`` must be entered while it serves."""

    def __init__(
        self, factory: SessionFactory, offer: Callable[[], Offer], limits: Limits, watcher: Watcher | None = None
    ) -> None:
        """``offer`` is asked at each connection, since engines tell their voices only when loaded."""
        self._factory = factory
        self._offer = offer
        self._limits = limits
        self._watcher = watcher or NoWatcher()
        self._ids = IdSource()
        self._connections: set[Connection] = set()
        self._places = limits.max_sessions

    @property
    def active(self) -> int:
        """Sessions that are open, or about to be."""
        return self._limits.max_sessions - self._places

    @property
    def queued_bytes(self) -> int:
        return sum(connection.queued_bytes for connection in self._connections)

    @property
    def full(self) -> bool:
        return self._places <= 0

    def configure(self, query: Mapping[str, str], session: dict[str, Any] | None = None) -> SessionConfig:
        """The configuration of a new session: the defaults, the query's wishes, and those of its client secret."""
        config = SessionConfig(
            self._offer(),
            session_id=self._ids.session(),
            expires_at=int(time.time() + self._limits.max_session_s),
            kind="transcription" if query.get("intent") == "transcription" else "realtime",
            paced=query.get("pacing") == "realtime",
        )
        if query.get("model"):
            config.update({"model": query["model"]})
        if session:
            config.update(session)
        return config

    async def serve(self, request: web.Request, config: SessionConfig) -> web.WebSocketResponse:
        """Upgrades the request and converses. The caller has checked that it is not ``full``."""
        self._places -= 1
        try:
            socket = web.WebSocketResponse(
                protocols=(SUBPROTOCOL,),
                compress=False,
                max_msg_size=self._limits.max_message_bytes,
                timeout=self._limits.close_timeout_s,
                decode_text=False,
            )
            try:
                await socket.prepare(request)
            except ConnectionError:
                return socket  # The client left during the handshake.
            with structlog.contextvars.bound_contextvars(session=config.id):
                await self._converse(request, socket, config)
            return socket
        finally:
            self._places += 1

    async def _converse(self, request: web.Request, socket: web.WebSocketResponse, config: SessionConfig) -> None:
        connection = Connection(socket, request.transport, self._limits)
        outlet = RealtimeOutlet(
            config,
            connection.send,
            conversation_id=self._ids.conversation(),
            vendor=request.query.get("events") == "antiphon",
        )
        session = self._factory(outlet, config.settings(), config.id)
        self._connections.add(connection)
        self._watcher.opened()
        _log.info("session opened", pacing=request.query.get("pacing", "burst"), sessions=self.active)
        opened_at = time.monotonic()
        try:
            await connection.run(session, RealtimeInlet(session, outlet, config), outlet)
        finally:
            self._connections.discard(connection)
            self._count(connection)
            _log.info("session closed", duration_s=round(time.monotonic() - opened_at, 1), code=socket.close_code)

    def _count(self, connection: Connection) -> None:
        self._watcher.traffic(connection.sent_bytes, connection.received_bytes)
        connection.sent_bytes = connection.received_bytes = 0

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Looks after the connections."""
        # Not a TaskGroup: the application may be started and stopped by different tasks.
        checking = asyncio.create_task(self._check())
        try:
            yield
        finally:
            checking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await checking

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._limits.check_interval_s)
            now = loop.time()
            for connection in tuple(self._connections):
                connection.check(now)
                self._count(connection)

    async def close(self) -> None:
        """Tells all clients that the server stops."""
        for connection in tuple(self._connections):
            connection.going_away()
