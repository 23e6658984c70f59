"""Between a client and another process: what each says reaches the other, and so does how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from antiphon.transport import relay
from antiphon.transport.limits import Limits

PATIENCE_S = 20.0
LIMITS = Limits(stalled_after_s=0.2, close_timeout_s=0.5)

Conversation = Callable[[web.WebSocketResponse], Awaitable[None]]


class Between:
    """A process that converses as a test says, and a server before it."""

    def __init__(self, converse: Conversation) -> None:
        self.http = aiohttp.ClientSession()
        self.url = ""
        self.ended = asyncio.Event()
        self.close_code: int | None = None
        self._converse = converse

    async def process(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("realtime",), autoping=False, timeout=0.5)
        await socket.prepare(request)
        try:
            await self._converse(socket)
        finally:
            self.close_code = socket.close_code
            self.ended.set()
        return socket

    async def code_at_the_end(self) -> int | None:
        async with asyncio.timeout(PATIENCE_S):
            await self.ended.wait()
        return self.close_code

    def connect(self, **options: Any) -> Any:
        return self.http.ws_connect(self.url, autoclose=False, autoping=False, protocols=("realtime",), **options)


async def _served(stack: AsyncExitStack, handler: Any) -> web.AppRunner:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


@asynccontextmanager
async def between(converse: Conversation, handler: Any = None) -> AsyncIterator[Between]:
    async with AsyncExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="relay-"))  # pytest's own is too deep for a socket's path
        stack.callback(shutil.rmtree, folder)
        here = Between(converse)
        path = str(folder / "process.sock")
        await web.UnixSite(await _served(stack, handler or here.process), path).start()
        inside = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)))

        async def pass_on(request: web.Request) -> web.StreamResponse:
            if relay.wants_socket(request):
                return await relay.join(request, inside, {}, LIMITS) or web.Response(status=404)
            return await relay.pass_on(request, inside, relay.headers_of(request), PATIENCE_S)

        server = await _served(stack, pass_on)
        await web.TCPSite(server, "127.0.0.1", 0).start()
        here.url = f"http://127.0.0.1:{server.addresses[0][1]}/"
        stack.push_async_callback(here.http.close)
        yield here


async def echo(socket: web.WebSocketResponse) -> None:
    """Until the client ends."""
    while True:
        message = await socket.receive()
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING):
            await socket.send_frame(
                message.data.encode() if message.type is WSMsgType.TEXT else message.data, message.type
            )
        else:
            return


async def test_all_kinds_of_messages_go_through() -> None:
    async with between(echo) as here, here.connect() as client:
        assert client.protocol == "realtime"
        await client.send_str("a word")
        assert (await client.receive(PATIENCE_S)).data == "a word"
        await client.send_bytes(b"\x00\xff")
        assert (await client.receive(PATIENCE_S)).data == b"\x00\xff"
        await client.ping(b"there?")
        message = await client.receive(PATIENCE_S)
        assert (message.type, message.data) == (WSMsgType.PING, b"there?"), "nobody answers in another's place"


@pytest.mark.parametrize("code", [1000, 1001, 4000])
async def test_a_client_that_closes(code: int) -> None:
    async with between(echo) as here, here.connect() as client:
        await client.close(code=code)
        assert client.close_code == code
        assert await here.code_at_the_end() == code


async def test_a_client_that_is_lost_may_come_back() -> None:
    async with between(echo) as here, here.connect() as client:
        client._response.connection.transport.abort()
        assert await here.code_at_the_end() == 1001


async def test_a_process_that_closes() -> None:
    async def leave(socket: web.WebSocketResponse) -> None:
        await socket.send_str("farewell")
        await socket.close(code=4001, message=b"that is why")

    async with between(leave) as here, here.connect() as client:
        assert (await client.receive(PATIENCE_S)).data == "farewell"
        message = await client.receive(PATIENCE_S)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 4001, "that is why")


async def test_a_process_that_is_lost_is_told_of_in_plain_words() -> None:
    async def die(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        assert socket._req is not None and socket._req.transport is not None
        socket._req.transport.abort()

    async with between(die) as here, here.connect() as client:
        await client.send_str("anybody there?")
        event = (await client.receive(PATIENCE_S)).json()
        assert (event["type"], event["error"]["code"]) == ("error", "call_lost")
        assert "begin a new call" in event["error"]["message"]
        message = await client.receive(PATIENCE_S)
        assert (message.type, message.data, message.extra) == (WSMsgType.CLOSE, 1011, "call_lost")


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async def talk(socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                await socket.send_bytes(bytes(64 * 1024))

    async with between(talk) as here, here.connect() as client:
        client._response.connection.transport.pause_reading()
        await here.code_at_the_end()
        client._response.connection.transport.abort()


async def test_what_there_is_not_cannot_be_joined() -> None:
    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=404)

    async with between(echo, refuse) as here:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await here.connect()
        assert refused.value.status == 404


async def test_an_answer_that_breaks_off_does_not_look_whole() -> None:
    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100000"})
        await response.prepare(request)
        await response.write(bytes(50_000))
        assert request.transport is not None
        request.transport.abort()
        return response

    async with between(echo, break_off) as here, here.http.get(here.url) as answer:
        with pytest.raises(aiohttp.ClientError):
            await answer.read()


async def test_a_part_of_a_file_may_be_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "record.jsonl"
    file.write_bytes(bytes(range(100)))

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.FileResponse(file, headers={"Cache-Control": "no-store"})

    async with between(echo, answer) as here, here.http.get(here.url, headers={"Range": "bytes=10-19"}) as part:
        assert part.status == 206
        assert part.headers["Content-Range"] == "bytes 10-19/100"
        assert part.headers["Cache-Control"] == "no-store"
        assert await part.read() == bytes(range(10, 20))
