"""A voice's model is unloaded while it speaks: another voice goes on, and nobody brings the model back unasked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.shell.fleet_client import WAIT_S, Stage, heard, pieces, staged

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.residency_events import ModelState
from antiphon.core.speech import AudioChunk, Voice
from antiphon.v1 import models_pb2
from antiphon.voices.synthesizer import FleetSynthesizer

SLOW = "scripted:first_audio_ms=10,speed=2"
ALPHA = "scripted:alpha"
TEXT = "one two three four five six seven eight nine ten."


async def unload(stage: Stage, model: str, *, force: bool = True) -> None:
    request = models_pb2.UnloadModelRequest(model=model, force=force)
    await asyncio.gather(*(each.stub.UnloadModel(request) for each in stage.fleet.connections))


async def spoken_while(synthesizer: Any, text: str, then: Callable[[], Any]) -> list[AudioChunk]:
    """``then`` is done when a second was said."""
    got: list[AudioChunk] = []
    done = False
    async with asyncio.timeout(WAIT_S), aclosing(synthesizer.speak(pieces(text), Voice(ALPHA))) as chunks:
        async for chunk in chunks:
            got.append(chunk)
            if not done and sum(len(chunk.pcm) for chunk in got) >= 2 * MOUTH_RATE_HZ:
                done = True
                await then()
    return got


def words_of(chunks: list[AudioChunk], text: str) -> list[str]:
    """By their times, as a client is told them."""
    words = [word for chunk in chunks for word in chunk.words]
    assert words == sorted(words, key=lambda word: word.start_sample)
    return [text[word.start_char : word.end_char] for word in words]


def states(stage: Stage, model: str) -> list[ModelState]:
    listed = [info.status for worker in stage.workers for info in worker.models.info()]
    return [status.state for status in listed if status.name == model]


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_model_that_is_unloaded_everywhere_in_mid_reply_is_not_brought_back(
    tmp_path: Path, workers: int
) -> None:
    async with staged(tmp_path, "tts", *[f"{SLOW}+espeak"] * workers, preload=(SLOW, "espeak")) as stage:
        got = await spoken_while(FleetSynthesizer(stage.fleet), TEXT, lambda: unload(stage, SLOW))
        assert got[-1].last
        assert TEXT.startswith(heard(got[:50]).strip()), "it begins in the old voice"
        assert heard(got[:50])
        assert [word.strip(".") for word in words_of(got, TEXT)] == TEXT.strip(".").split()
        assert states(stage, SLOW) == [ModelState.ABSENT] * workers
        assert not any(handover.exact for handover in stage.notes.handovers)
        assert stage.notes.handovers


async def test_where_there_is_no_other_voice_it_comes_back(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW) as stage:
        got = await spoken_while(FleetSynthesizer(stage.fleet), TEXT, lambda: unload(stage, SLOW))
        assert heard(got) == TEXT
        assert states(stage, SLOW) == [ModelState.RESIDENT]


async def test_the_voice_that_goes_is_the_last_on_offer_until_it_is_asked_for(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", "scripted+espeak", preload=("scripted", "espeak")) as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        assert synthesizer.voices[0].name == ALPHA
        await unload(stage, "scripted")
        await stage.fleet.connections[0].ask()
        assert synthesizer.voices[0].name.startswith("espeak")
        assert synthesizer.successor(ALPHA) is not None
        with synthesizer.of_session("the session").attending(ALPHA):
            async with asyncio.timeout(WAIT_S):
                while stage.fleet.workers[0].resident != {"scripted", "espeak"}:
                    await stage.fleet.changed()
        assert synthesizer.voices[0].name == ALPHA
        assert synthesizer.successor(ALPHA) is None


async def test_the_successor_is_of_the_model_that_was_appointed_then_of_the_language(tmp_path: Path) -> None:
    async with staged(
        tmp_path, "tts", "scripted+espeak+pico", preload=("scripted", "espeak", "pico"), poll_s=0.1
    ) as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        leaving = frozenset({"scripted"})
        assert synthesizer.succession.successor(ALPHA) is None
        assert synthesizer.succession.successor(ALPHA, leaving) == "espeak:en-GB"
        synthesizer.succession.appoint("scripted", "pico")
        assert synthesizer.succession.successor(ALPHA, leaving) == "pico:en-US"
        await unload(stage, "scripted")
        await stage.fleet.connections[0].ask()
        choices = synthesizer.choices(ALPHA)
        assert [offer.info.name for offer in choices.wanted] == [ALPHA, "pico:en-US"]
        assert choices.alike[0].models == ("pico",)
        got = [chunk async for chunk in synthesizer.speak(pieces("one"), Voice(ALPHA))]
        assert got[-1].last
        assert states(stage, "scripted") == [ModelState.ABSENT], "its successor speaks"


@pytest.fixture
def config() -> Config:
    engines = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=4", "tts": "pico:en-US,espeak:en-GB"}
    return Config.model_validate({"port": 0, **engines})


async def event(call: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    while (told := await call.receive_json(timeout=WAIT_S))["type"] != kind:
        pass
    return dict(told)


def voice_of(told: dict[str, Any]) -> str:
    return str(told["session"]["audio"]["output"]["voice"])


async def test_conversations_are_told_and_the_next_ones_begin_with_the_voice_that_is_there(config: Config) -> None:
    async with Server(config) as server, aiohttp.ClientSession() as http:
        admin, talk = f"{server.url}/v1/antiphon/models", f"{server.url}/v1/realtime"
        async with http.ws_connect(talk) as call:
            assert voice_of(await event(call, "session.created")) == "pico:en-US"
            async with http.post(f"{admin}/swap", json={"from": "pico", "to": "espeak"}) as answer:
                assert answer.status == 200
            assert voice_of(await event(call, "session.updated")) == "espeak:en-GB"
            await call.send_json({"type": "response.create"})
            done = await event(call, "response.done")
            assert done["response"]["status"] == "completed"
            assert done["response"]["audio"]["output"]["voice"] == "espeak:en-GB"
            async with http.get(admin) as answer:
                models = {model["name"]: model["state"] for model in (await answer.json())["data"]}
            assert (models["pico:en-US"], models["espeak:en-GB"]) == ("absent", "resident")
            assert server.suite.synthesizer.name == "espeak:en-GB"
            async with http.ws_connect(talk) as another:
                assert voice_of(await event(another, "session.created")) == "espeak:en-GB"
            chosen = {"type": "realtime", "audio": {"output": {"voice": "pico:en-US"}}}
            await call.send_json({"type": "session.update", "session": chosen})
            assert voice_of(await event(call, "session.updated")) == "pico:en-US"
            await call.send_json({"type": "response.create"})
            done = await event(call, "response.done")
            assert done["response"]["audio"]["output"]["voice"] == "pico:en-US"


async def test_conversations_are_told_of_what_others_unload_at_the_worker(config: Config) -> None:
    async with (
        Server(config) as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}/v1/realtime") as call,
    ):
        fleet = server.suite.synthesizer.fleet  # type: ignore[attr-defined]
        worker = fleet.connections[0].stub
        async with asyncio.timeout(WAIT_S):
            while True:  # until the conversation is known there: after an unload that would ask for the model again
                listed = await worker.ListModels(models_pb2.ListModelsRequest())
                if any(model.leases for model in listed.models):
                    break
                await asyncio.sleep(0.01)
        await worker.UnloadModel(models_pb2.UnloadModelRequest(model="pico:en-US", force=True))
        assert voice_of(await event(call, "session.updated")) == "espeak:en-US"
