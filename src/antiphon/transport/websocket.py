"""All WebSocket conversations of a server: who gets a place, and what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Protocol

import structlog
from aiohttp import web

from antiphon.core.settings import SessionSettings
from antiphon.ids import IdSource
from antiphon.transport.base import Outlet
from antiphon.transport.connection import Connection, Conversing, Limits
from antiphon.transport.realtime.config import Offer, SessionConfig
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.outlet import RealtimeOutlet

__all__ = ["Conversing", "Gateway", "Limits", "NoWatcher", "SessionFactory", "Watcher"]

SUBPROTOCOL = "realtime"

_WRITER_LIMIT_BYTES = 64 * 1024
"""What waits is to wait in our queue, where it can be counted and dropped, rather than in the socket's."""

_log = structlog.get_logger(__name__)


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
        self._inlets: dict[Connection, RealtimeInlet] = {}
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
                writer_limit=_WRITER_LIMIT_BYTES,
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
            connection,
            conversation_id=self._ids.conversation(),
            vendor=request.query.get("events") == "antiphon",
        )
        session = self._factory(outlet, config.settings(), config.id)
        inlet = RealtimeInlet(session, outlet, config)
        self._connections.add(connection)
        self._inlets[connection] = inlet
        self._watcher.opened()
        _log.info("session opened", pacing=request.query.get("pacing", "burst"), sessions=self.active)
        opened_at = time.monotonic()
        try:
            await connection.run(session, inlet, outlet)
        finally:
            self._connections.discard(connection)
            del self._inlets[connection]
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

    def move_voices(self, successor: Callable[[str], str | None]) -> None:
        """Gives each conversation the voice that ``successor`` names for its own, if it names one, and tells it."""
        for inlet in tuple(self._inlets.values()):
            inlet.move_voice(successor)

    async def close(self) -> None:
        """Tells all clients that the server stops."""
        for connection in tuple(self._connections):
            connection.going_away()
