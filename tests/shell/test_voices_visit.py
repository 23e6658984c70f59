"""Conversations that make themselves known to their workers, and are forgotten there on every path."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.shell.fleet_client import WAIT_S, Stage, heard, pieces, staged
from tests.shell.worker_client import hosting, worker_process

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.core.fleet import Request
from antiphon.core.speech import Voice
from antiphon.v1 import models_pb2
from antiphon.voices.brain import FleetBrain
from antiphon.voices.fleet import Fleet
from antiphon.voices.recognizer import FleetRecognizer
from antiphon.voices.registry import StaticRegistry
from antiphon.voices.synthesizer import FleetSynthesizer
from antiphon.voices.visit import Visit
from antiphon.worker.server import WorkerServer
from antiphon.worker.sessions import Sessions

ALPHA = Voice("scripted:alpha")


async def until(holds: Callable[[], bool]) -> None:
    """What is told in the background has no event of its own to wait for here."""
    async with asyncio.timeout(WAIT_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


def known(stage: Stage) -> list[int]:
    return [len(worker.host.sessions) for worker in stage.workers]


async def test_a_conversation_is_known_where_it_will_be_served_while_it_lasts(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", "scripted", "scripted") as stage:
        session = FleetSynthesizer(stage.fleet).of_session("the session")
        assert known(stage) == [0, 0]
        with session.attending("alpha"):
            home = session.address
            await until(lambda: sum(known(stage)) == 1)
            assert [chunk async for chunk in session.speak(pieces("one"), ALPHA)]
            assert session.address == home
            assert sum(known(stage)) == 1
        await until(lambda: known(stage) == [0, 0])


@pytest.mark.parametrize("engine", ["asr", "llm"])
async def test_so_it_is_where_it_is_heard_and_answered(tmp_path: Path, engine: str) -> None:
    async with staged(tmp_path, engine, "scripted") as stage:
        make = FleetRecognizer if engine == "asr" else FleetBrain
        with make(stage.fleet).of_session("the session").attending():
            await until(lambda: known(stage) == [1])
        await until(lambda: known(stage) == [0])


async def test_conversations_spread_over_the_workers(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", "scripted", "scripted") as stage:
        visits = [Visit(stage.fleet, f"s{number}") for number in range(6)]
        for visit in visits:
            visit.__enter__()
            visit.announce(Request("tts"))
        await until(lambda: known(stage) == [3, 3])
        for visit in visits:
            visit.__exit__(None, None, None)
        await until(lambda: known(stage) == [0, 0])


async def test_the_voice_that_is_chosen_is_loaded_and_kept_near_in_place_of_the_one_before(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", "scripted+espeak") as stage:
        session = FleetSynthesizer(stage.fleet).of_session("the session")
        with session.attending("espeak:en-US"):
            await until(lambda: _leases(stage.workers[0])["espeak"] == 1)
            await session.prepare(ALPHA)
            await until(lambda: _leases(stage.workers[0]) == {"scripted": 1, "espeak": 0})
        await until(lambda: _leases(stage.workers[0]) == {"scripted": 0, "espeak": 0})


def _leases(worker: WorkerServer) -> dict[str, int]:
    return {info.status.name: info.status.leases for info in worker.models.info()}


async def test_a_conversation_that_ends_while_its_model_still_loads_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(tmp_path, "tts", "scripted+pico") as stage:
        [worker] = stage.workers
        loader = worker.models._loader
        load, may_load = loader.load, asyncio.Event()

        async def slow(model: str) -> Any:
            await may_load.wait()
            return await load(model)

        monkeypatch.setattr(loader, "load", slow)
        with FleetSynthesizer(stage.fleet).of_session("the session").attending("pico:en-US"):
            await until(lambda: worker.models.waiting == 1)
        may_load.set()
        await until(lambda: "pico" in {name for name, count in _leases(worker).items() if not count})
        await until(lambda: not worker.models.waiting and known(stage) == [0])


async def test_a_worker_that_is_lost_takes_nothing_along(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", "scripted", "scripted") as stage:
        session = FleetSynthesizer(stage.fleet).of_session("the session")
        with session.attending("alpha"):
            await until(lambda: sum(known(stage)) == 1)
            at = next(number for number, wire in enumerate(stage.wires) if wire.address == session.address)
            stage.wires[at].cut()
            await stage.serving(1)
            assert heard([chunk async for chunk in session.speak(pieces("one two"), ALPHA)]) == "one two"
            await until(lambda: known(stage)[1 - at] == 1)
        await until(lambda: known(stage)[1 - at] == 0)
        # Of the end it could not hear. It forgets by itself, as after the death of a server.
        assert known(stage)[at] == 1


async def test_a_server_that_is_lost_is_forgotten_in_time(tmp_path: Path) -> None:
    async with hosting("tts", "scripted", listen=f"unix://{tmp_path}/worker.sock") as worker:
        worker.host.sessions = Sessions(lapse_s=1.0)
        fleet = Fleet("tts", StaticRegistry((worker.address,)))
        await fleet.start()
        stay = FleetSynthesizer(fleet).of_session("the session").attending("alpha")
        stay.__enter__()
        await until(lambda: len(worker.host.sessions) == 1)
        await fleet.close()  # without a word, as if it was killed
        await until(lambda: len(worker.host.sessions) == 0)
        assert _leases(worker)["scripted"] == 0


async def test_a_process_that_takes_the_place_of_another_is_told_too(tmp_path: Path) -> None:
    listen = f"unix://{tmp_path}/worker.sock"
    fleet = Fleet("tts", StaticRegistry((listen,)), poll_s=0.1)
    session = FleetSynthesizer(fleet).of_session("the session")
    try:
        async with worker_process("tts", "--models", "scripted", listen=listen) as first:
            await fleet.start()
            with session.attending("alpha"):
                await until(lambda: fleet.workers[0].sessions == 1)
                first.process.send_signal(signal.SIGKILL)
                await first.process.wait()
                async with worker_process("tts", "--models", "scripted", listen=listen):
                    await fleet.start()
                    assert heard([chunk async for chunk in session.speak(pieces("one"), ALPHA)]) == "one"
                    told = await fleet.connections[0].stub.StartSession(
                        models_pb2.StartSessionRequest(session="another, after what was told before")
                    )
                    listed = await fleet.connections[0].stub.ListModels(models_pb2.ListModelsRequest())
                    assert (told.model, listed.models[0].leases) == ("scripted", 2)
    finally:
        await fleet.close()


@pytest.mark.parametrize("ending", ["close", "abort", "mid-reply", "stop"])
async def test_each_conversation_of_a_server_is_forgotten_at_its_end(ending: str) -> None:
    async with (
        hosting("asr", "scripted") as asr,
        hosting("llm", "scripted:tokens=200") as llm,
        hosting("tts", "scripted") as tts,
    ):
        workers = (asr, llm, tts)
        settings = {"port": 0, "vad": "scripted", "workers": [f"{w.host.identity.stage}={w.address}" for w in workers]}
        server = Server(Config.model_validate(settings))
        await server.__aenter__()
        async with aiohttp.ClientSession() as http:
            call = await http.ws_connect(f"{server.url}/v1/realtime")
            await call.receive_json(timeout=WAIT_S)
            await until(lambda: [len(w.host.sessions) for w in workers] == [1, 1, 1])
            assert [worker["sessions"] for worker in server.engines.workers()] == [1, 1, 1]
            if ending == "mid-reply":
                await call.send_json({"type": "response.create"})
                while (await call.receive_json(timeout=WAIT_S))["type"] != "response.output_audio.delta":
                    pass
            if ending == "stop":
                await server.__aexit__(None, None, None)
            elif ending == "abort":
                assert call._response.connection is not None
                assert call._response.connection.transport is not None
                call._response.connection.transport.abort()
            else:
                await call.close()
            await until(lambda: [len(w.host.sessions) for w in workers] == [0, 0, 0])
            assert all(not count for worker in workers for count in _leases(worker).values())
            with suppress(aiohttp.ClientError):
                await call.close()
        if ending != "stop":
            await server.__aexit__(None, None, None)
