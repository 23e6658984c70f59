"""A server whose calls are carried by processes of their own: real ones, with engines that take stated times."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
from aiohttp import web
from structlog.testing import capture_logs
from tests.shell.media_house import CALLS, SDP, number_of, told
from tests.shell.rtc_client import RtcClient
from tests.shell.test_media_sums import read
from tests.shell.test_websocket import close_of

from antiphon.agents.agent import Agent
from antiphon.apps.config import Config
from antiphon.apps.media import processes as media_processes
from antiphon.apps.media.processes import MediaProcesses
from antiphon.apps.server import Server
from antiphon.apps.server_process import local_server
from antiphon.errors import ConfigError
from antiphon.transport import relay

LIMIT_S = 30.0
PICO, ALPHA = "pico:en-US", "scripted:alpha"
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}


def config(**settings: object) -> Config:
    scripted = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=40", "tts": "scripted:speed=20"}
    return Config.model_validate({"port": 0, "webrtc_workers": 2, **scripted, **settings})


@asynccontextmanager
async def serving(**settings: object) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    async with Server(config(**settings)) as server, aiohttp.ClientSession(server.url) as http:
        yield server, http


def processes_of(server: Server) -> MediaProcesses:
    assert server._media is not None
    return server._media


async def health_of(http: aiohttp.ClientSession) -> dict[str, Any]:
    async with http.get("/health") as answer:
        health: dict[str, Any] = await answer.json()
        return health


async def figures_of(http: aiohttp.ClientSession) -> dict[str, float]:
    async with http.get("/metrics") as answer:
        return read(await answer.read())


async def until_there(processes: MediaProcesses, number: int, *, there: bool) -> None:
    async with asyncio.timeout(LIMIT_S):
        while (processes.carriers.at(number) is not None) is not there:
            await processes.changed()


async def goes_on(call: RtcClient) -> None:
    """The agent is still heard: what comes from now on is no silence."""
    heard = len(call.heard)
    async with asyncio.timeout(LIMIT_S):
        while not any(call.heard[heard:]):
            await asyncio.wait_for(call.sound.wait(), LIMIT_S)
            call.sound.clear()


async def test_a_process_that_is_killed_costs_its_own_calls_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with serving(webrtc_ports="45100-45119") as (server, http):
        processes = processes_of(server)
        before = await health_of(http)
        assert [(each["name"], each["state"]) for each in before["webrtc"]] == [
            ("webrtc-1", "serving"),
            ("webrtc-2", "serving"),
        ]
        assert before["status"] == "ok"
        async with (
            RtcClient(http, f"{CALLS}?resumable=1") as lost,
            RtcClient(http, CALLS) as other,
            http.ws_connect(f"/v1/realtime?call_id={lost.call_id}") as side,
        ):
            number = number_of(lost.call_id)
            assert {number, number_of(other.call_id)} == {1, 2}
            for call in (lost, other):
                first = 45090 + 10 * number_of(call.call_id)
                assert ports_of(call.answer) <= set(range(first, first + 10))
            for call in (lost, other):
                await call.until("session.created")
                call.send({"type": "conversation.item.create", "item": HELLO})
                call.send({"type": "response.create"})
                await call.until("output_audio_buffer.started")
            token = (await lost.until("antiphon.resumable"))["token"]
            figures = await figures_of(http)
            assert figures["antiphon_sessions_total"] == figures["antiphon_sessions_active"] == 2
            assert figures["antiphon_workers_serving tts"] == 1

            with capture_logs() as log:
                pid = before["webrtc"][number - 1]["pid"]
                os.kill(pid, signal.SIGSTOP)
                handed = told_of_requests(monkeypatch)
                moving = asyncio.create_task(http.post(lost.location, data=lost.pc.localDescription.sdp, headers=SDP))
                await asyncio.wait_for(handed.wait(), LIMIT_S)
                os.kill(pid, signal.SIGKILL)
                async with asyncio.timeout(LIMIT_S), await moving as answer:
                    assert answer.status == 503, "it is to ask again, and is told then"
                await until_there(processes, number, there=False)
            assert [entry["calls"] for entry in log if entry["event"] == "a media process is gone"] == [1]
            await goes_on(other)
            error = await told(side, "error")
            assert error["error"]["code"] == "call_lost"
            assert (await side.receive(timeout=LIMIT_S)).data == 1011

            async with http.post(f"{lost.location}?token={token}", data=lost.pc.localDescription.sdp) as answer:
                assert answer.status == 410
                assert "begin a new call" in (await answer.json())["error"]["message"]
            await until_there(processes, number, there=True)
            await goes_on(other)
            figures = await figures_of(http)
            assert figures["antiphon_sessions_total"] == 2, "what was counted stays"
            assert figures["antiphon_sessions_active"] == 1
            assert figures[f"antiphon_worker_restarts_total webrtc-{number}"] == 1
            async with RtcClient(http, CALLS) as again:
                assert number_of(again.call_id) == number
                await again.until("session.created")
        after = await health_of(http)
        process = after["webrtc"][number - 1]
        assert (process["state"], process["restarts"], process["last_exit"]) == ("serving", 1, "SIGKILL")
        pids = [each["pid"] for each in after["webrtc"]]
        assert all(psutil.pid_exists(pid) for pid in pids)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert left_in(tmp_path) == []


def told_of_requests(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set when a request is about to be handed to a process."""
    handed = asyncio.Event()
    pass_on = relay.pass_on

    async def passing(*given: Any) -> web.StreamResponse:
        handed.set()
        return await pass_on(*given)

    monkeypatch.setattr(relay, "pass_on", passing)
    return handed


