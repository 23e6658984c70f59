"""Connections on real sockets, with a session that does what the test says."""

from __future__ import annotations

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from antiphon.core.actions import State
from antiphon.core.commands import Command, CreateReply
from antiphon.core.settings import SessionSettings
from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.sim.referee import Referee
from antiphon.transport.base import Outlet
from antiphon.transport.http import GATEWAY, make_app
from antiphon.transport.limits import Limits
from antiphon.transport.websocket import WebSocketLine

PATIENCE_S = 20.0


class Parrot:
    """A session that answers every request with the same words, and notes what it was told."""

    def __init__(self, outlet: Outlet, settings: SessionSettings, session_id: str) -> None:
        self.outlet = outlet
        self.settings = settings
        self.id = session_id
        self.heard = bytearray()
        self.commands: list[Command] = []
        self.closed = asyncio.Event()
        self.ended = asyncio.Event()
        self.failure: Exception | None = None
        self.stubborn = False

    def hear(self, pcm: bytes) -> None:
        self.heard += pcm

    def post(self, command: Command) -> None:
        self.commands.append(command)
        if isinstance(command, CreateReply):
            item = ItemId(f"item_of_{command.reply}")
            self.outlet.reply_created(command.reply)
            self.outlet.reply_transcript(command.reply, item, "Polly.")
            self.outlet.reply_audio(command.reply, item, bytes(1920))
            self.outlet.reply_done(command.reply, "completed", None)

    def fail(self, failure: Exception) -> None:
        self.failure = failure
        self.closed.set()

    def close(self) -> None:
        if not self.stubborn:
            self.closed.set()

    async def run(self) -> None:
        try:
            await self.closed.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.ended.set()


class Ledger:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.sessions = 0
        self.refusals: list[str] = []
        self.sent_bytes = 0
        self.received_bytes = 0

    def opened(self) -> None:
        self.sessions += 1

    def refused(self, reason: str) -> None:
        self.refusals.append(reason)

    def traffic(self, sent_bytes: int, received_bytes: int) -> None:
        self.sent_bytes += sent_bytes
        self.received_bytes += received_bytes


class Site:
    def __init__(self, limits: Limits | None = None, **options: Any) -> None:
        self.parrots: list[Parrot] = []
        self.ledger = Ledger()
        self.app = make_app(self._session, limits=limits, watcher=self.ledger, **options)
        self.runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=5.0)
        self.http = aiohttp.ClientSession()
        self.port = 0

    def _session(self, outlet: Outlet, settings: SessionSettings, session_id: str) -> Parrot:
        self.parrots.append(Parrot(outlet, settings, session_id))
        return self.parrots[-1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/realtime"

    def connect(self, query: str = "", **options: Any) -> Any:
        return self.http.ws_connect(self.url + query, **options)

    async def refusal(self, query: str = "", **options: Any) -> tuple[int, dict[str, Any], Any]:
        """The status, the error and the headers with which an upgrade is refused."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade |= {"Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(), **options.pop("headers", {})}
        async with self.http.get(self.url + query, headers=upgrade, **options) as response:
            return response.status, (await response.json())["error"], response.headers


@asynccontextmanager
async def site(limits: Limits | None = None, **options: Any) -> AsyncIterator[Site]:
    here = Site(limits, **options)
    await here.runner.setup()
    tcp = web.TCPSite(here.runner, "127.0.0.1", 0)
    await tcp.start()
    here.port = here.runner.addresses[0][1]
    try:
        yield here
    finally:
        await here.http.close()
        await here.runner.cleanup()
        assert here.app[GATEWAY].active == 0


async def events_until(socket_: aiohttp.ClientWebSocketResponse, kind: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S):
        while not events or events[-1]["type"] != kind:
            events.append(orjson.loads(await socket_.receive_str()))
    return events


async def close_of(socket_: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    """Reads to the end; the close code and its reason."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            message = await socket_.receive()
            if message.type is aiohttp.WSMsgType.CLOSE:
                return message.data, message.extra or ""
            if message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR):
                return socket_.close_code, ""


