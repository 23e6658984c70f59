"""One call over WebRTC: its session, and the connection by which its client is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from aiohttp import WSCloseCode

from antiphon.transport.connection import Connection
from antiphon.transport.seat import Seat
from antiphon.transport.webrtc.offer import Offer
from antiphon.transport.webrtc.peer import GoneError, Peer, Standing

_log = structlog.get_logger(__name__)


class Call:
    """From the first offer until the session is over and nothing of a connection is left.

    A connection that is lost does not end the call: the session waits for another one, up to its limit.
    """

    def __init__(self, call_id: str, *, vendor: bool) -> None:
        """``vendor``: the client asked for events of our own."""
        self.id = call_id
        self.seat: Seat | None = None
        """The session; None until the offer is answered."""
        self._vendor = vendor
        self._peer: Peer | None = None
        self._group: asyncio.TaskGroup | None = None
        self._renewing = asyncio.Lock()
        self._was_connected = False

    # Between the network and the session.

    def hear(self, pcm: bytes) -> None:
        """The user's audio: mono s16 at 16 kHz."""
        if self.seat is not None:
            self.seat.hear(pcm)

    def say(self, pcm: bytes) -> None:
        """A 20 ms frame of the agent's voice: mono s16 at 48 kHz."""
        if self._peer is not None:
            self._peer.say(pcm)

    # Its life.

    def begin(self, seat: Seat, peer: Peer) -> None:
        """The offer is answered: ``run`` follows."""
        self.seat, self._peer = seat, peer

    async def run(self) -> None:
        """Lives as long as its session; cancelling it ends that. The connection is closed then."""
        seat, peer = self.seat, self._peer
        assert seat is not None and peer is not None
        try:
            async with asyncio.TaskGroup() as self._group:
                self._serve(seat, peer, seat.attach)
                self.connection_changed(peer)  # it may have failed before it was ours
                await seat.over.wait()
                (self._peer or peer).finish()
        finally:
            self._group = None
            self.hang_up()

    def _serve(self, seat: Seat, peer: Peer, attach: Callable[[Connection], None]) -> None:
        """From now on the client is at the other end of ``peer``."""
        assert self._group is not None
        connection = None
        if peer.line is not None:
            connection = Connection(peer.line, seat.limits, vendor=self._vendor)
            attach(connection)
        self._group.create_task(_converse(seat, peer, connection))

    def connection_changed(self, peer: Peer) -> None:
        """How ``peer`` stands has changed."""
        seat = self.seat
        if seat is None or peer is not self._peer:
            return
        match peer.standing:
            case Standing.CONNECTED:
                self._was_connected = True
                seat.back()
            case Standing.LOST:
                seat.away()
            case Standing.FAILED if self._was_connected:
                seat.away()
            case Standing.LEFT if seat.token is not None:
                seat.away()
            case Standing.FAILED | Standing.LEFT:
                self.hang_up()
            case _:
                pass

    async def renew(self, offer: Offer, last_event_id: str | None, make_peer: Callable[[], Peer]) -> str:
        """The answer to another offer of the client: a new path for its connection, or a new connection in its place.

        Raises as ``Peer.answer`` does, and CallOverError; the call stands then as before.
        """
        async with self._renewing:
            seat, peer = self.seat, self._peer
            assert seat is not None and peer is not None
            if peer.is_alive and peer.is_same(offer):
                try:
                    return await peer.answer_again(offer)
                except GoneError:
                    self._check_goes_on(seat)
            fresh = make_peer()
            try:
                answer = await fresh.answer(offer)
                self._check_goes_on(seat)
            except BaseException:
                await fresh.close()
                raise
            self._peer = fresh
            seat.away()  # until the new connection stands
            self._serve(seat, fresh, lambda connection: seat.reattach(connection, last_event_id))
            peer.leave()
            return answer

    def _check_goes_on(self, seat: Seat) -> None:
        if self._group is None or seat.over.is_set():
            raise CallOverError

    def hang_up(self) -> None:
        """Ends the session; ``run`` returns soon after."""
        if self.seat is not None:
            self.seat.end(WSCloseCode.OK, "")

    def check(self, now: float) -> None:
        """Looks at the times. Called now and then."""
        if self._peer is not None:
            self._peer.check(now)


class CallOverError(Exception):
    """The call has ended meanwhile."""


async def _converse(seat: Seat, peer: Peer, connection: Connection | None) -> None:
    """Events over the data channel, from when the client opens it; until the connection is gone, which it then is."""
    try:
        if connection is not None and peer.line is not None:
            await peer.line.opened.wait()
            if not peer.line.is_closed:
                # A client that closes its data channel still hears and speaks.
                await seat.attend(connection, left=lambda: connection.close(WSCloseCode.OK, ""))
                if connection.was_cut_off:
                    seat.end(WSCloseCode.POLICY_VIOLATION, "events were not read")
        await peer.gone.wait()
    finally:
        if connection is not None:
            seat.detach(connection)
        await peer.close()