def left_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


def ports_of(answer: str) -> set[int]:
    """The UDP ports of the candidates in an answer."""
    return {int(line.split()[5]) for line in answer.splitlines() if line.startswith("a=candidate:")}


async def test_one_that_hangs_is_offered_no_calls_and_the_server_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voices = f"{PICO},espeak:en-US,scripted:speed=20"
    kept = tmp_path / "kept.db"
    async with serving(webrtc_workers=1, tts=voices, session={"voice": PICO}, sessions=kept) as (server, http):
        await is_served_as_websockets_are(http)
        await has_conversations_in_common(http)
        await is_told_of_workers(server, http)
        processes = processes_of(server)
        monkeypatch.setattr(media_processes, "HEARTBEAT_S", 1.0)
        link = processes._links[1]
        await link.close()  # the next one has it
        async with asyncio.timeout(LIMIT_S):
            while processes._links.get(1, link) is link:
                await processes.changed()
        await until_there(processes, 1, there=True)
        (process,) = processes.standing()
        os.kill(process["pid"], signal.SIGSTOP)  # it hangs: its supervisor sees no end
        try:
            await until_there(processes, 1, there=False)
            assert (await health_of(http))["status"] == "degraded"
            async with http.get("/readiness") as answer:
                assert answer.status == 503
                assert "no media process carries calls (webrtc-1 is down)" in (await answer.json())["reason"]
            (process,) = processes.standing()
            assert process["state"] == "down"
            async with http.post(CALLS, data="v=0", headers={"Content-Type": "application/sdp"}) as answer:
                assert answer.status == 503
                assert "Retry-After" in answer.headers
            async with http.ws_connect("/v1/realtime") as socket:
                await told(socket, "session.created")
        finally:
            os.kill(process["pid"], signal.SIGCONT)
        await until_there(processes, 1, there=True)
        async with RtcClient(http, CALLS) as call:
            await call.until("session.created")


async def test_one_that_cannot_start_again_is_told_and_tried_again_and_websockets_go_on() -> None:
    async with serving(webrtc_workers=1) as (server, http):
        processes = processes_of(server)
        paper = processes._assignments[1].path
        text = paper.read_text()
        paper.write_text("no assignment")
        with capture_logs() as log:
            os.kill((await health_of(http))["webrtc"][0]["pid"], signal.SIGKILL)
            async with asyncio.timeout(LIMIT_S):
                while not any(entry.get("how") == "exit code 2" for entry in log):
                    await processes._supervisor.changed()
            complaint = f"{paper} is not what a server tells its media process"
            ended = [entry for entry in log if entry["event"] == "worker_ended"]
            assert ended[0]["how"] == "SIGKILL"
            assert "said" not in ended[0]
            assert complaint in ended[1]["said"]
        (process,) = (await health_of(http))["webrtc"]
        assert process["last_exit"] == "exit code 2"
        assert complaint in process["error"]
        async with http.get("/readiness") as answer:
            reason = (await answer.json())["reason"]
        assert reason.startswith("no media process carries calls (webrtc-1 is ")
        assert complaint in reason
        async with http.ws_connect("/v1/realtime") as socket:
            await told(socket, "session.created")
        paper.write_text(text)
        await until_there(processes, 1, there=True)
        health = await health_of(http)
        assert (health["status"], health["reason"]) == ("ok", "")
        assert "error" not in health["webrtc"][0]


