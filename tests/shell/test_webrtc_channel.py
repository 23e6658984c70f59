"""A data channel as a line for events: bounded both ways, and closed behind what was sent."""

from __future__ import annotations

import asyncio
from typing import cast

import orjson
import pytest
from aiortc import RTCDataChannel
from pyee.asyncio import AsyncIOEventEmitter

from antiphon.transport.connection import Connection
from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.webrtc.channel import ChannelLine

PATIENCE_S = 20.0
EVENT = orjson.dumps({"type": "session.updated", "event_id": "event_1", "text": "x" * 20_000})


class SlowChannel(AsyncIOEventEmitter):
    """What it is sent waits in it until it is told to deliver."""

    def __init__(self) -> None:
        super().__init__()
        self.readyState = "open"
        self.bufferedAmount = 0
        self.bufferedAmountLowThreshold = 0
        self.sent: list[str] = []
        self.is_full = asyncio.Event()

    def send(self, text: str) -> None:
        self.sent.append(text)
        self.bufferedAmount += len(text)
        if self.bufferedAmount > 60_000:
            self.is_full.set()

    def deliver(self) -> None:
        self.bufferedAmount = 0
        self.emit("bufferedamountlow")

    def close(self) -> None:
        self.readyState = "closed"
        self.emit("close")


def opened(limits: Limits) -> tuple[ChannelLine, SlowChannel]:
    line, channel = ChannelLine(limits), SlowChannel()
    line.open(cast(RTCDataChannel, channel))
    return line, channel


async def test_a_slow_channel_is_given_little_and_then_more() -> None:
    line, channel = opened(Limits())
    connection = Connection(line, Limits())
    for _ in range(20):
        connection.send(EVENT)
    connection.close(1000, "")
    running = asyncio.create_task(connection.run(nothing, lambda: None))
    async with asyncio.timeout(PATIENCE_S):
        while not running.done():
            await asyncio.sleep(0)
            assert channel.bufferedAmount < 100_000
            if channel.bufferedAmount > 60_000:
                channel.deliver()
    assert channel.sent == [EVENT.decode()] * 20
    assert channel.readyState == "closed"


async def nothing(received: Received) -> None:
    """The client says nothing."""


async def test_a_channel_that_takes_nothing_is_cut_off() -> None:
    limits = Limits(max_queued_bytes=200_000)
    line, channel = opened(limits)
    connection = Connection(line, limits)
    running = asyncio.create_task(connection.run(nothing, lambda: None))
    async with asyncio.timeout(PATIENCE_S):
        while not running.done():
            connection.send(EVENT)
            assert connection.queued_bytes < 300_000
            await asyncio.sleep(0)
    assert connection.was_cut_off
    assert len(channel.sent) < 10


async def test_a_client_that_could_not_take_anything_is_excused() -> None:
    limits = Limits(stalled_after_s=0.05)
    line, channel = opened(limits)
    connection = Connection(line, limits)
    running = asyncio.create_task(connection.run(nothing, lambda: None))
    loop = asyncio.get_running_loop()
    for _ in range(10):
        connection.send(EVENT)
    async with asyncio.timeout(PATIENCE_S):
        await channel.is_full.wait()
    later = loop.time() + 0.06
    connection.excuse()
    connection.check(loop.time())
    assert not connection.was_cut_off
    connection.check(later + 0.06)
    assert connection.was_cut_off
    await asyncio.wait([running])


async def test_messages_come_in_order_and_then_the_end() -> None:
    line, channel = opened(Limits())
    channel.emit("message", "one")
    channel.emit("message", b"two")
    channel.close()
    assert await line.receive() == Received("one", True)
    assert await line.receive() == Received(b"two", False)
    assert await line.receive() is None
    with pytest.raises(ConnectionError):
        await line.send(EVENT)


async def test_a_client_that_floods_is_left() -> None:
    line, channel = opened(Limits(max_message_bytes=1000))
    for _ in range(20):
        channel.emit("message", "x" * 100)
    assert line.is_closed
