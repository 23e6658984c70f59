"""Events over the data channel of a room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import pytest
from tests.shell.livekit_room import Guest, Me, Venue

from antiphon.transport.limits import Limits
from antiphon.transport.livekit.events import EventLine


def nothing() -> None:
    pass


def made(cleared: Callable[[], None] = nothing, limits: Limits | None = None) -> tuple[EventLine, Guest, Venue]:
    venue = Venue()
    ann = venue.enter("ann")
    venue.enter("bob")
    return EventLine(venue, Me(venue), "ann", limits or Limits(), cleared), ann, venue


async def test_events_go_to_one() -> None:
    line, ann, venue = made()
    await line.send(b'{"type":"short"}')
    await line.send(orjson.dumps({"type": "long", "text": "x" * 15_000}))
    assert [event["type"] for event in ann.events] == ["short", "long"]
    assert venue.guests["bob"].events == []


async def test_the_voice_is_told_when_audio_is_cleared() -> None:
    told: list[str] = []
    line, _, _ = made(lambda: told.append("cleared"))
    await line.send(b'{"type":"output_audio_buffer.stopped"}')
    assert told == []
    await line.send(b'{"type":"output_audio_buffer.cleared"}')
    assert told == ["cleared"]


async def test_what_comes_is_read_in_order_until_the_end() -> None:
    line, _, _ = made()
    line.take(b"one")
    line.take("two")
    first, second = await line.receive(), await line.receive()
    assert first is not None
    assert second is not None
    assert (first.data, second.data, first.is_text) == (b"one", "two", True)
    waiting = asyncio.create_task(line.receive())
    await line.close(1000, "")
    assert await waiting is None


async def test_a_participant_who_sends_too_fast_is_cut_off() -> None:
    line, _, _ = made(limits=Limits(max_message_bytes=10))
    line.take(b"12345678901")
    with pytest.raises(ConnectionError):
        await line.send(b"{}")


async def test_a_room_that_takes_nothing_is_a_connection_that_is_gone() -> None:
    line, _, venue = made()
    venue.broken = True
    with pytest.raises(ConnectionError, match="the room is gone"):
        await line.send(b'{"type":"short"}')
