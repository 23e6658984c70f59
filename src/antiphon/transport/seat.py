"""A place of the server that is taken: one session, the clients that are connected to it, and when it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import Protocol

import structlog
from aiohttp import WSCloseCode

from antiphon.core.commands import Command, GoOn, Hold, Recount
from antiphon.core.settings import SessionSettings
from antiphon.transport.base import Outlet
from antiphon.transport.connection import Connection
from antiphon.transport.journal import Journal
from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.realtime.asides import AsideEar
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
        token: str | None = None,
        goes_on: bool = False,
        traffic: Callable[[int, int], None] = lambda sent_bytes, received_bytes: None,
    ) -> None:
        """``mouth`` takes the audio of the replies, which then is not sent as events.

        ``token`` is the client's way back to its session, should the connection be lost; None where it asked for none.
        ``goes_on``: the conversation has items already, of which the client is told when it is there.
        """
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
        self._client: Connection | None = None
        """The connection of the client whose session it is, when there is one."""
        self._away_since: float | None = None
        self._journal = Journal() if token is not None or mouth is not None else None
        self.token = token
        self.conversation_id = conversation_id
        self._goes_on = goes_on
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
        self._client = connection
        self._connections.append(connection)
        self.outlet.session_created()
        if self.token is not None:
            self.outlet.resumable(self.token, self.limits.resume_s, to=connection)
        if self._goes_on:
            self.session.post(Recount())

    def reattach(self, connection: Connection, last_event_id: str | None) -> None:
        """The client is back: it goes on over ``connection``, and first gets what it has missed.

        ``last_event_id`` is that of the last event that it has received, if it knows. What was its connection before
        is closed. Await ``attend`` next, and say that it is ``back`` when it hears.
        """
        if self._phase is Phase.OVER:
            connection.close(self.close_code, self._close_reason)
            return
        former, self._client = self._client, connection
        self._connections.append(connection)
        entries = self._journal.missed(last_event_id) if self._journal is not None else []
        missed = [entry for entry in entries if connection.vendor or not _is_ours(entry.data)]
        if self.token is not None:
            self.outlet.resumed(len(missed), to=connection)
        for entry in missed:
            connection.send(entry.data, media=entry.is_media)
        if former is not None:
            self.detach(former)
            former.close(WSCloseCode.GOING_AWAY, "resumed elsewhere")

    def away(self, connection: Connection | None = None) -> None:
        """The client cannot be reached; the session waits for it. Not so if another connection is its by now."""
        if connection is not None and connection is not self._client:
            return
        if self._phase is Phase.OPEN and self._away_since is None:
            self._away_since = self._loop.time()
            if self._journal is not None:
                self._journal.mark()
            self.session.post(Hold())
            _log.info("a client was lost", waits_s=self.limits.resume_s)

    def is_client(self, connection: Connection) -> bool:
        """Whether it is, or was last, the connection of the client whose session this is."""
        return connection is self._client

    def back(self) -> None:
        """The client can be reached again. No harm if it was not away."""
        if self._away_since is not None:
            _log.info("a client is back", away_s=round(self._loop.time() - self._away_since, 1))
            self._away_since = None
            self._active_at = self._loop.time()
            if self._client is not None:
                self._client.excuse()
            self.session.post(GoOn())

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
        ear = AsideEar(self.session, self.outlet.asides, connection)
        inlet = RealtimeInlet(ear, self.outlet, self.config, errors_to=connection)
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
        if self._journal is not None:
            self._journal.add(data, media=media)
        for connection in tuple(self._connections):
            if connection.vendor or not _is_ours(data):
                connection.send(data, media=media)

    def drop_media(self) -> None:
        if self._journal is not None:
            self._journal.drop_media()
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
            if self._away_since is None or connection is not self._client:
                connection.check(now)
            self._count(connection)
        active_at = max([self._active_at, *(connection.active_at for connection in self._connections)])
        if self._phase is not Phase.OPEN:
            if now - self._ending_since > 2 * limits.close_timeout_s and self._conversing is not None:
                self._conversing.cancel()
        elif now - self._opened_at > limits.max_session_s:
            self.outlet.error(f"A session lasts at most {limits.max_session_s:g} s", "session_expired")
            self.end(WSCloseCode.GOING_AWAY, "session expired")
        elif self._away_since is not None:
            if now - self._away_since > limits.resume_s:
                self.end(WSCloseCode.GOING_AWAY, "the client did not come back")
        elif now - active_at > limits.idle_timeout_s:
            self.outlet.error(f"Nothing was sent for {limits.idle_timeout_s:g} s", "session_idle_timeout")
            self.end(WSCloseCode.GOING_AWAY, "idle")

    def taken_over(self) -> None:
        """Another session goes on with the conversation. Over a call nothing but an event can say so."""
        self.outlet.error("The conversation goes on elsewhere", "conversation_taken_over")
        self.end(WSCloseCode.GOING_AWAY, "the conversation goes on elsewhere")

    def going_away(self) -> None:
        """The server stops."""
        self.end(WSCloseCode.GOING_AWAY, "the server stops")


def _is_ours(data: bytes) -> bool:
    """An event beyond the standard protocol."""
    return data.startswith(VENDOR_EVENT)