async def is_served_as_websockets_are(http: aiohttp.ClientSession) -> None:
    """A call has the same models and voices, and loses them at the same time."""
    async with RtcClient(http, CALLS) as call:
        created = (await call.until("session.created"))["session"]
        async with http.ws_connect("/v1/realtime") as socket:
            session = (await told(socket, "session.created"))["session"]
            assert created["model"] == session["model"]
            assert created["audio"] == session["audio"]
        assert (await health_of(http))["missing"] == []
        assert created["audio"]["output"]["voice"] == PICO
        async with http.post("/v1/antiphon/models/swap", json={"from": PICO, "to": "scripted:speed=20"}) as answer:
            assert answer.status == 200
        updated = await call.until("session.updated")
        assert updated["session"]["audio"]["output"]["voice"] == ALPHA
    async with http.post("/v1/antiphon/models/load", json={"model": PICO}) as answer:
        assert answer.status == 200
    async with RtcClient(http, CALLS) as call:
        created = (await call.until("session.created"))["session"]
        assert created["audio"]["output"]["voice"] == PICO, "what is loaded is there at once"


async def has_conversations_in_common(http: aiohttp.ClientSession) -> None:
    """One goes on in a call, and then over a WebSocket again; the session before ends."""
    async with http.ws_connect("/v1/realtime?events=antiphon") as first:
        conversation = (await told(first, "antiphon.conversation"))["conversation_id"]
        await first.send_json({"type": "conversation.item.create", "item": HELLO})
        await told(first, "conversation.item.done")
        going_on = f"events=antiphon&conversation={conversation}"
        async with RtcClient(http, f"{CALLS}?{going_on}") as call:
            assert (await call.until("antiphon.conversation"))["items"] == 1
            assert await close_of(first) == (1001, "the conversation goes on elsewhere")
            async with (
                http.ws_connect(f"/v1/realtime?call_id={call.call_id}") as side,
                http.ws_connect(f"/v1/realtime?{going_on}") as again,
            ):
                assert (await told(again, "antiphon.conversation"))["items"] == 1
                assert await close_of(side) == (1001, "the conversation goes on elsewhere")


async def is_told_of_workers(server: Server, http: aiohttp.ClientSession) -> None:
    """As everybody is: with the processes, which those that carry calls do not know."""
    (asr,) = (worker for worker in server.engines.workers() if worker["stage"] == "asr")

    def is_back(event: dict[str, Any]) -> bool:
        workers = event["workers"] if event["type"] == "antiphon.fleet" else []
        return any(worker["name"] == "asr" and worker["restarts"] == 1 for worker in workers)

    async with RtcClient(http, f"{CALLS}?events=antiphon") as call:
        await call.until("session.created")
        os.kill(asr["pid"], signal.SIGKILL)
        await call.until(is_back)


async def test_none_outlives_a_server_that_is_killed() -> None:
    engines = (option for stage in ("vad", "asr", "llm", "tts") for option in (f"--{stage}", "scripted"))
    async with local_server([*engines, "--no-tts-spare", "--webrtc-workers", "1"]) as server:
        processes = psutil.Process(server.pid).children()
        assert len(processes) == 4
        os.kill(server.pid, signal.SIGKILL)
        _, alive = await asyncio.to_thread(psutil.wait_procs, processes, LIMIT_S)
        assert not alive


async def test_agents_that_cannot_travel_are_refused() -> None:
    with pytest.raises(ConfigError, match="agents must come from files"):
        await Server(config(), agents=[Agent("night")]).__aenter__()


async def test_what_a_process_cannot_use_is_told_as_if_it_ran_here() -> None:
    with pytest.raises(ConfigError, match="there is no voice 'nobody'"):
        async with serving(session={"voice": "nobody"}):
            pass