async def test_a_conversation() -> None:
    async with site() as here, here.connect("?model=gpt-realtime") as client:
        referee = Referee()
        (created,) = await events_until(client, "session.created")
        assert created["session"]["id"] == here.parrots[0].id
        await client.send_json({"type": "response.create"})
        for event in (created, *await events_until(client, "response.done")):
            referee.feed(event)
        referee.finish()
        await client.send_json({"type": "input_audio_buffer.append", "audio": base64.b64encode(bytes(4800)).decode()})
        await client.send_json({"type": "session.update", "session": {"instructions": "x"}})
        await events_until(client, "session.updated")
        assert len(here.parrots[0].heard) > 3000


@pytest.mark.parametrize(("query", "paced"), [("", False), ("?pacing=realtime", True), ("?pacing=burst&x=y", False)])
async def test_the_client_chooses_the_pacing(query: str, paced: bool) -> None:
    async with site() as here, here.connect(query) as client:
        await events_until(client, "session.created")
        assert here.parrots[0].settings.turn.paced is paced


async def test_a_transcription_session() -> None:
    async with site() as here, here.connect("?intent=transcription") as client:
        (created,) = await events_until(client, "session.created")
        assert created["session"]["type"] == "transcription"
        assert here.parrots[0].settings.transcription


@pytest.mark.parametrize("query", ["", "?events=antiphon"])
async def test_events_of_our_own_are_sent_to_those_who_ask(query: str) -> None:
    async with site() as here, here.connect(query) as client:
        await events_until(client, "session.created")
        here.parrots[0].outlet.state(State.LISTENING)
        here.parrots[0].outlet.cleared()
        kinds = [event["type"] for event in await events_until(client, "input_audio_buffer.cleared")]
        assert kinds == (["antiphon.state"] if query else []) + ["input_audio_buffer.cleared"]


async def test_nothing_is_compressed() -> None:
    async with site() as here, here.connect(compress=15) as client:
        await events_until(client, "session.created")
        assert client.compress == 0


async def test_frames_that_are_not_text_get_an_error() -> None:
    async with site() as here, here.connect() as client:
        await client.send_bytes(b"\x00\x01")
        await client.send_str("{")
        first, second = (await events_until(client, "error"))[-1], (await events_until(client, "error"))[-1]
        assert first["error"]["code"] == "invalid_event"
        assert second["error"]["code"] == "invalid_json"
        await client.send_json({"type": "response.create"})
        await events_until(client, "response.done")


# Ends.


async def test_a_client_that_leaves_ends_its_session() -> None:
    async with site() as here:
        async with here.connect() as client:
            await events_until(client, "session.created")
        async with asyncio.timeout(PATIENCE_S):
            await here.parrots[0].ended.wait()
    assert here.ledger.sessions == 1
    assert here.ledger.sent_bytes > 500


async def test_a_client_that_leaves_in_mid_reply_gets_its_goodbye() -> None:
    async with site() as here, here.connect() as client:
        await events_until(client, "session.created")
        for _ in range(100):
            here.parrots[0].outlet.transcript_delta(TurnId(ItemId("item_x")), "x" * 50_000)
        await events_until(client, "conversation.item.input_audio_transcription.delta")
        await client.close()
        assert client.close_code == 1000


async def test_a_socket_that_is_cut_ends_its_session() -> None:
    async with site() as here, here.connect() as client:
        await events_until(client, "session.created")
        transport = client.get_extra_info("socket")
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client._response.connection.transport.abort()
        async with asyncio.timeout(PATIENCE_S):
            await here.parrots[0].ended.wait()


async def test_a_session_that_ends_closes_the_connection() -> None:
    async with site() as here, here.connect() as client:
        await events_until(client, "session.created")
        here.parrots[0].outlet.cleared()
        here.parrots[0].closed.set()
        assert [event["type"] for event in await events_until(client, "input_audio_buffer.cleared")]
        assert await close_of(client) == (1000, "")


