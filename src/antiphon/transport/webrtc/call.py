"""One call over WebRTC: its session, and the connection by which its client is there."""

from __future__ import annotations

import asyncio

from aiohttp import WSCloseCode

from antiphon.transport.connection import Connection
from antiphon.transport.seat import Seat
from antiphon.transport.webrtc.peer import Peer, Standing


class Call:
    """From the first offer until the session is over and nothing of the connection is left."""

    def __init__(self, call_id: str, *, vendor: bool) -> None:
        """``vendor``: the client asked for events of our own."""
        self.id = call_id
        self.seat: Seat | None = None
        """The session; None until the offer is answered."""
        self._vendor = vendor
        self._peer: Peer | None = None

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
            async with asyncio.TaskGroup() as group:
                if peer.line is not None:
                    connection = Connection(peer.line, seat.limits, vendor=self._vendor)
                    seat.attach(connection)
                    group.create_task(_converse(seat, peer, connection))
                await seat.over.wait()
        finally:
            self.hang_up()
            await peer.close()

    def connection_changed(self) -> None:
        if self._peer is not None and self._peer.standing in (Standing.LEFT, Standing.FAILED):
            self.hang_up()

    def hang_up(self) -> None:
        """Ends the session; ``run`` returns soon after."""
        if self.seat is not None:
            self.seat.end(WSCloseCode.OK, "")

    def check(self, now: float) -> None:
        """Looks at the times. Called now and then."""
        if self._peer is not None:
            self._peer.check(now)


async def _converse(seat: Seat, peer: Peer, connection: Connection) -> None:
    """Events over the data channel, from when the client opens it."""
    assert peer.line is not None
    await peer.line.opened.wait()
    if peer.line.is_closed:
        seat.detach(connection)
        return
    # A client that closes its data channel still hears and speaks; the call is over when the connection is.
    await seat.attend(connection, left=lambda: connection.close(WSCloseCode.OK, ""))
