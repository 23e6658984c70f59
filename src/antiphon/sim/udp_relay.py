"""A bad network between two peers of a call: a relay on this machine that treats their media as a lossy line would.

Each side is told the relay's address in the place of the other's. Connectivity checks, DTLS and the data channel pass
untouched; only RTP and RTCP (first byte 128 to 191, RFC 7983) suffer.
"""

from __future__ import annotations

import asyncio
import re
from types import TracebackType
from typing import Any

from antiphon.sim.lossy_line import LineQuality, LossyLine

Address = tuple[str, int]

_CANDIDATE = re.compile(r"^a=candidate:\S+ 1 udp \d+ (?P<host>[\d.]+) (?P<port>\d+) typ host[^\r\n]*", re.MULTILINE)


class UdpRelay:
    """Between two peers on this machine, ``near`` and ``far``. An async context manager around the call."""

    def __init__(self, quality: LineQuality, seed: int = 1) -> None:
        self._to_near = _Door(LossyLine(quality, seed))
        self._to_far = _Door(LossyLine(quality, seed + 1))

    async def __aenter__(self) -> UdpRelay:
        loop = asyncio.get_running_loop()
        for door in (self._to_near, self._to_far):
            await loop.create_datagram_endpoint(lambda door=door: door, local_addr=("0.0.0.0", 0))  # type: ignore[misc]
        self._to_near.opposite, self._to_far.opposite = self._to_far, self._to_near
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._to_near.close()
        self._to_far.close()

    def for_far(self, sdp: str) -> str:
        """The near peer's description, as the far one is to have it."""
        return self._through(self._to_far, self._to_near, sdp)

    def for_near(self, sdp: str) -> str:
        """The far peer's description, as the near one is to have it."""
        return self._through(self._to_near, self._to_far, sdp)

    def _through(self, reader: _Door, owner: _Door, sdp: str) -> str:
        """With one candidate: the door of who reads it, behind which is who wrote it."""
        found = _CANDIDATE.search(sdp)
        if found is None:
            raise ValueError("the description has no host candidate of IPv4 and UDP")
        owner.peer = (found["host"], int(found["port"]))
        door = f"a=candidate:1 1 udp 2130706431 {found['host']} {reader.port} typ host"
        others = (line for line in sdp.split("\r\n") if line == found[0] or not line.startswith("a=candidate:"))
        told = "\r\n".join(others)
        return told.replace(found[0], door, 1).replace(f"\r\n{found[0]}", "")  # other sections may name it again


class _Door(asyncio.DatagramProtocol):
    """What one peer talks to: what it sends goes out at the other door, and back."""

    opposite: _Door

    def __init__(self, line: LossyLine) -> None:
        self._line = line
        self.peer: Address | None = None
        self._socket: asyncio.DatagramTransport | None = None
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def port(self) -> int:
        assert self._socket is not None
        return int(self._socket.get_extra_info("sockname")[1])

    def connection_made(self, transport: Any) -> None:
        self._socket = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.peer = addr[:2]
        self.opposite.forward(data)

    def error_received(self, exc: Exception) -> None:
        """A peer has gone; the call sees to it itself."""

    def forward(self, data: bytes) -> None:
        """Takes what came in at the other door to this door's peer."""
        if not 128 <= data[0] < 192:
            self._send(data)
            return
        for delay_s in self._line.fate():
            if delay_s:
                self._send_later(data, delay_s)
            else:
                self._send(data)

    def _send_later(self, data: bytes, delay_s: float) -> None:
        def send() -> None:
            self._timers.discard(timer)
            self._send(data)

        timer = asyncio.get_running_loop().call_later(delay_s, send)
        self._timers.add(timer)

    def _send(self, data: bytes) -> None:
        if self._socket is not None and self.peer is not None:
            self._socket.sendto(data, self.peer)

    def close(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
