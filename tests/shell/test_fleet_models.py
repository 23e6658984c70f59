"""The models of a server over workers: listed, unloaded, loaded and swapped from outside."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.core.speech import Voice
from antiphon.engines.optional import prepare_voice


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    engines = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=4", "tts": "pico:en-US,espeak:en-GB"}
    async with Server(Config.model_validate({"port": 0, **engines})) as running:
        yield running


async def states(server: Server) -> dict[str, str]:
    async with aiohttp.ClientSession() as http, http.get(f"{server.url}/v1/antiphon/models") as answer:
        listed: dict[str, Any] = await answer.json()
    return {model["name"]: model["state"] for model in listed["data"]}


async def change(server: Server, verb: str, **body: str) -> int:
    async with (
        aiohttp.ClientSession() as http,
        http.post(f"{server.url}/v1/antiphon/models/{verb}", json=body) as answer,
    ):
        return answer.status


async def test_models_of_workers_are_unloaded_loaded_and_swapped(server: Server) -> None:
    resident = await states(server)
    pico, espeak = (next(name for name in resident if name.startswith(engine)) for engine in ("pico", "espeak"))
    assert resident[pico] == resident[espeak] == "resident"
    assert await change(server, "unload", model=pico) == 200
    assert (await states(server))[pico] == "absent"
    assert await change(server, "swap", **{"from": espeak, "to": "pico"}) == 200
    swapped = await states(server)
    assert (swapped[pico], swapped[espeak]) == ("resident", "absent")


async def test_a_model_that_no_worker_has_is_refused(server: Server) -> None:
    before = await states(server)
    assert await change(server, "load", model="nobody") == 404
    assert await states(server) == before


async def test_a_voice_is_loaded_before_it_is_needed(server: Server) -> None:
    resident = await states(server)
    espeak = next(name for name in resident if name.startswith("espeak"))
    assert await change(server, "unload", model=espeak) == 200
    voices = server.engines.of_session("a conversation").synthesizer
    await prepare_voice(voices, Voice("espeak:en-GB"))
    assert (await states(server))[espeak] == "resident"
