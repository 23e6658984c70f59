"""Clients that lose their connection and come back to the same session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from tests.shell import test_websocket as sockets
from tests.shell.rtc_client import PATIENCE_S, RtcClient
from tests.shell.test_webrtc_calls import CALLS, KEY, Site, site, told, typed

from antiphon.sim.referee import Referee
from antiphon.transport.http import GATEWAY
from antiphon.transport.limits import Limits
from antiphon.transport.seat import Seat
from antiphon.transport.webrtc import peer as peers

Event = dict[str, Any]

REPLY = "scripted:first_token_ms=0,token_ms=1,tokens=8"
"""Some 2 s of speech."""
LONGER = "scripted:first_token_ms=0,token_ms=1,tokens=16"


def judge(events: list[Event], **options: Any) -> None:
    referee = Referee(**options)
    for event in events:
        if not event["type"].startswith("antiphon.resum"):
            referee.feed(event)
    referee.finish()


async def lose(socket: aiohttp.ClientWebSocketResponse) -> None:
    """The line is cut, and nobody says goodbye."""
    socket._response.connection.transport.abort()  # type: ignore[union-attr]
    await socket.close()


# WebSockets.


def realtime(here: Site, query: str) -> Any:
    return here.http.ws_connect(f"{here.server.url}/v1/realtime?{query}")


async def test_a_client_comes_back_over_a_websocket_and_gets_what_it_missed() -> None:
    async with site(llm=REPLY) as here:
        async with realtime(here, "resumable=1&pacing=realtime") as first:
            events = await told(first, "antiphon.resumable")
            assert [event["type"] for event in events] == ["session.created", "antiphon.resumable"]
            token, session = events[-1]["token"], events[0]["session"]
            assert events[-1]["waits_s"] == 60
            await first.send_json(typed("Count."))
            await first.send_json({"type": "response.create"})
            events += await told(first, "response.output_audio.delta")
            last = events.pop()  # it may have come too late
            await lose(first)
        async with realtime(here, f"resume={token}&after={events[-1]['event_id']}") as second:
            resumed, *rest = await told(second, "response.done")
            assert resumed["type"] == "antiphon.resumed"
            assert resumed["session"]["id"] == session["id"]
            assert rest[0] == last
            judge([*events, *rest])
            assert rest[-1]["response"]["status"] == "completed"
            status, error = await refused(here, f"resume={token}x")
            assert (status, error) == (404, "session_not_found")


async def refused(here: Site, query: str, **options: Any) -> tuple[int, str]:
    try:
        async with here.http.ws_connect(f"{here.server.url}/v1/realtime?{query}", **options):
            raise AssertionError("let in")
    except aiohttp.WSServerHandshakeError as error:
        return error.status, "session_not_found" if error.status == 404 else ""


async def test_nobody_else_is_told_or_waited_for() -> None:
    async with site() as here, realtime(here, "") as socket:
        (created,) = await told(socket, "session.created")
        await socket.send_json({"type": "session.update", "session": {}})
        (event,) = await told(socket, "session.updated")
        assert event["type"] == "session.updated"
        assert await refused(here, f"resume={created['session']['id']}") == (404, "session_not_found")


async def test_who_hangs_up_is_not_waited_for() -> None:
    async with site() as here:
        async with realtime(here, "resumable=1") as socket:
            token = (await told(socket, "antiphon.resumable"))[-1]["token"]
            await socket.close(code=1000)
        assert (await refused(here, f"resume={token}"))[0] == 404


async def test_a_key_is_not_asked_for_twice() -> None:
    async with site(api_key=("sk-secret",)) as here:
        async with here.http.ws_connect(f"{here.server.url}/v1/realtime?resumable=1", headers=KEY) as first:
            token = (await told(first, "antiphon.resumable"))[-1]["token"]
            await lose(first)
        assert (await refused(here, "resume=wrong"))[0] == 401
        async with realtime(here, f"resume={token}") as second:
            await told(second, "antiphon.resumed")


async def test_the_client_that_comes_back_takes_the_place_of_the_one_that_seems_to_be_there() -> None:
    async with site() as here, realtime(here, "resumable=1") as first:
        token = (await told(first, "antiphon.resumable"))[-1]["token"]
        async with realtime(here, f"resume={token}") as second:
            await told(second, "antiphon.resumed")
            async with asyncio.timeout(PATIENCE_S):
                message = await first.receive()
            assert (message.type, message.extra) == (aiohttp.WSMsgType.CLOSE, "resumed elsewhere")
            await second.send_json({"type": "session.update", "session": {}})
            await told(second, "session.updated")


async def test_a_session_does_not_wait_for_ever() -> None:
    async with sockets.site(Limits(resume_s=0.2)) as here:
        async with here.connect("?resumable=1") as socket:
            await told(socket, "antiphon.resumable")
            await lose(socket)
        async with asyncio.timeout(PATIENCE_S):
            await here.parrots[0].ended.wait()


# Calls.


async def test_a_new_connection_takes_the_place_of_one_that_was_lost() -> None:
    async with site(llm=LONGER) as here, here.call(f"{CALLS}?resumable=1") as first:
        token = (await first.until("antiphon.resumable"))["token"]
        first.send(typed("Count."))
        first.send({"type": "response.create"})
        await first.until("output_audio_buffer.started")
        last = first.events[-1]["event_id"]
        events = list(first.events)
        await first.close()
        async with RtcClient(
            here.http, f"{here.server.url}{first.location}?after={last}&token={token}", status=200
        ) as second:
            await second.until("output_audio_buffer.stopped")
            resumed, *rest = second.events
            assert resumed["type"] == "antiphon.resumed"
            judge([*events, *rest], call=True)
            assert len(second.heard) > 9600, "the rest of the reply is heard"


@asynccontextmanager
async def watched(here: Site, client: RtcClient) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Somebody on a sideband, who sees when the call is over."""
    async with here.http.ws_connect(f"{here.server.url}/v1/realtime?call_id={client.call_id}") as side:
        yield side
        async with asyncio.timeout(PATIENCE_S):
            while (await side.receive()).type is not aiohttp.WSMsgType.CLOSE:
                pass


