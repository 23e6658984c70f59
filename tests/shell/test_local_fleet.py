"""A server whose engines are in other processes: its own workers, and those that run elsewhere."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest
import yarl
from tests.shell.test_openai_chat import ChatServer
from tests.shell.worker_client import hosting

from antiphon.apps import local_fleet, supervisor
from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.audio import EAR_RATE_HZ
from antiphon.engines import tone_code
from antiphon.errors import ConfigError, EngineError
from antiphon.riff import wav_of

LIMIT_S = 30.0
HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}


def config(**settings: object) -> Config:
    scripted = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=4", "tts": "scripted:speed=20"}
    return Config.model_validate({"port": 0, **scripted, **settings})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def health_of(http: aiohttp.ClientSession, server: Server) -> dict[str, Any]:
    async with http.get(f"{server.url}/health") as answer:
        health: dict[str, Any] = await answer.json()
        return health


def left_in(folder: Path) -> list[Path]:
    return list(folder.rglob("*"))


async def is_ready(http: aiohttp.ClientSession, server: Server) -> bool:
    async with http.get(f"{server.url}/readiness") as answer:
        return answer.status == 200


async def until(holds: Callable[[], bool], change: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not holds():
            await change()


async def answered(call: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The response to a typed message."""
    await call.send_json({"type": "conversation.item.create", "item": HELLO})
    await call.send_json({"type": "response.create"})
    while (event := await call.receive_json(timeout=LIMIT_S))["type"] != "response.done":
        pass
    response: dict[str, Any] = event["response"]
    return response


