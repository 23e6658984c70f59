"""Whatever clients do, the server goes on, and nothing of them stays behind."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import logging
import os
import random
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import structlog
from aiohttp import web

from antiphon.core.settings import SessionSettings
from antiphon.engines import tone_code
from antiphon.engines.scripted import (
    BrainOptions,
    ScriptedBrain,
    ScriptedRecognizer,
    ScriptedSynthesizer,
    ScriptedVad,
    SynthesizerOptions,
)
from antiphon.engines.suite import Suite
from antiphon.session.session import Session
from antiphon.transport.base import Outlet
from antiphon.transport.http import GATEWAY, make_app
from antiphon.transport.limits import Limits

RATE_HZ = 24_000
PATIENCE_S = 30.0
SPEECH = tone_code.encode("hello there", RATE_HZ)
SILENCE = bytes(RATE_HZ * 2)


@dataclass
class Server:
    host: str
    port: int
    app: web.Application
    suite: Suite

    @property
    def url(self) -> str:
        return f"ws://{self.host}:{self.port}/v1/realtime?model=antiphon"

    @property
    def sessions(self) -> int:
        return self.app[GATEWAY].active


def quick_suite() -> Suite:
    return Suite(
        ScriptedVad(),
        ScriptedRecognizer(),
        ScriptedBrain(BrainOptions(first_token_ms=1, token_ms=1, tokens=30)),
        ScriptedSynthesizer(SynthesizerOptions(first_audio_ms=1, speed=200)),
    )


@asynccontextmanager
async def serving(
    limits: Limits | None = None, suite: Suite | None = None, kinds: Sequence[type[Session]] = ()
) -> AsyncIterator[Server]:
    """A server in this process. The first sessions are of the given ``kinds``."""
    engines = suite or quick_suite()
    unusual = iter(kinds)

    def session(outlet: Outlet, settings: SessionSettings, session_id: str) -> Session:
        return next(unusual, Session)(engines, outlet, settings)

    app = make_app(session, limits=limits or Limits())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield Server(host, port, app, engines)
    finally:
        await runner.cleanup()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def append(audio: bytes) -> dict[str, Any]:
    return {"type": "input_audio_buffer.append", "audio": base64.b64encode(audio).decode()}


def typed(text: str) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": content}}


async def until(client: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """Reads up to the next event of that type."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            event: dict[str, Any] = await client.receive_json()
            if event["type"] == kind:
                return event


async def converses(client: aiohttp.ClientWebSocketResponse, words: str = "echo all is well") -> None:
    """A typed turn, answered in full."""
    await client.send_json(typed(words))
    await client.send_json({"type": "response.create", "response": {"output_modalities": ["text"]}})
    assert (await until(client, "response.output_text.done"))["text"] == words.removeprefix("echo ")
    assert (await until(client, "response.done"))["response"]["status"] == "completed"


# Clients that come and go.


@dataclass
class Left:
    """What there is of things that a session could leave behind."""

    tasks: int
    threads: int
    descriptors: frozenset[tuple[int, int, int]]
    """Each with what it leads to: gRPC closes those of earlier tests in its own time, which is no debt of ours."""

    @classmethod
    def count(cls) -> Left:
        gc.collect()
        descriptors = set()
        for number in [int(path.name) for path in Path("/dev/fd").iterdir()]:
            with suppress(OSError):  # that of the listing itself
                status = os.fstat(number)
                descriptors.add((number, status.st_dev, status.st_ino))
        return cls(len(asyncio.all_tasks()), threading.active_count(), frozenset(descriptors))


async def until_over(standing: set[asyncio.Task[Any]]) -> None:
    """Waits for the end of all tasks but the ``standing`` ones. Raises TimeoutError where one does not end."""
    async with asyncio.timeout(PATIENCE_S):
        while others := asyncio.all_tasks() - standing:
            await asyncio.wait(others)


Step = Callable[[aiohttp.ClientWebSocketResponse, random.Random], Awaitable[None]]