async def test_a_client_that_hangs_up_is_not_waited_for() -> None:
    async with site() as here, here.call() as client:
        await client.until("session.created")
        async with watched(here, client):
            await client.close()


async def test_a_call_does_not_wait_for_ever() -> None:
    async with site(resume_s=0.3) as here, here.call(f"{CALLS}?resumable=1") as client:
        await client.until("antiphon.resumable")
        async with watched(here, client):
            await client.close()


async def test_a_client_that_falls_silent_is_held_and_heard_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LOST_AFTER_S", 0.3)
    lost, away = asyncio.Event(), Seat.away

    def noticed(seat: Seat) -> None:
        away(seat)
        lost.set()

    monkeypatch.setattr(Seat, "away", noticed)
    async with site(llm=REPLY) as here, here.call() as client:
        await client.until("session.created")
        client.send(typed("Count."))
        client.send({"type": "response.create"})
        await client.until("output_audio_buffer.started")
        ice = client.pc.getTransceivers()[0].receiver.transport.transport._connection
        monkeypatch.setattr(ice, "sendto", swallow)
        async with asyncio.timeout(PATIENCE_S):
            await lost.wait()
        assert not [event for event in client.events if event["type"] == "response.done"]
        monkeypatch.undo()
        await client.until("output_audio_buffer.stopped")
        judge(client.events, call=True)


async def swallow(data: bytes, component: int) -> None:
    """A network that takes everything and brings nothing."""


async def test_who_comes_back_too_late_is_told_so() -> None:
    """The session ends while the client is still shaking hands."""
    async with sockets.site() as here:
        async with here.connect("?resumable=1") as first:
            token = (await told(first, "antiphon.resumable"))[-1]["token"]
            seat = here.app[GATEWAY].seat_of(token)
            assert seat is not None
            here.parrots[0].close()
            async with asyncio.timeout(PATIENCE_S):
                await seat.over.wait()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await here.connect(f"?resume={token}")
