"""A place of the server that is taken: one session, the clients that are connected to it, and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Protocol

import structlog
from aiohttp import WSCloseCode

from antiphon.core.commands import Command
from antiphon.core.settings import SessionSettings
from antiphon.transport.base import Outlet
from antiphon.transport.connection import Connection
from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.outlet import VENDOR_EVENT, Mouth, RealtimeOutlet

_log = structlog.get_logger(__name__)


class Conversing(Protocol):
    """What a seat needs of ``session.Session``."""

    def hear(self, pcm: bytes) -> None: ...

    def post(self, command: Command) -> None: ...

    def close(self) -> None: ...

    async def run(self) -> None: ...


class SessionFactory(Protocol):
    def __call__(self, outlet: Outlet, settings: SessionSettings, session_id: str, /) -> Conversing:
        """A session that tells ``outlet``; ``session_id`` is the one its client is told."""
        ...


class Phase(Enum):
    OPEN = auto()
    ENDING = auto()
    """The session is told to close; what it still says is sent."""
    OVER = auto()


class Seat:
    """One session, from its making to its end, and all connections to it.

    What the session says goes to every connection that is attached; what a connection brings goes to the session.
    """

    def __init__(
        self,
        factory: SessionFactory,
        config: SessionConfig,
        limits: Limits,
        *,
        conversation_id: str,
        vendor: bool = False,
        mouth: Mouth | None = None,
        traffic: Callable[[int, int], None] = lambda sent_bytes, received_bytes: None,
    ) -> None:
        """``mouth`` takes the audio of the replies, which then is not sent as events."""
        self.id = config.id
        self.config = config
        self.limits = limits
        self._loop = asyncio.get_running_loop()
        self._phase = Phase.OPEN
        self._traffic = traffic
        self.close_code: int = WSCloseCode.OK
        self._close_reason = ""
        self._connections: list[Connection] = []
        self.over = asyncio.Event()
        self._conversing: asyncio.Task[None] | None = None
        now = self._loop.time()
        self._opened_at = now
        self._active_at = now
        self._ending_since = now
        self.outlet = RealtimeOutlet(config, self, conversation_id=conversation_id, vendor=vendor, mouth=mouth)
        self.session = factory(self.outlet, config.settings(), config.id)

    @property
    def is_open(self) -> bool:
        return self._phase is Phase.OPEN

    @property
    def connections(self) -> tuple[Connection, ...]:
        return tuple(self._connections)

    async def run(self) -> None:
        """The session's life. Cancelling it closes the session, and returns when that is gone."""
        try:
            async with asyncio.TaskGroup() as group:
                self._conversing = group.create_task(self._converse())
        finally:
            self._phase = Phase.OVER
            self.over.set()
            for connection in self._connections:
                connection.close(self.close_code, self._close_reason)

    async def _converse(self) -> None:
        try:
            await self.session.run()
        except Exception as failure:
            self.fail("the session failed", failure)

    # Connections.

    def attach(self, connection: Connection) -> None:
        """From now on the client whose session it is gets all events over ``connection``; await ``attend`` next."""
        self._connections.append(connection)
        self.outlet.session_created()

    async def attend(self, connection: Connection, left: Callable[[], None]) -> None:
        """Converses over a connection that is attached, until it is closed; ``left`` as in ``Connection.run``."""
        inlet = RealtimeInlet(self.session, self.outlet, self.config)
        try:
            await connection.run(partial(self._take, inlet), left)
        finally:
            self.detach(connection)

    async def listen_in(self, connection: Connection) -> None:
        """Lets another client take part until it leaves or all is over. It gets all events from now on."""
        if self._phase is Phase.OVER:
            connection.close(self.close_code, self._close_reason)
        else:
            self._connections.append(connection)
            self.outlet.vendor |= connection.vendor
        inlet = RealtimeInlet(self.session, self.outlet, self.config, errors_to=connection)
        try:
            await connection.run(partial(self._take, inlet), partial(connection.close, WSCloseCode.OK, ""))
        finally:
            self.detach(connection)

    def detach(self, connection: Connection) -> None:
        """Nothing more is sent to it. No harm if it is not attached."""
        if connection in self._connections:
            self._connections.remove(connection)
            self._count(connection)

    def _count(self, connection: Connection) -> None:
        self._traffic(connection.sent_bytes, connection.received_bytes)
        connection.sent_bytes = connection.received_bytes = 0

    async def _take(self, inlet: RealtimeInlet, received: Received) -> None:
        if self._phase is Phase.OVER:
            return
        try:
            if received.is_text:
                await inlet.receive(received.data)
            else:
                inlet.refuse_binary()
        except Exception as failure:
            self.fail("a client's event could not be read", failure)

    def hear(self, pcm: bytes) -> None:
        """The user's audio that comes beside the events: mono s16 at 16 kHz."""
        self._active_at = self._loop.time()
        self.session.hear(pcm)

    def move_voice(self, successor: Callable[[str], str | None]) -> None:
        """As ``RealtimeInlet.move_voice``."""
        RealtimeInlet(self.session, self.outlet, self.config).move_voice(successor)

    # Where the outlet sends.

    def send(self, data: bytes, *, media: bool = False) -> None:
        for connection in tuple(self._connections):
            if connection.vendor or not data.startswith(VENDOR_EVENT):
                connection.send(data, media=media)

    def drop_media(self) -> None:
        for connection in self._connections:
            connection.drop_media()

    # The end.

    def end(self, code: int, reason: str) -> None:
        """Lets the session close and what it says go out, then closes the connections."""
        if self._phase is Phase.OPEN:
            self.close_code, self._close_reason = code, reason
            self._phase = Phase.ENDING
            self._ending_since = self._loop.time()
        self.session.close()

    def fail(self, what: str, failure: Exception) -> None:
        """The server has failed this client."""
        _log.error(what, exc_info=failure)
        self.outlet.error("The server failed; the session is over", "server_error", kind="server_error")
        self.end(WSCloseCode.INTERNAL_ERROR, "server error")

    def check(self, now: float) -> None:
        """Looks at the times. Called now and then."""
        limits = self.limits
        for connection in tuple(self._connections):
            connection.check(now)
            self._count(connection)
        active_at = max([self._active_at, *(connection.active_at for connection in self._connections)])
        if self._phase is not Phase.OPEN:
            if now - self._ending_since > 2 * limits.close_timeout_s and self._conversing is not None:
                self._conversing.cancel()
        elif now - self._opened_at > limits.max_session_s:
            self.outlet.error(f"A session lasts at most {limits.max_session_s:g} s", "session_expired")
            self.end(WSCloseCode.GOING_AWAY, "session expired")
        elif now - active_at > limits.idle_timeout_s:
            self.outlet.error(f"Nothing was sent for {limits.idle_timeout_s:g} s", "session_idle_timeout")
            self.end(WSCloseCode.GOING_AWAY, "idle")

    def going_away(self) -> None:
        """The server stops."""
        self.end(WSCloseCode.GOING_AWAY, "the server stops")