async def test_a_session_that_fails_says_so() -> None:
    async with site() as here, here.connect() as client:
        await events_until(client, "session.created")
        here.parrots[0].fail(RuntimeError("a defect"))
        error = (await events_until(client, "error"))[-1]["error"]
        assert error["type"] == "server_error"
        assert "defect" not in error["message"]
        assert (await close_of(client))[0] == 1011


async def test_a_session_has_its_time() -> None:
    async with site(Limits(max_session_s=0.2)) as here, here.connect() as client:
        events = await events_until(client, "error")
        assert events[-1]["error"]["code"] == "session_expired"
        assert await close_of(client) == (1001, "session expired")


async def test_an_idle_session_ends() -> None:
    async with site(Limits(idle_timeout_s=0.2)) as here, here.connect() as client:
        events = await events_until(client, "error")
        assert events[-1]["error"]["code"] == "session_idle_timeout"
        assert await close_of(client) == (1001, "idle")


async def test_a_session_that_does_not_end_is_ended() -> None:
    async with site(Limits(max_session_s=0.2, close_timeout_s=0.1)) as here, here.connect() as client:
        here.parrots[0].stubborn = True
        assert (await close_of(client))[0] == 1001
        async with asyncio.timeout(PATIENCE_S):
            await here.parrots[0].ended.wait()


async def test_a_server_that_stops_says_so() -> None:
    async with site() as here, here.connect() as client:
        await events_until(client, "session.created")
        stopping = asyncio.create_task(here.runner.cleanup())
        assert await close_of(client) == (1001, "the server stops")
        await stopping


@pytest.mark.parametrize(
    "limits",
    [
        Limits(stalled_after_s=0.5, close_timeout_s=0.3),
        Limits(max_queued_bytes=2_000_000, close_timeout_s=0.3),
    ],
)
async def test_a_reader_that_is_too_slow_is_cut_off(limits: Limits) -> None:
    async with site(limits) as here:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, ("127.0.0.1", here.port))
        request = (
            f"GET /v1/realtime HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        await loop.sock_sendall(raw, request.encode())
        await loop.sock_recv(raw, 100)
        (parrot,) = here.parrots
        gateway = here.app[GATEWAY]
        async with asyncio.timeout(PATIENCE_S):
            while not parrot.closed.is_set():
                # A talkative session whose client takes nothing.
                parrot.outlet.transcript_delta(TurnId(ItemId("item_x")), "x" * 50_000)
                assert gateway.queued_bytes < limits.max_queued_bytes + 60_000
                await asyncio.sleep(0.002 if limits.max_queued_bytes < 4_000_000 else 0.02)
            await parrot.ended.wait()
        raw.close()


async def test_over_a_slow_line_an_interruption_overtakes_the_audio() -> None:
    async with site() as here, here.connect() as client:
        await events_until(client, "session.created")
        outlet = here.parrots[0].outlet
        reply, item = ReplyId("resp_1"), ItemId("item_1")
        transport = client._response.connection.transport
        transport.pause_reading()
        outlet.reply_created(reply)
        for _ in range(100):
            outlet.reply_audio(reply, item, bytes(96_000))  # a second each; 6 MB as base64
            await asyncio.sleep(0)
        outlet.speech_started(TurnId(ItemId("item_turn")), 500)
        outlet.reply_done(reply, "cancelled", "turn_detected")
        transport.resume_reading()
        kinds = [event["type"] for event in await events_until(client, "response.done")]
        assert kinds.index("input_audio_buffer.speech_started") < kinds.index("response.output_audio.done")
        assert kinds.count("response.output_audio.delta") < 100


# Who may come in.


async def test_the_key_of_a_browser_comes_as_a_subprotocol() -> None:
    async with site(api_keys=["sk-secret"]) as here:
        protocols = ("realtime", "openai-insecure-api-key.sk-secret", "openai-agents-sdk")
        async with here.connect(protocols=protocols) as client:
            assert client.protocol == "realtime"
            await events_until(client, "session.created")


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer sk-secret"}, {"api-key": "sk-secret"}])
async def test_the_key_of_a_program_comes_as_a_header(headers: dict[str, str]) -> None:
    async with site(api_keys=["sk-other", "sk-secret"]) as here, here.connect(headers=headers) as client:
        await events_until(client, "session.created")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sk-wrong"},
        {"Authorization": "sk-secret"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer ek_unknown"},
        {"Authorization": "Bearer schlüssel"},
        {"Sec-WebSocket-Protocol": "realtime, openai-insecure-api-key.sk-wrong"},
    ],
)
async def test_without_the_key_nobody_comes_in(headers: dict[str, str]) -> None:
    async with site(api_keys=["sk-secret"]) as here:
        status, error, _ = await here.refusal("?api_key=sk-secret", headers=headers)
        assert (status, error["code"]) == (401, "invalid_api_key")
        assert here.parrots == []
        assert here.ledger.refusals == ["key"]


