"""How a server stands, as it is told."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest

from antiphon.apps import local_fleet, supervisor
from antiphon.apps.composition import InProcess
from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.apps.standing import SETTLE_S, News, health_of
from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.engines import tone_code
from antiphon.sim.caller import scripted_suite
from antiphon.sim.outlet import RecordingOutlet
from antiphon.sim.referee import Referee
from antiphon.sim.virtual_time import run_virtual

LIMIT_S = 30.0


class Workers:
    """One that changes when it is told to."""

    def __init__(self) -> None:
        self.standing: dict[str, Any] = {"status": "ok", "missing": [], "workers": [{"name": "tts", "active": 0}]}
        self._change = asyncio.Event()

    async def changed(self) -> None:
        await self._change.wait()

    def change(self, **about: Any) -> None:
        (worker,) = self.standing["workers"]
        self.standing = {**self.standing, "workers": [{**worker, **about}]}
        self._change.set()
        self._change = asyncio.Event()


def following(check: Callable[[Workers, RecordingOutlet, News], Awaitable[None]]) -> None:
    async def main() -> None:
        workers, outlet = Workers(), RecordingOutlet()
        news = News(lambda: workers.standing)
        news.subscribe(outlet)
        running = asyncio.create_task(news.run([workers.changed]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await check(workers, outlet, news)
        running.cancel()
        await asyncio.wait([running])

    run_virtual(main())


def test_what_changes_together_is_told_once() -> None:
    async def check(workers: Workers, outlet: RecordingOutlet, news: News) -> None:
        workers.change(state="waiting")
        await asyncio.sleep(SETTLE_S / 2)
        workers.change(pid=None)
        await outlet.until(lambda: outlet.calls)
        await asyncio.sleep(SETTLE_S * 3)
        (told,) = outlet.named("fleet")
        assert told.args[0]["workers"] == [{"name": "tts", "active": 0, "state": "waiting", "pid": None}]
        assert told.at == pytest.approx(SETTLE_S)

    following(check)


def test_what_a_worker_has_to_do_is_no_news() -> None:
    async def check(workers: Workers, outlet: RecordingOutlet, news: News) -> None:
        workers.change(active=3)
        await asyncio.sleep(SETTLE_S * 3)
        assert outlet.calls == []
        workers.change(state="waiting")
        await outlet.until(lambda: outlet.calls)
        assert outlet.named("fleet")[0].args[0]["workers"][0]["active"] == 3

    following(check)


def test_a_session_that_is_over_is_forgotten() -> None:
    async def check(workers: Workers, outlet: RecordingOutlet, news: News) -> None:
        gone = RecordingOutlet()
        calls = gone.calls
        news.subscribe(gone)
        del gone
        workers.change(state="waiting")
        await outlet.until(lambda: outlet.calls)
        assert calls == []

    following(check)


def test_engines_in_the_servers_own_process() -> None:
    health = health_of(InProcess(scripted_suite()), "ok")
    assert health["status"] == "ok"
    assert health["pid"] == os.getpid()
    assert (health["missing"], health["workers"]) == ([], [])
    assert health["engines"] == dict.fromkeys(("vad", "asr", "llm", "tts"), "scripted:")
    assert health["stages"]["asr"] == {"engine": "scripted:", "state": "serving", "workers": ["server"]}


async def test_a_client_that_asked_sees_a_worker_die_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """And which worker served each stage of its turn, by the names that /health has."""
    monkeypatch.setattr(local_fleet, "BACK_S", LIMIT_S)
    monkeypatch.setattr(supervisor, "RESTART_S", (0.5, 0.5))
    scripted = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=4", "tts": "scripted:speed=20"}
    config = Config.model_validate({"port": 0, "tts_spare": False, **scripted})
    async with Server(config) as server, aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/health") as answer:
            health = await answer.json()
        assert health["stages"]["vad"] == {"engine": "scripted:", "state": "serving", "workers": ["server"]}
        assert health["stages"]["tts"]["workers"] == ["tts"]
        async with http.ws_connect(f"{server.url}/v1/realtime?events=antiphon") as call:
            referee = Referee(vendor=True)

            async def until(kind: str, holds: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
                while True:
                    event: dict[str, Any] = orjson.loads(await call.receive_str(timeout=LIMIT_S))
                    referee.feed(event)
                    if event["type"] == kind and holds(event):
                        return event

            await until("session.created")
            speech = tone_code.encode("tell me", WIRE_PCM_RATE_HZ) + bytes(WIRE_PCM_RATE_HZ * 2)
            await call.send_json({"type": "input_audio_buffer.append", "audio": base64.b64encode(speech).decode()})
            assert (await until("antiphon.turn"))["served_by"] == {"asr": "asr", "llm": "llm", "tts": "tts"}
            (pid,) = (worker["pid"] for worker in health["workers"] if worker["stage"] == "tts")
            os.kill(pid, signal.SIGKILL)
            down = await until("antiphon.fleet", lambda event: event["missing"] == ["tts"])
            assert down["status"] == "degraded"
            back = await until("antiphon.fleet", lambda event: not event["missing"])
            (tts,) = (worker for worker in back["workers"] if worker["stage"] == "tts")
            assert (back["status"], tts["restarts"], tts["last_exit"]) == ("ok", 1, "SIGKILL")
