"""The data channel of a call as a line for events."""

from __future__ import annotations

import asyncio
from collections import deque

import structlog
from aiortc import RTCDataChannel

from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.webrtc.oversize import fitting

LABEL = "oai-events"

MAX_EVENT_BYTES = 256 * 1024 - 1
"""What browsers take as one message."""

_HIGH_BYTES = 64 * 1024
_LOW_BYTES = 16 * 1024
"""More than the first is not handed to SCTP at once: what waits is to wait in our queue. At the second it goes on."""

_log = structlog.get_logger(__name__)


class ChannelLine:
    """Implements ``transport.line.Line``. It exists before its channel: the client opens that."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._channel: RTCDataChannel | None = None
        self._inbox: deque[Received] = deque()
        self._inbox_bytes = 0
        self._changed = asyncio.Event()
        """Something has come, or there is room, or the end."""
        self._room = asyncio.Event()
        self._closed = asyncio.Event()
        self.opened = asyncio.Event()
        """Set when the channel is open, and when it never will be."""

    @property
    def is_closed(self) -> bool:
        return self._closed.is_set()

    def open(self, channel: RTCDataChannel) -> None:
        """The client has opened the channel."""
        self._channel = channel
        channel.bufferedAmountLowThreshold = _LOW_BYTES
        channel.on("bufferedamountlow", self._room.set)
        channel.on("message", self._take)
        channel.on("close", self.abort)
        self.opened.set()

    def _take(self, message: str | bytes) -> None:
        self._inbox.append(Received(message, isinstance(message, str)))
        self._inbox_bytes += len(message)
        self._changed.set()
        if self._inbox_bytes > self._limits.max_message_bytes:
            _log.warning("a client sends events faster than they can be read")
            self.abort()

    async def receive(self) -> Received | None:
        while not self._inbox:
            if self._closed.is_set():
                return None
            self._changed.clear()
            await self._changed.wait()
        received = self._inbox.popleft()
        self._inbox_bytes -= len(received.data)
        return received

    async def send(self, data: bytes) -> None:
        channel = self._channel
        if self._closed.is_set() or channel is None or channel.readyState != "open":
            raise ConnectionError("the data channel is closed")
        channel.send(fitting(data, MAX_EVENT_BYTES).decode())
        while channel.bufferedAmount > _HIGH_BYTES and not self._closed.is_set():
            self._room.clear()
            await self._room.wait()

    async def close(self, code: int, reason: str) -> None:
        channel = self._channel
        if channel is None or self._closed.is_set():
            self.abort()
            return
        try:
            if channel.readyState == "open":
                channel.close()  # behind all that was sent
            async with asyncio.timeout(self._limits.close_timeout_s):
                await self._closed.wait()
        except TimeoutError:
            _log.debug("the client did not close the data channel")
        finally:
            self.abort()

    def abort(self) -> None:
        """The channel, or all of the connection, is gone."""
        self._closed.set()
        self.opened.set()
        self._room.set()
        self._changed.set()