async def test_it_names_its_workers_and_leaves_none(
    http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    async with Server(config(tts_workers=2)) as server:
        health = await health_of(http, server)
        assert health["status"] == "ok"
        assert await is_ready(http, server)
        workers = {worker["name"]: worker for worker in health["workers"]}
        assert {name: worker["stage"] for name, worker in workers.items()} == {
            "asr": "asr",
            "llm": "llm",
            "tts": "tts",
            "tts-2": "tts",
        }
        assert {worker["state"] for worker in workers.values()} == {"serving"}
        assert {worker["restarts"] for worker in workers.values()} == {0}
        assert workers["tts"]["models"] == {"scripted:speed=20": "resident"}
        pids = [worker["pid"] for worker in workers.values()]
        assert health["pid"] == os.getpid()
        assert all(psutil.pid_exists(pid) for pid in pids)
        assert len(left_in(tmp_path)) == 6, "a folder, its lock and four sockets"
        async with http.ws_connect(f"{server.url}/v1/realtime") as call:
            assert (await answered(call))["status"] == "completed"
        async with http.get(f"{server.url}/metrics") as answer:
            assert 'antiphon_workers_serving{stage="tts"} 2.0' in await answer.text()
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("in_process", [False, True])
async def test_a_brain_that_hears_can_be_the_recognizer_too(http: aiohttp.ClientSession, in_process: bool) -> None:
    async with Server(config(asr="brain", llm="scripted:hears=1,token_ms=1", in_process=in_process)) as server:
        health = await health_of(http, server)
        assert (health["status"], health["engines"]["asr"]) == ("ok", "brain")
        assert "asr" not in {worker["stage"] for worker in health["workers"]}
        form = aiohttp.FormData({"model": "brain"})
        said = wav_of(tone_code.encode("good morning", EAR_RATE_HZ), EAR_RATE_HZ)
        form.add_field("file", said, filename="said.wav", content_type="audio/wav")
        async with http.post(f"{server.url}/v1/audio/transcriptions", data=form) as answer:
            assert (await answer.json())["text"] == "good morning"
        async with http.ws_connect(f"{server.url}/v1/realtime") as call:
            assert (await answered(call))["status"] == "completed"


@pytest.mark.parametrize("in_process", [False, True])
async def test_a_brain_that_does_not_hear_cannot_be_the_recognizer(in_process: bool) -> None:
    with pytest.raises(ConfigError, match="takes no audio"):
        async with Server(config(asr="brain", in_process=in_process)):
            pass


async def test_a_stage_without_a_worker_is_told_plainly_and_comes_back(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTART_S", (4.0, 4.0))
    monkeypatch.setattr(local_fleet, "BACK_S", 1.0)
    async with Server(config()) as server, http.ws_connect(f"{server.url}/v1/realtime") as call:
        (tts,) = (worker for worker in server.engines.workers() if worker["stage"] == "tts")
        os.kill(tts["pid"], signal.SIGKILL)
        change = server.suite.synthesizer.fleet.changed  # type: ignore[attr-defined]
        await until(lambda: server.engines.missing() == ["tts"], change)
        health = await health_of(http, server)
        assert health["status"] == "degraded"
        assert not await is_ready(http, server)

        response = await answered(call)
        assert response["status"] == "failed"
        assert "the tts fleet cannot take it now" in response["status_details"]["error"]["message"]

        await until(lambda: not server.engines.missing(), change)
        assert await is_ready(http, server)
        assert (await answered(call))["status"] == "completed"
        (tts,) = (worker for worker in server.engines.workers() if worker["stage"] == "tts")
        assert (tts["state"], tts["restarts"], tts["last_exit"]) == ("serving", 1, "SIGKILL")
        async with http.get(f"{server.url}/metrics") as answer:
            metrics = await answer.text()
    assert 'antiphon_worker_restarts_total{worker="tts"} 1.0' in metrics
    assert 'antiphon_fleet_refusals_total{reason="absent",stage="tts"}' in metrics


async def test_workers_that_run_elsewhere_serve_it(http: aiohttp.ClientSession) -> None:
    async with (
        hosting("asr", "scripted:") as asr,
        hosting("llm", "scripted:tokens=4") as llm,
        hosting("tts", "scripted:speed=20") as tts,
    ):
        named = [f"asr={asr.address}", f"llm={llm.address}", f"tts={tts.address}"]
        async with Server(config(workers=named)) as server, http.ws_connect(f"{server.url}/v1/realtime") as call:
            assert (await answered(call))["status"] == "completed"
            workers = server.engines.workers()
            assert [worker["name"] for worker in workers] == [asr.address, llm.address, tts.address]
            assert not any("pid" in worker for worker in workers)


async def test_a_stage_that_is_elsewhere_goes_with_workers_of_our_own(http: aiohttp.ClientSession) -> None:
    async with (
        hosting("tts", "scripted:speed=20") as tts,
        Server(config(workers=f"tts={tts.address}")) as server,
        http.ws_connect(f"{server.url}/v1/realtime") as call,
    ):
        assert (await answered(call))["status"] == "completed"
        assert [worker["name"] for worker in server.engines.workers()] == ["asr", "llm", tts.address]


async def test_a_list_of_addresses_is_asked_for_every_stage(http: aiohttp.ClientSession) -> None:
    async with (
        hosting("asr", "scripted:") as asr,
        hosting("llm", "scripted:") as llm,
        hosting("tts", "scripted:") as tts,
    ):
        addresses = [asr.address, llm.address, tts.address]
        async with Server(config(workers=addresses)) as server, http.ws_connect(f"{server.url}/v1/realtime") as call:
            assert (await answered(call))["status"] == "completed"


async def test_the_model_that_a_server_at_a_url_lists_first_is_named(http: aiohttp.ClientSession) -> None:
    chat = ChatServer()
    runner = await chat.start()
    try:
        async with Server(config(llm=chat.url)) as server, http.get(f"{server.url}/v1/models") as answer:
            assert server.suite.brain.name == "openai:small"
            assert server.suite.brain.description.startswith("small at ")
            assert (await answer.json())["data"][0]["id"] == "openai:small"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("in_process", [False, True])
async def test_several_language_models_are_offered_and_changed(http: aiohttp.ClientSession, in_process: bool) -> None:
    several = ["scripted:tokens=4", "scripted:tokens=7"]
    async with Server(config(llm=several, in_process=in_process)) as server:
        async with http.get(f"{server.url}/v1/models") as answer:
            listed = [model["id"] for model in (await answer.json())["data"] if model["stage"] == "llm"]
        assert listed == several
        async with http.ws_connect(f"{server.url}/v1/realtime?events=antiphon&model=gpt-realtime") as call:
            assert await brain_and_words(call) == (several[0], 4)
            async with http.post(f"{server.url}/v1/antiphon/models/load", json={"model": several[1]}) as loaded:
                states = {place["name"]: place["state"] for place in (await loaded.json())["data"]}
                assert states[several[1]] == "resident"
            await call.send_json({"type": "session.update", "session": {"antiphon": {"model": several[1]}}})
            assert await brain_and_words(call) == (several[1], 7)
        chosen = yarl.URL(f"{server.url}/v1/realtime").with_query(events="antiphon", model=several[1])
        async with http.ws_connect(chosen) as call:
            assert (await call.receive_json(timeout=LIMIT_S))["session"]["model"] == several[1]
            assert await brain_and_words(call) == (several[1], 7)


async def brain_and_words(call: aiohttp.ClientWebSocketResponse) -> tuple[str, int]:
    """Who answers a typed message, and in how many words."""
    await call.send_json({"type": "conversation.item.create", "item": HELLO})
    await call.send_json({"type": "response.create", "response": {"output_modalities": ["text"]}})
    brain = ""
    while (event := await call.receive_json(timeout=LIMIT_S))["type"] != "response.done":
        brain = event["model"] if event["type"] == "antiphon.brain" else brain
    return brain, len(event["response"]["output"][0]["content"][0]["text"].split())


async def test_swapping_language_models_changes_who_answers(http: aiohttp.ClientSession) -> None:
    one, two = "scripted:tokens=4", "scripted:tokens=7"
    async with (
        Server(config(llm=f"{one},{two}")) as server,
        http.ws_connect(f"{server.url}/v1/realtime?events=antiphon") as call,
    ):
        assert await brain_and_words(call) == (one, 4)
        async with http.post(f"{server.url}/v1/antiphon/models/swap", json={"from": one, "to": two}) as swapped:
            states = {place["name"]: place["state"] for place in (await swapped.json())["data"]}
        assert (states[one], states[two]) == ("absent", "resident")
        assert await brain_and_words(call) == (two, 7)


@pytest.mark.parametrize("in_process", [False, True])
async def test_another_language_model_that_cannot_be_loaded_keeps_nobody_from_talking(
    http: aiohttp.ClientSession, in_process: bool
) -> None:
    several = ["scripted:tokens=4", "http://127.0.0.1:9/v1#none"]
    async with (
        Server(config(llm=several, in_process=in_process)) as server,
        http.ws_connect(f"{server.url}/v1/realtime?events=antiphon&model=none") as call,
    ):
        assert await brain_and_words(call) == ("scripted:", 4)
        async with http.post(f"{server.url}/v1/antiphon/models/load", json={"model": "openai:none"}) as answer:
            assert answer.status in (409, 503)
            assert "127.0.0.1:9" in (await answer.json())["error"]["message"]


async def test_what_a_worker_cannot_use_is_told_as_if_it_ran_here() -> None:
    with pytest.raises(ConfigError, match="fail_on=x: give job numbers"):
        await Server(config(llm="scripted:fail_on=x")).__aenter__()


async def test_a_model_that_cannot_be_loaded_is_told() -> None:
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9"):
        await Server(config(llm="http://127.0.0.1:9/v1", model="none")).__aenter__()


async def test_a_stage_that_there_is_not_is_told() -> None:
    with pytest.raises(ConfigError, match="there is no stage 'stt'; there are asr, llm, tts"):
        await Server(config(workers="stt=localhost:7001")).__aenter__()


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": "worker"},
        {"workers": "tts=http://worker:7001"},
        {"registry": "ftp://worker"},
        {"registry": "worker"},
    ],
)
async def test_an_address_that_is_none_is_told_at_once(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"HOST:PORT or unix:///PATH"):
        await Server(config(**wrong)).__aenter__()


@pytest.mark.parametrize("key", ["sessions", "record"])
async def test_a_file_that_cannot_be_written_is_told_before_anything_is_loaded(key: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    loaded: list[str] = []
    with pytest.raises(ConfigError, match=rf"--{key} .*: (Not a directory|No such file)"):
        await Server(
            config(**{key: tmp_path / "file" / "kept"}), on_loaded=lambda engine, _: loaded.append(engine.name)
        ).__aenter__()
    assert not loaded