async def _say(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    speech = SPEECH[: chance.randrange(len(SPEECH)) & ~1]
    await client.send_json(append(speech + SILENCE * chance.randrange(2)))


async def _type(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    words = ["count to 40", "call get_weather {}", "echo hello"]
    await client.send_json(typed(chance.choice(words)))
    await client.send_json({"type": "response.create"})


async def _configure(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    detection = chance.choice([None, {"type": "server_vad"}, {"type": "semantic_vad"}])
    hearing = {"turn_detection": detection, "transcription": {"model": "whisper-1"}}
    await client.send_json({"type": "session.update", "session": {"type": "realtime", "audio": {"input": hearing}}})


async def _ask_anything(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    kinds = ["input_audio_buffer.commit", "input_audio_buffer.clear", "response.cancel", "response.create"]
    await client.send_json({"type": chance.choice(kinds)})


async def _babble(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    await client.send_str(chance.choice(["", "{", "[]", '{"type": "response.create", "response": 1}', "\x00"]))


async def _blob(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    await client.send_bytes(chance.randbytes(chance.randrange(2000)))


async def _read(client: aiohttp.ClientWebSocketResponse, chance: random.Random) -> None:
    for _ in range(chance.randrange(60)):
        await client.receive(timeout=0.1)


STEPS: list[Step] = [_say, _type, _configure, _ask_anything, _babble, _blob, _read]


async def _leave(client: aiohttp.ClientWebSocketResponse, how: str) -> None:
    transport = client._conn.transport if client._conn is not None else None
    if how == "close":
        await client.close()
    elif transport is not None and how == "half-close" and transport.can_write_eof():
        transport.write_eof()
        await client.receive(timeout=PATIENCE_S)
        transport.abort()
    elif transport is not None:
        transport.abort()


async def _misbehave(http: aiohttp.ClientSession, url: str, seed: int) -> None:
    """Connects, does a few things, and leaves in the middle of them, one way or another."""
    chance = random.Random(seed)
    pacing = chance.choice(["", "&pacing=realtime"])
    async with http.ws_connect(url + pacing) as client:
        try:
            for _ in range(chance.randrange(12)):
                await chance.choice(STEPS)(client, chance)
        except (TimeoutError, ConnectionError):
            pass  # a slow answer, or the server has hung up first: both are part of the game
        await _leave(client, chance.choice(["close", "abort", "half-close"]))


async def _knock(server: Server, seed: int) -> None:
    """A handshake that is broken off."""
    chance = random.Random(seed)
    reader, writer = await asyncio.open_connection(server.host, server.port)
    request = (
        f"GET /v1/realtime?model=antiphon HTTP/1.1\r\nHost: {server.host}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    cut = chance.randrange(1, len(request) + 1)
    writer.write(request[:cut])
    await writer.drain()
    if chance.random() < 0.3:
        writer.write(request[cut:])
        await reader.read(chance.randrange(1, 40))
    writer.transport.abort()


def visit(server: Server, http: aiohttp.ClientSession, seed: int) -> Coroutine[Any, Any, None]:
    return _knock(server, seed) if seed % 10 == 9 else _misbehave(http, server.url, seed)


@pytest.mark.timeout(240)
async def test_five_hundred_sessions_leave_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server:
        standing = asyncio.all_tasks()
        async with aiohttp.ClientSession() as http, http.ws_connect(server.url) as first:
            await converses(first)  # whatever is made on first use is made now
        await until_over(standing)
        before = Left.count()

        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            with structlog.testing.capture_logs() as log:
                for batch in range(0, 500, 25):
                    async with asyncio.TaskGroup() as group:
                        for seed in range(batch, batch + 25):
                            group.create_task(visit(server, http, seed))
        await until_over(standing)

        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
        assert not [entry for entry in log if entry["log_level"] in ("error", "critical")]
        assert server.sessions == 0
        assert server.app[GATEWAY].queued_bytes == 0
        after = Left.count()
        assert (after.tasks, after.threads) == (before.tasks, before.threads)
        assert not after.descriptors - before.descriptors
        brain, synthesizer = server.suite.brain, server.suite.synthesizer
        assert isinstance(brain, ScriptedBrain) and brain.running == 0
        assert isinstance(synthesizer, ScriptedSynthesizer) and synthesizer.running == 0
        async with aiohttp.ClientSession() as http, http.ws_connect(server.url) as last:
            await converses(last)


async def test_clients_that_leave_do_not_disturb_the_others(http: aiohttp.ClientSession) -> None:
    async with serving() as server, http.ws_connect(server.url) as steady, asyncio.TaskGroup() as group:
        for seed in range(1000, 1040):
            group.create_task(visit(server, http, seed))
        for number in range(20):
            await converses(steady, f"echo the {number}th time all is well")


# Engines that fail.


async def test_a_failing_reply_is_that_sessions_own(http: aiohttp.ClientSession) -> None:
    """The second answer fails in mid-sentence; the first, which goes on at the same time, is whole."""
    suite = quick_suite()
    options = BrainOptions(first_token_ms=20, token_ms=10, fail_on="2", fail_after=5)
    suite = Suite(suite.vad, suite.recognizer, ScriptedBrain(options), suite.synthesizer)
    async with (
        serving(suite=suite) as server,
        http.ws_connect(server.url + "&pacing=realtime") as lucky,
        http.ws_connect(server.url) as unlucky,
    ):
        await lucky.send_json(typed("count to 12"))
        await lucky.send_json({"type": "response.create"})
        await until(lucky, "response.output_audio.delta")
        await unlucky.send_json(typed("count to 12"))
        await unlucky.send_json({"type": "response.create"})
        failed = (await until(unlucky, "response.done"))["response"]
        assert failed["status"] == "failed"
        assert failed["status_details"]["error"]
        whole = await until(lucky, "response.output_audio_transcript.done")
        assert whole["transcript"].split()[-1] == "twelve"
        assert (await until(lucky, "response.done"))["response"]["status"] == "completed"
        await converses(unlucky)


class BrokenSession(Session):
    """Has a defect: the third command breaks it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._commands = 0

    def _obey(self, *args: Any) -> None:
        self._commands += 1
        if self._commands == 3:
            raise RuntimeError("a defect")
        super()._obey(*args)


async def test_a_defect_ends_its_own_session_and_no_other(http: aiohttp.ClientSession) -> None:
    made: list[type[Session]] = [BrokenSession, Session]
    async with (
        serving(kinds=made) as server,
        http.ws_connect(server.url) as broken,
        http.ws_connect(server.url) as sound,
    ):
        await broken.send_json(typed("count to 30"))
        await broken.send_json({"type": "response.create"})
        await until(broken, "response.created")
        await broken.send_json({"type": "input_audio_buffer.clear"})
        done = await until(broken, "response.done")
        assert done["response"]["status"] in ("failed", "cancelled")
        assert (await until(broken, "error"))["error"]["type"] == "server_error"
        assert (await broken.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.CLOSE
        assert broken.close_code == aiohttp.WSCloseCode.INTERNAL_ERROR
        await converses(sound)


# Too much, too long, too late.


async def closed(client: aiohttp.ClientWebSocketResponse) -> int | None:
    """Reads to the end; the code with which the server closed."""
    async with asyncio.timeout(PATIENCE_S):
        async for _ in client:
            pass
    return client.close_code


async def test_a_message_that_is_too_large_closes_the_connection(http: aiohttp.ClientSession) -> None:
    async with (
        serving(Limits(max_message_bytes=100_000)) as server,
        http.ws_connect(server.url) as client,
        http.ws_connect(server.url) as other,
    ):
        await client.send_str("x" * 200_000)
        assert await closed(client) == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
        await converses(other)


async def test_audio_over_the_protocols_limit_is_refused(http: aiohttp.ClientSession) -> None:
    async with serving() as server, http.ws_connect(server.url) as client:
        await client.send_json(append(bytes(16 * 1024 * 1024)))
        assert (await until(client, "error"))["error"]["message"]
        await converses(client)


async def test_audio_that_is_never_committed_does_not_grow_without_end(http: aiohttp.ClientSession) -> None:
    process = psutil.Process()
    chunk = json.dumps(append(bytes(RATE_HZ * 2 * 60)))
    off = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
    async with serving() as server, http.ws_connect(server.url) as client:
        await client.send_json(off)
        await client.send_str(chunk)
        await converses(client)
        before = process.memory_info().rss
        for _ in range(60):  # an hour of audio: 115 MB at 16 kHz
            await client.send_str(chunk)
        await converses(client)
        assert process.memory_info().rss - before < 60_000_000


def _small_socket(address: Any) -> socket.socket:
    """A socket whose system keeps little for it."""
    family, kind, protocol = address[:3]
    small = socket.socket(family, kind, protocol)
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return small


@pytest.mark.parametrize(
    "limits", [Limits(stalled_after_s=1.0, max_queued_bytes=50_000_000), Limits(max_queued_bytes=1_000_000)]
)
async def test_a_client_that_does_not_read_is_cut_off(http: aiohttp.ClientSession, limits: Limits) -> None:
    connector = aiohttp.TCPConnector(socket_factory=_small_socket)
    async with (
        serving(limits) as server,
        http.ws_connect(server.url) as other,
        aiohttp.ClientSession(connector=connector) as deaf_http,
    ):
        standing = asyncio.all_tasks()
        async with deaf_http.ws_connect(server.url) as deaf:
            await deaf.send_json(typed("word " * 20_000))
            item = (await until(deaf, "conversation.item.done"))["item"]
            assert deaf._conn is not None and isinstance(deaf._conn.transport, asyncio.Transport)
            deaf._conn.transport.pause_reading()
            for _ in range(200):  # 20 MB of answers, more than the system keeps for a socket
                await deaf.send_json({"type": "conversation.item.retrieve", "item_id": item["id"]})
            await converses(other, "echo it goes on meanwhile")
            await until_over(standing)
            assert server.sessions == 1
            deaf._conn.transport.abort()
        await converses(other)


async def test_sessions_have_a_longest_and_an_idle_time(http: aiohttp.ClientSession) -> None:
    async with serving(Limits(max_session_s=0.5)) as server, http.ws_connect(server.url) as client:
        assert (await until(client, "error"))["error"]["code"] == "session_expired"
        assert await closed(client) == aiohttp.WSCloseCode.GOING_AWAY
    async with serving(Limits(idle_timeout_s=0.5)) as server, http.ws_connect(server.url) as client:
        assert (await until(client, "error"))["error"]["code"] == "session_idle_timeout"
        assert await closed(client) == aiohttp.WSCloseCode.GOING_AWAY


async def test_a_full_server_says_when_to_come_again(http: aiohttp.ClientSession) -> None:
    async with (
        serving(Limits(max_sessions=2)) as server,
        http.ws_connect(server.url) as first,
        http.ws_connect(server.url),
    ):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(server.url)
        assert refused.value.status == 503
        assert refused.value.headers is not None and int(refused.value.headers["Retry-After"]) > 0
        await converses(first)
