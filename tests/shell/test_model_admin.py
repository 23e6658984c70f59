"""What a server has in memory, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from antiphon.apps.config import Config
from antiphon.apps.local_models import LocalModels
from antiphon.apps.models import command, server
from antiphon.apps.server import Server
from antiphon.core.speech import Voice
from antiphon.engines.optional import prepare_voice
from antiphon.engines.suite import Suite
from antiphon.engines.voices import MultiSynthesizer
from antiphon.errors import ConfigError, EngineError
from antiphon.sim.caller import scripted_suite
from antiphon.transport.http import make_app
from antiphon.transport.model_admin import ModelAdmin, ModelPlace, ModelRoutes, Residence

SCRIPTED = {"port": 0, "vad": "scripted", "asr": "scripted", "llm": "scripted"}
KEY = {"Authorization": "Bearer sk-secret"}


class Shelf:
    """A ModelAdmin with two models at one worker."""

    def __init__(self) -> None:
        self.states: dict[str, Residence] = {"piper:amy": "resident", "kokoro:v1.0": "absent"}
        self.done: list[str] = []
        self.error: EngineError | None = None

    async def places(self) -> Sequence[ModelPlace]:
        return [ModelPlace(name, "tts", "unix:///w1", state, 2, True) for name, state in self.states.items()]

    async def load(self, model: str) -> None:
        await self._set("load", model, "resident")

    async def unload(self, model: str) -> None:
        await self._set("unload", model, "absent")

    async def swap(self, old: str, new: str) -> None:
        await self.load(new)
        await self.unload(old)

    async def reload(self, model: str | None) -> None:
        if self.error is not None:
            raise self.error
        self.done.append(f"reload {model}")

    async def _set(self, verb: str, model: str, state: Residence) -> None:
        if self.error is not None:
            raise self.error
        if model not in self.states:
            raise ConfigError(f"nobody has {model}")
        self.done.append(f"{verb} {model}")
        self.states[model] = state


def no_session(*_: Any) -> Any:
    raise AssertionError("nobody asks for a conversation here")


@asynccontextmanager
async def serving(admin: ModelAdmin) -> AsyncIterator[str]:
    app = make_app(no_session, api_keys=["sk-secret"], more_routes=ModelRoutes(admin).routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_the_models_of_a_server_are_listed() -> None:
    async with serving(Shelf()) as url:
        listed = await server.places(url, "sk-secret")
    assert listed[0] == {
        "name": "piper:amy",
        "stage": "tts",
        "where": "unix:///w1",
        "state": "resident",
        "in_use": 2,
        "can_unload": True,
        "reason": "",
    }


async def test_models_are_loaded_unloaded_and_swapped() -> None:
    shelf = Shelf()
    async with serving(shelf) as url:
        told = await server.change(url, "sk-secret", "load", {"model": "kokoro:v1.0"})
        assert {place["name"]: place["state"] for place in told} == {
            "piper:amy": "resident",
            "kokoro:v1.0": "resident",
        }
        await server.change(url, "sk-secret", "unload", {"model": "piper:amy"})
        await server.change(url, "sk-secret", "swap", {"from": "kokoro:v1.0", "to": "piper:amy"})
    assert shelf.done == ["load kokoro:v1.0", "unload piper:amy", "load piper:amy", "unload kokoro:v1.0"]


@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [
        (None, 404, "model_not_found", None),
        (EngineError("it stays"), 409, "model_stays_as_it_is", None),
        (EngineError("no room", retryable=True, retry_after_s=7.2), 503, "models_busy", "8"),
        (EngineError("no room", retryable=True), 503, "models_busy", "1"),
    ],
)
async def test_a_change_that_cannot_be_is_refused(
    error: EngineError | None, status: int, code: str, retry_after: str | None
) -> None:
    shelf = Shelf()
    shelf.error = error
    async with (
        serving(shelf) as url,
        aiohttp.ClientSession(url, headers=KEY) as http,
        http.post("/v1/antiphon/models/unload", json={"model": "x:y"}) as answer,
    ):
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == code
        assert answer.headers.get("Retry-After") == retry_after
    assert not shelf.done


@pytest.mark.parametrize(
    ("verb", "body"), [("load", b"{"), ("load", b"{}"), ("swap", b'{"from": "a"}'), ("load", b"[]")]
)
async def test_nonsense_changes_nothing(verb: str, body: bytes) -> None:
    shelf = Shelf()
    async with (
        serving(shelf) as url,
        aiohttp.ClientSession(url, headers=KEY) as http,
        http.post(f"/v1/antiphon/models/{verb}", data=body) as answer,
    ):
        assert answer.status == 400
    assert not shelf.done


async def test_a_key_is_asked_for() -> None:
    shelf = Shelf()
    async with serving(shelf) as url:
        with pytest.raises(server.ServerError, match="API key") as refused:
            await server.change(url, None, "load", {"model": "kokoro:v1.0"})
    assert refused.value.reached
    assert not shelf.done


# The server's own process.


async def test_a_server_with_engines_of_its_own_tells_them_and_keeps_them() -> None:
    config = Config.model_validate(SCRIPTED | {"tts": "espeak", "in_process": True})
    async with Server(config) as running:
        listed = await server.places(running.url, None)
        assert [(place["stage"], place["state"], place["where"]) for place in listed] == [
            ("vad", "resident", "here"),
            ("asr", "resident", "here"),
            ("llm", "resident", "here"),
            ("tts", "resident", "here"),
        ]
        assert not any(place["can_unload"] for place in listed)
        await server.change(running.url, None, "load", {"model": "espeak"})
        with pytest.raises(server.ServerError, match="while it runs"):
            await server.change(running.url, None, "unload", {"model": "espeak"})
        with pytest.raises(server.ServerError, match="not among the engines"):
            await server.change(running.url, None, "swap", {"from": "espeak", "to": "kokoro:v1.0"})


async def test_each_engine_of_several_is_told() -> None:
    suite = scripted_suite()
    several = Suite(suite.vad, suite.recognizer, suite.brain, MultiSynthesizer([suite.synthesizer, suite.synthesizer]))
    assert [place.stage for place in await LocalModels(several).places()] == ["vad", "asr", "llm", "tts", "tts"]


# Workers.


async def test_a_server_has_its_workers_load_and_unload() -> None:
    def in_memory(told: list[dict[str, Any]]) -> dict[str, str]:
        return {place["name"]: place["state"] for place in told if place["stage"] == "tts"}

    async with Server(Config.model_validate(SCRIPTED | {"tts": "pico,espeak"})) as running:
        listed = await server.places(running.url, None)
        assert [place["where"] == "here" for place in listed] == [place["stage"] == "vad" for place in listed]
        assert all(place["can_unload"] for place in listed if place["stage"] == "tts")
        told = await server.change(running.url, None, "load", {"model": "espeak"})
        assert in_memory(told)["espeak"] == "resident"
        told = await server.change(running.url, None, "unload", {"model": "pico"})
        assert in_memory(told) == {"pico": "absent", "espeak": "resident"}
        told = await server.change(running.url, None, "swap", {"from": "espeak", "to": "pico"})
        assert in_memory(told) == {"pico": "resident", "espeak": "absent"}
        await prepare_voice(running.suite.synthesizer, Voice("espeak:en-GB"))
        assert in_memory(await server.places(running.url, None)) == {"pico": "resident", "espeak": "resident"}
        for verb, body in (("load", {"model": "nope"}), ("swap", {"from": "nope", "to": "pico"})):
            with pytest.raises(server.ServerError, match="no worker of this server has 'nope'"):
                await server.change(running.url, None, verb, body)


# The command.


async def test_the_list_shows_what_is_in_memory_where(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Shelf()) as url:
        assert await command.list_models(url, "sk-secret") == 0
    shown = capsys.readouterr().out
    assert "piper:en_US-amy-medium" in shown
    assert "unix:///w1" in shown
    assert "resident" in shown


async def test_the_list_needs_no_server(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "DEFAULT_URL", "http://127.0.0.1:9")
    assert await command.list_models(None, None) == 0
    assert "no server runs at http://127.0.0.1:9" in capsys.readouterr().out
    with pytest.raises(server.ServerError, match="no server answers"):
        await command.list_models("http://127.0.0.1:9", None)


async def test_a_change_shows_what_came_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    async with serving(Shelf()) as url:
        assert await command.change("swap", {"from": "piper:amy", "to": "kokoro:v1.0"}, url, "sk-secret") == 0
    shown = capsys.readouterr().out
    assert "absent" in shown
    assert "kokoro:v1.0" in shown