async def test_a_client_secret_brings_its_session_along() -> None:
    async with site(api_keys=["sk-secret"]) as here:
        body = {"session": {"type": "realtime", "instructions": "Sing.", "audio": {"output": {"speed": 1.25}}}}
        key = {"Authorization": "Bearer sk-secret"}
        async with here.http.post(f"{here.url}/client_secrets", json=body, headers=key) as response:
            secret = await response.json()
        protocols = ("realtime", f"openai-insecure-api-key.{secret['value']}")
        async with here.connect(protocols=protocols) as client:
            (created,) = await events_until(client, "session.created")
            assert created["session"]["instructions"] == "Sing."
            assert here.parrots[0].settings.reply.speed == 1.25


async def test_a_full_server_asks_to_come_again() -> None:
    async with site(Limits(max_sessions=2)) as here, here.connect() as first:
        await events_until(first, "session.created")
        before = asyncio.all_tasks()
        second = await here.connect()
        await events_until(second, "session.created")
        of_the_second = asyncio.all_tasks() - before
        status, error, headers = await here.refusal()
        assert (status, error["code"]) == (503, "server_is_full")
        assert int(headers["Retry-After"]) > 0
        assert here.ledger.refusals == ["full"]
        await second.close()
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait(of_the_second)
        async with here.connect() as third:
            await events_until(third, "session.created")


async def test_there_are_no_calls_to_listen_in_to() -> None:
    async with site() as here:
        status, error, _ = await here.refusal("?call_id=rtc_1")
        assert (status, error["code"]) == (404, "call_not_found")


async def test_a_plain_request_is_told_to_upgrade() -> None:
    async with site() as here, here.http.get(here.url) as response:
        assert response.status == 426
        assert (await response.json())["error"]["code"] == "websocket_required"


class _Ended:
    """A socket of aiohttp's whose last message was read: its own code is OK, whatever that was."""

    close_code = aiohttp.WSCloseCode.OK

    def __init__(self, last: aiohttp.WSMessage) -> None:
        self._last = last

    async def receive(self) -> aiohttp.WSMessage:
        return self._last


@pytest.mark.parametrize(
    ("last", "lost"),
    [
        (aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None), True),  # as when writing failed just before
        (aiohttp.WSMessage(aiohttp.WSMsgType.ERROR, ConnectionResetError(), None), True),
        (aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 1001, "the page is left"), True),
        (aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 1000, ""), False),
        (aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 0, None), False),
    ],
)
async def test_only_a_client_that_says_so_has_left(last: aiohttp.WSMessage, lost: bool) -> None:
    ended: Any = _Ended(last)
    line = WebSocketLine(ended, None, Limits())
    assert await line.receive() is None
    assert line.was_lost == lost
