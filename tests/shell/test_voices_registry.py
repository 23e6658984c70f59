"""Registries, the one in Redis against a real server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import pytest
import structlog
from tests.shell.redis_server import RedisServer

from antiphon.errors import ConfigError
from antiphon.voices.announce import announce
from antiphon.voices.redis_registry import RedisRegistry, connect
from antiphon.voices.registry import (
    Announcement,
    Backoff,
    DnsRegistry,
    StaticRegistry,
    open_registry,
    redis_names,
    shown,
)

WAIT_S = 20.0

Watched = AsyncGenerator[frozenset[Announcement]]


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    server = RedisServer(tmp_path)
    await server.start()
    yield server
    await server.kill()


@asynccontextmanager
async def announced(redis: RedisServer, worker: Announcement, *, every_s: float = 0.2) -> AsyncIterator[None]:
    task = asyncio.create_task(announce(redis.url, lambda: worker, every_s=every_s, ttl_s=2))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def seen(watched: Watched, expected: set[Announcement]) -> None:
    async with asyncio.timeout(WAIT_S):
        while await anext(watched) != expected:
            pass


class Log:
    """The names of what is logged, which can be waited for."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self._changed = asyncio.Event()

    def __call__(self, logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        self.events.append(event["event"])
        self._changed.set()
        raise structlog.DropEvent

    async def until(self, event: str, times: int = 1) -> None:
        async with asyncio.timeout(WAIT_S):
            while self.events.count(event) < times:
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
def log() -> Iterator[Log]:
    processors = structlog.get_config()["processors"]
    before = processors.copy()
    log = Log()
    processors[:] = [log]  # in place: loggers that exist already hold the list
    yield log
    processors[:] = before


ONE = Announcement("10.0.0.1:7001", "tts", "aaa")
TWO = Announcement("unix:///run/two.sock", "asr", "bbb")


async def test_workers_come_and_go(redis: RedisServer) -> None:
    # Only the wake-up makes it see a change: the next listing would be a minute away.
    async with aclosing(RedisRegistry(redis.url, every_s=60).watch()) as watched:
        await seen(watched, set())
        async with announced(redis, ONE):
            await seen(watched, {ONE})
            async with announced(redis, TWO):
                await seen(watched, {ONE, TWO})
            await seen(watched, {ONE})
        await seen(watched, set())


async def test_a_worker_that_dies_silently_is_dropped_by_its_ttl(redis: RedisServer) -> None:
    client = connect(redis_names(redis.url)[0])
    await client.set("test:worker:aaa", ONE.to_json(), px=300)
    async with aclosing(RedisRegistry(redis.url, every_s=0.1).watch()) as watched:
        await seen(watched, {ONE})
        await seen(watched, set())
    await client.aclose()


async def test_entries_that_nobody_can_read_are_left_out(redis: RedisServer, log: Log) -> None:
    client = connect(redis_names(redis.url)[0])
    await client.set("test:worker:x", b"no json")
    await client.set("test:worker:y", b'{"stage": "tts"}')
    await client.set("test:worker:z", ONE.to_json())
    await client.set("other:worker:q", TWO.to_json())
    await client.aclose()
    async with aclosing(RedisRegistry(redis.url).watch()) as watched:
        await seen(watched, {ONE})
    assert log.events == ["registry_entry_unreadable"] * 2


async def test_known_workers_stay_while_redis_is_down_and_after_it_forgot_them(redis: RedisServer, log: Log) -> None:
    # The restarted Redis hears of the one worker again, of the other never.
    async with announced(redis, ONE), aclosing(RedisRegistry(redis.url, every_s=0.1).watch()) as watched:
        client = connect(redis_names(redis.url)[0])
        await client.set("test:worker:bbb", TWO.to_json())
        await client.aclose()
        await seen(watched, {ONE, TWO})
        following = asyncio.create_task(anext(watched))
        await redis.kill()
        await log.until("registry_unreachable", times=2)
        await redis.start()
        await log.until("registry_back", times=2)
        assert not following.done()  # nothing has changed for those who watch
        new = Announcement("new:1", "tts", "ccc")
        async with announced(redis, new), asyncio.timeout(WAIT_S):
            assert await following == {ONE, TWO, new}
    assert log.events.count("registry_unreachable") == 2  # the watcher's and the worker's, each once


async def test_after_an_outage_the_forgotten_are_dropped_when_their_time_is_over(redis: RedisServer) -> None:
    async with aclosing(RedisRegistry(redis.url, every_s=0.1, ttl_s=0.5).watch()) as watched:
        client = connect(redis_names(redis.url)[0])
        await client.set("test:worker:bbb", TWO.to_json())
        await client.aclose()
        await seen(watched, {TWO})
        following = asyncio.create_task(anext(watched))
        await redis.kill()
        await redis.start()
        async with asyncio.timeout(WAIT_S):
            assert await following == frozenset()


async def test_watching_begins_before_redis_does(tmp_path: Path, log: Log) -> None:
    redis = RedisServer(tmp_path)
    async with announced(redis, ONE), aclosing(RedisRegistry(redis.url, every_s=0.1).watch()) as watched:
        following = asyncio.create_task(anext(watched))
        await log.until("registry_unreachable", times=2)
        await redis.start()
        async with asyncio.timeout(WAIT_S):
            first = await following
        if first != {ONE}:
            await seen(watched, {ONE})
        await redis.kill()


async def test_announcing_needs_no_redis_where_workers_are_found_otherwise() -> None:
    await announce("127.0.0.1:7001", lambda: ONE)
    await announce("dns://workers:7001", lambda: ONE)


async def test_a_list_of_addresses() -> None:
    registry = open_registry("unix:///run/a.sock, 10.0.0.1:7001")
    assert isinstance(registry, StaticRegistry)
    assert [found async for found in registry.watch()] == [
        {Announcement("unix:///run/a.sock"), Announcement("10.0.0.1:7001")}
    ]


async def test_a_name_is_resolved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[list[str] | OSError] = [
        socket.gaierror("down"),
        ["10.0.0.1", "10.0.0.2"],
        ["10.0.0.1", "10.0.0.2"],
        socket.gaierror("down"),
        ["10.0.0.2", "fe80::1"],
    ]

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        assert (host, port) == ("workers", 7001)
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        families = [(socket.AF_INET6 if ":" in ip else socket.AF_INET, ip) for ip in answer]
        return [(family, 1, 6, "", (ip, port)) for family, ip in families]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with aclosing(DnsRegistry("workers", 7001, every_s=0).watch()) as watched, asyncio.timeout(WAIT_S):
        assert {worker.address for worker in await anext(watched)} == {"10.0.0.1:7001", "10.0.0.2:7001"}
        assert {worker.address for worker in await anext(watched)} == {"10.0.0.2:7001", "[fe80::1]:7001"}
    assert not answers


async def test_a_real_name_is_resolved() -> None:
    registry = open_registry("dns://localhost:7001")
    async with aclosing(registry.watch()) as watched, asyncio.timeout(WAIT_S):
        assert "127.0.0.1:7001" in {worker.address for worker in await anext(watched)}


@pytest.mark.parametrize("url", ["", "static://", "dns://name", "dns://name:port", "dns://:7", "redis://host:port/0"])
def test_a_wrong_url_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="registry"):
        open_registry(url)


def test_a_password_is_not_shown() -> None:
    assert shown("redis://me:secret@host:6379/0") == "redis://host:6379/0"


def test_waits_grow_to_a_limit() -> None:
    backoff = Backoff()
    assert [backoff.next_s() for _ in range(7)] == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert not backoff.begins
    backoff.reset()
    assert backoff.begins
