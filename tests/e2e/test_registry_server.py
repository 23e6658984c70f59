"""A whole server whose workers run elsewhere and are found by a real Redis, or by a name."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.listening import word_error_rate
from tests.e2e.plain_client import PlainClient
from tests.e2e.test_workers import BACK_LIMIT_S, LONG, MAX_WER, Running, running, speech_of
from tests.e2e.wiretap import Wiretap
from tests.shell.redis_server import RedisServer
from tests.shell.worker_client import WorkerProcess, worker_process

from antiphon.apps.config import Config
from antiphon.apps.server import Server

ANSWERS = "alice"
SPEAKS = "pico:en-US"


async def answer(server: Running) -> None:
    async with Wiretap(server.url) as tap, PlainClient(tap) as client:
        await client.write("Hello.")
        await client.send("response.create")
        done = await tap.wait_for("response.done")
        assert done["response"]["status"] == "completed", done


async def audible_answer(server: Running) -> None:
    """What is heard is what was said."""
    async with Wiretap(server.url) as tap, PlainClient(tap) as client:
        since = tap.mark()
        await client.write(LONG)
        await client.send("response.create")
        said, heard = await speech_of(tap, since)
    assert word_error_rate(heard, said) <= MAX_WER, (said, heard)


async def workers(server: Running, holds: Callable[[dict[str, dict[str, Any]]], bool]) -> dict[str, dict[str, Any]]:
    """The server's workers by their addresses, when something holds of them."""
    async with asyncio.timeout(BACK_LIMIT_S):
        while True:
            found = {worker["name"]: worker for worker in (await server.health())["workers"]}
            if holds(found):
                return found
            await asyncio.sleep(0.1)


def serve(count: int) -> Callable[[dict[str, dict[str, Any]]], bool]:
    return lambda found: sum(worker["state"] == "serving" for worker in found.values()) == count


@asynccontextmanager
async def redis_in(folder: Path) -> AsyncIterator[RedisServer]:
    redis = RedisServer(folder)
    await redis.start()
    try:
        yield redis
    finally:
        await redis.kill()


async def test_workers_announce_themselves_and_serve_on_while_redis_is_down(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_in(tmp_path))

        async def start(stage: str, models: str) -> WorkerProcess:
            arguments = (stage, "--models", models, "--registry", redis.url)
            return await stack.enter_async_context(worker_process(*arguments))

        await start("asr", "scripted")
        await start("llm", ANSWERS)
        speakers = [await start("tts", SPEAKS), await start("tts", SPEAKS)]
        options = ("--vad", "scripted", "--registry", redis.url)
        server = stack.enter_context(running(tmp_path / "run", *options))
        found = await workers(server, serve(4))
        assert {worker.address for worker in speakers} <= set(found)
        assert not any("pid" in worker for worker in found.values()), "none of them is the server's own"
        await answer(server)

        await redis.kill()
        await audible_answer(server)
        speakers[0].process.send_signal(signal.SIGKILL)
        await workers(server, serve(3))
        await answer(server)
        assert "registry_unreachable" in server.log.read_text()

        await redis.start()  # empty, as after a crash
        newcomer = await start("tts", SPEAKS)
        await workers(server, lambda now: now.get(newcomer.address, {}).get("state") == "serving")
        await answer(server)
        assert "registry_back" in server.log.read_text()
        assert server.process.poll() is None


async def test_workers_are_found_by_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind a headless service: one name, several hosts, the same port at each."""
    hosts = [f"127.0.0.{number}" for number in (1, 2, 3)]
    port = _free_port(hosts)

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        assert host == "workers.example"
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in hosts]

    async with AsyncExitStack() as stack:
        for host, stage, models in zip(hosts, ("asr", "llm", "tts"), ("scripted", ANSWERS, SPEAKS), strict=True):
            await stack.enter_async_context(worker_process(stage, "--models", models, listen=f"{host}:{port}"))
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
        config = Config.model_validate({"port": 0, "vad": "scripted", "registry": f"dns://workers.example:{port}"})
        server = await stack.enter_async_context(Server(config))
        monkeypatch.undo()
        async with Wiretap(server.url) as tap, PlainClient(tap) as client:
            await client.write(LONG)
            await client.send("response.create")
            done = await tap.wait_for("response.done")
            assert done["response"]["status"] == "completed"
        found = {worker["name"]: worker["stage"] for worker in server.engines.workers()}
        assert found == {f"{host}:{port}": stage for host, stage in zip(hosts, ("asr", "llm", "tts"), strict=True)}


def _free_port(hosts: list[str]) -> int:
    """One that is free at all of them."""
    with socket.socket() as first:
        first.bind((hosts[0], 0))
        port = int(first.getsockname()[1])
        for host in hosts[1:]:
            with socket.socket() as other:
                other.bind((host, port))
        return port
