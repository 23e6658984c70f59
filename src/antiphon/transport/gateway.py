"""All sessions of a server: who gets a place, and what becomes of them."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from antiphon.core.actions import State
from antiphon.errors import ProtocolError
from antiphon.ids import IdSource
from antiphon.session.keeping import NOTHING_KEPT, HeldError, Keeper, Kept, StoreError
from antiphon.session.shelf import Shelf
from antiphon.transport.claims import Claims, in_use
from antiphon.transport.limits import Limits
from antiphon.transport.names import Names
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.outlet import Mouth
from antiphon.transport.records import record_fields
from antiphon.transport.seat import Seat, SessionFactory

_log = structlog.get_logger(__name__)


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


@dataclass(slots=True)
class Place:
    seated: bool = False
    """A session has it, and frees it when it ends."""


async def _nowhere(_conversation: str) -> None:
    """There are no other processes."""


class Gateway:
    """All sessions of a server. ``alive()`` must be entered while it serves."""

    def __init__(
        self,
        factory: SessionFactory,
        offer: Callable[[], Offer],
        limits: Limits,
        watcher: Watcher | None = None,
        shelf: Shelf | None = None,
        names: Names | None = None,
        keeper: Keeper | None = None,
    ) -> None:
        """``offer`` is asked at each session, since engines tell their voices only when loaded. On the ``shelf``, where
        there is one, the records are that clients ask for; the ``factory`` has its sessions recorded there. ``names``
        mints what clients know their sessions by. With a ``keeper`` conversations are kept, and can be gone on with.
        """
        self._factory = factory
        self._offer = offer
        self.limits = limits
        self.watcher = watcher or NoWatcher()
        self._ids = IdSource()
        self.names = names or Names()
        self._keeper = keeper
        self._claims = Claims()
        self._seats: dict[Seat, asyncio.Task[None]] = {}
        self._places = limits.max_sessions
        self.elsewhere: Callable[[], int] = lambda: 0
        """How many sessions other processes carry for this server."""
        self.release_elsewhere: Callable[[str], Awaitable[None]] = _nowhere
        """Has other processes of this server ``release`` a conversation."""
        self.begun = 0
        """Sessions that ever were, and those that are about to be."""
        self.checks: list[Callable[[float], None]] = []
        """What else is to be looked at now and then, with the loop's time."""
        self._shelf = shelf
        if shelf is not None:
            self.checks.append(shelf.expire)

    @property
    def active(self) -> int:
        """Sessions of this process that are open, or about to be."""
        return self.limits.max_sessions - self._places

    def states(self) -> Counter[State]:
        """How many sessions are in each state."""
        return Counter(seat.outlet.current_state for seat in self._seats)

    @property
    def queued_bytes(self) -> int:
        return sum(connection.queued_bytes for seat in self._seats for connection in seat.connections)

    @property
    def full(self) -> bool:
        return self._places - self.elsewhere() <= 0

    def configure(
        self, query: Mapping[str, str], session: dict[str, Any] | None = None, *, paced: bool | None = None
    ) -> SessionConfig:
        """The configuration of a new session: the defaults, the query's wishes, and those of its client secret.

        ``paced`` goes before what the query says. Raises ProtocolError.
        """
        config = SessionConfig(
            self._offer(),
            session_id=self.names.session(self._ids),
            expires_at=int(time.time() + self.limits.max_session_s),
            kind="transcription" if query.get("intent") == "transcription" else "realtime",
            paced=query.get("pacing") == "realtime" if paced is None else paced,
            record=query.get("record") == "1",
        )
        if query.get("model"):
            config.update({"model": query["model"]})
        config.conversation = query.get("conversation", "")
        if query.get("agent"):
            config.update({"antiphon": {"agent": query["agent"]}})
        if session:
            config.update(session)
        return config

    @contextlib.asynccontextmanager
    async def recalled(self, config: SessionConfig) -> AsyncIterator[Kept | None]:
        """What there is of the conversation that the client wants to go on with; nothing if it wants no such.

        A session that still has it ends; nobody else can go on with it until the client has its ``seat``, or the block
        is left. It goes on with the agent that had it. None where there is no such conversation. Raises ProtocolError.
        """
        if not config.conversation:
            yield Kept()
            return
        if self._keeper is None:
            yield None
            return
        self._claims.claim(config.conversation, config.id)
        try:
            await asyncio.gather(self._end_former(config.conversation), self.release_elsewhere(config.conversation))
            kept = await self._claim(self._keeper, config)
            if kept is not None and kept.agent and not config.go_on_with(kept.agent):
                _log.warning("the agent that had a conversation is not known any more", agent=kept.agent)
            yield kept
        finally:
            self._claims.drop(config.conversation, config.id)
            if not any(seat.id == config.id and seat.conversation_id == config.conversation for seat in self._seats):
                self._keeper.store.leave(config.conversation, config.id)

    async def _claim(self, keeper: Keeper, config: SessionConfig) -> Kept | None:
        try:
            return await keeper.store.claim(config.conversation, config.id)
        except HeldError as error:
            raise in_use() from error
        except StoreError as error:
            reason = f"The conversation cannot be read now: {error}"
            raise ProtocolError(reason, code="conversation_unreadable", param="conversation") from error

    def lose(self, session_id: str) -> None:
        """Another server is to have the conversation of that session, or has it."""
        for seat in self._seats:
            if seat.id == session_id:
                seat.taken_over()

    async def release(self, conversation: str) -> None:
        """Another process of this server is to have the conversation: nobody has it here from now on."""
        self._claims.revoke(conversation)
        await self._end_former(conversation)

    async def _end_former(self, conversation: str) -> None:
        """Ends the session of this process that has the conversation, if one has."""
        former = {seat: task for seat, task in self._seats.items() if seat.conversation_id == conversation}
        for seat in former:
            seat.taken_over()
        if former:
            await asyncio.wait(former.values(), timeout=2 * self.limits.close_timeout_s)

    def seat_of(self, token: str) -> Seat | None:
        """The session whose client may come back to it with this token."""
        # All are compared, so that the time taken tells nothing.
        shown = token.encode()
        known = [seat for seat in self._seats if seat.token and secrets.compare_digest(seat.token.encode(), shown)]
        return known[0] if known and known[0].is_open else None

    @contextlib.contextmanager
    def place(self) -> Iterator[Place]:
        """Keeps a place until the end of the ``with`` block, or of the session that is seated there.

        The caller has checked that the server is not ``full``.
        """
        place = Place()
        self._places -= 1
        self.begun += 1
        try:
            yield place
        finally:
            if not place.seated:
                self._places += 1
                self.begun -= 1

    def seat(
        self,
        place: Place,
        config: SessionConfig,
        *,
        vendor: bool = False,
        mouth: Mouth | None = None,
        resumable: bool = False,
        kept: Kept = NOTHING_KEPT,
    ) -> Seat:
        """A session that lives from now on, until it ends or the server does. ``kept`` is what was ``recalled``.

        Raises ProtocolError where the conversation is another client's by now.
        """
        if kept.items:
            self._claims.redeem(config.conversation, config.id)
        conversation_id = config.conversation if kept.items else self._ids.conversation()
        if self._keeper is not None:
            self._keeper.assign(config.id, conversation_id, kept)
        ticket = self._shelf.open(config.id) if config.record and self._shelf is not None else None
        try:
            seat = Seat(
                self._factory,
                config,
                self.limits,
                conversation_id=conversation_id,
                goes_on=bool(kept.items),
                vendor=vendor,
                mouth=mouth,
                token=self.names.token() if resumable else None,
                traffic=self.watcher.traffic,
            )
        except BaseException:
            if ticket is not None and self._shelf is not None:
                self._shelf.forget(ticket.session_id)
            if self._keeper is not None:
                self._keeper.notebook(config.id)
            raise
        seat.outlet.record = record_fields(ticket) if ticket is not None else None
        if self._keeper is not None:
            seat.outlet.kept = {"conversation_id": conversation_id, "items": len(kept.items)}
        place.seated = True
        with structlog.contextvars.bound_contextvars(session=seat.id):
            self._seats[seat] = asyncio.create_task(self._host(seat))
        self.watcher.opened()
        return seat

    async def _host(self, seat: Seat) -> None:
        opened_at = time.monotonic()
        _log.info("session opened", paced=seat.config.paced, sessions=self.active)
        try:
            await seat.run()
        finally:
            del self._seats[seat]
            self._places += 1
            _log.info("session closed", duration_s=round(time.monotonic() - opened_at, 1), code=seat.close_code)

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """Looks after the sessions. None is left when it is done."""
        # Not a TaskGroup: the application may be started and stopped by different tasks.
        checking = asyncio.create_task(self._check())
        try:
            yield
        finally:
            self.close()
            if hosted := tuple(self._seats.values()):
                await asyncio.wait(hosted, timeout=self.limits.close_timeout_s)
            for task in hosted:
                task.cancel()
            checking.cancel()
            await asyncio.gather(checking, *hosted, return_exceptions=True)

    async def _check(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.limits.check_interval_s)
            now = loop.time()
            for seat in tuple(self._seats):
                seat.check(now)
            for check in self.checks:
                check(now)

    def move_voices(self, successor: Callable[[str], str | None]) -> None:
        """Gives each conversation the voice that ``successor`` names for its own, if it names one, and tells it."""
        for seat in tuple(self._seats):
            seat.move_voice(successor)

    def close(self) -> None:
        """Tells all clients that the server stops."""
        for seat in tuple(self._seats):
            seat.going_away()
