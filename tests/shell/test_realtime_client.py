from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from antiphon.apps.microphone import FRAME_S, WIRE_FRAME_BYTES, PacedMicrophone
from antiphon.apps.realtime_client import Arrival, ClientError, Journal, connect, realtime_url, send

Handler = Callable[[web.WebSocketResponse], Awaitable[None]]
LIMIT_S = 10.0


@asynccontextmanager
async def server(handler: Handler, *, key: str | None = None) -> AsyncIterator[str]:
    async def realtime(request: web.Request) -> web.StreamResponse:
        if key is not None and request.headers.get("Authorization") != f"Bearer {key}":
            return web.json_response({"error": {"message": "wrong key"}}, status=401)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await handler(socket)
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", realtime)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def echo(socket: web.WebSocketResponse) -> None:
    """Answers every event by one of the same content."""
    await socket.send_json({"type": "session.created"})
    async for message in socket:
        await socket.send_str(message.data)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("127.0.0.1:8080", "ws://127.0.0.1:8080/v1/realtime?model=antiphon&pacing=realtime&events=antiphon"),
        ("https://voice.example/", "wss://voice.example/v1/realtime?model=antiphon&pacing=realtime&events=antiphon"),
        ("http://h/v1", "ws://h/v1/realtime?model=antiphon&pacing=realtime&events=antiphon"),
        ("ws://h/v1/realtime?pacing=burst", "ws://h/v1/realtime?model=antiphon&pacing=burst&events=antiphon"),
    ],
)
def test_an_address_is_completed(base: str, url: str) -> None:
    assert realtime_url(base) == url


@pytest.mark.parametrize("base", ["ftp://h", "http://", ""])
def test_what_is_no_address_is_refused(base: str) -> None:
    with pytest.raises(ClientError, match="not an address"):
        realtime_url(base)


async def test_events_come_in_order_with_rising_times() -> None:
    async with server(echo) as url, connect(url) as client:
        journal = Journal(client)
        for number in range(5):
            await send(client, {"type": "test", "number": number})
        await journal.expect(lambda arrival: arrival.event.get("number") == 4, timeout_s=LIMIT_S)
        times = [arrival.at for arrival in journal.arrivals]
        assert times == sorted(times)
        assert [arrival.event["number"] for arrival in journal.since(0, "test")] == list(range(5))


async def test_what_has_come_already_is_found() -> None:
    async with server(echo) as url, connect(url) as client:
        journal = Journal(client)
        await send(client, {"type": "first"})
        await send(client, {"type": "second"})
        await journal.expect("second", timeout_s=LIMIT_S)
        assert (await journal.expect("first", timeout_s=LIMIT_S)).kind == "first"
        with pytest.raises(ClientError, match=r"first did not come within 0\.05 s"):
            await journal.expect("first", timeout_s=0.05, since=len(journal))


async def test_an_error_of_the_server_ends_the_waiting() -> None:
    async with server(echo) as url, connect(url) as client:
        journal = Journal(client)
        waiting = asyncio.create_task(journal.expect("never", timeout_s=LIMIT_S))
        await asyncio.sleep(0)
        await send(client, {"type": "error", "error": {"message": "no such thing"}})
        with pytest.raises(ClientError, match="no such thing"):
            await waiting


async def test_the_end_of_the_connection_ends_the_waiting() -> None:
    async def hang_up(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        await socket.close(code=1008)

    async with server(hang_up) as url, connect(url) as client:
        journal = Journal(client)
        waiting = asyncio.create_task(journal.expect("never", timeout_s=LIMIT_S))
        await asyncio.sleep(0)
        await send(client, {"type": "test"})
        with pytest.raises(ClientError, match="1008"):
            await waiting
        with pytest.raises(ClientError, match="never did not come"):
            await journal.expect("never", timeout_s=LIMIT_S)
        with pytest.raises(ClientError, match="the connection is over"):
            await send(client, {"type": "test"})


async def test_a_wrong_key_is_named() -> None:
    async with server(echo, key="right") as url:
        with pytest.raises(ClientError, match="401: give --api-key"):
            async with connect(url):
                pass
        async with connect(url, "right") as client:
            assert not client.ended.done()


async def test_no_server_is_told_plainly(unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    with pytest.raises(ClientError, match=rf"no server answers at {url} \(Connection refused\): start one"):
        async with connect(url):
            pass


async def test_a_microphone_speaks_in_real_time_and_is_silent_between() -> None:
    frames: list[bytes] = []
    enough = asyncio.Event()

    async def collect(socket: web.WebSocketResponse) -> None:
        async for message in socket:
            event: dict[str, Any] = json.loads(message.data)
            frames.append(base64.b64decode(event["audio"]))
            if len(frames) == 12:
                enough.set()

    words = b"\x01\x02" * (WIRE_FRAME_BYTES // 2 * 3 + 7)
    async with server(collect) as url, connect(url) as client:
        sent: list[bytes] = []
        microphone = PacedMicrophone(client, sent.append)
        running = asyncio.create_task(microphone.run())
        said = await microphone.speak(words)
        at = asyncio.get_running_loop().time()
        await asyncio.wait_for(enough.wait(), LIMIT_S)
        running.cancel()
    assert b"".join(frames)[said.start_sample * 2 : said.end_sample * 2] == words
    assert not any(b"".join(frames)[said.end_sample * 2 :])
    assert sent[:12] == frames[:12]
    assert all(len(frame) == WIRE_FRAME_BYTES for frame in frames)
    assert microphone.time_of(said.end_sample) <= at
    assert at - microphone.time_of(said.start_sample) >= 3 * FRAME_S


async def test_sayings_do_not_overlap() -> None:
    async with server(echo) as url, connect(url) as client:
        microphone = PacedMicrophone(client)
        first = microphone.say(b"\1\1" * 1000)
        second = microphone.say(b"\1\1" * 10)
        assert second.start_sample >= first.end_sample
        with pytest.raises(ValueError, match="nothing"):
            microphone.say(b"")


def test_an_arrival_reads_its_fields_safely() -> None:
    arrival = Arrival(1.0, {"type": "response.output_audio.delta", "delta": "AAE=", "response": {"id": "r"}})
    assert arrival.audio() == b"\x00\x01"
    assert arrival.child("response") == {"id": "r"}
    assert arrival.child("item") == {}
    assert arrival.text("item_id") == ""
    assert Arrival(1.0, {"type": 3}).kind == ""
