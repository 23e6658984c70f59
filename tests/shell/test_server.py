"""The server as a library."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from antiphon.apps.config import Config
from antiphon.apps.config_session import SessionDefaults
from antiphon.apps.server import Server
from antiphon.engines.base import Engine
from antiphon.engines.scripted import ScriptedBrain
from antiphon.errors import ConfigError, EngineError


def config(**settings: object) -> Config:
    scripted = {"vad": "scripted", "asr": "scripted", "llm": "scripted", "tts": "scripted"}
    return Config.model_validate({"port": 0, "in_process": True, **scripted, **settings})


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_its_addresses(http: aiohttp.ClientSession) -> None:
    async with Server(config()) as server:
        async with http.get(f"{server.url}/health") as answer:
            health = await answer.json()
        async with http.get(f"{server.url}/readiness") as answer:
            assert answer.status == 200
        async with http.get(f"{server.url}/metrics") as answer:
            metrics = await answer.text()
        async with http.get(f"{server.url}/v1/models") as answer:
            models = await answer.json()
    assert health["service"] == "antiphon"
    assert health["status"] == "ok"
    assert set(health["engines"]) == {"vad", "asr", "llm", "tts"}
    assert "antiphon_sessions_active 0.0" in metrics
    assert models["data"][0]["id"] == server.suite.brain.name


async def test_sessions_are_counted_and_capped(http: aiohttp.ClientSession) -> None:
    async with Server(config(max_sessions=1)) as server:
        async with http.ws_connect(f"{server.url}/v1/realtime"):
            async with http.get(f"{server.url}/metrics") as answer:
                assert "antiphon_sessions_active 1.0" in await answer.text()
            async with http.get(f"{server.url}/readiness") as answer:
                assert answer.status == 503
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{server.url}/v1/realtime")
        async with http.get(f"{server.url}/metrics") as answer:
            text = await answer.text()
    assert refused.value.status == 503
    assert "antiphon_sessions_total 1.0" in text
    assert 'antiphon_sessions_refused_total{reason="full"} 1.0' in text


async def test_a_key_is_asked_for_where_there_is_one(http: aiohttp.ClientSession) -> None:
    async with Server(config(api_key=["secret"])) as server:
        async with http.get(f"{server.url}/v1/models") as answer:
            assert answer.status == 401
        async with http.get(f"{server.url}/v1/models", headers={"Authorization": "Bearer secret"}) as answer:
            assert answer.status == 200


async def test_a_session_begins_as_configured(http: aiohttp.ClientSession) -> None:
    defaults = {
        "instructions": "Be brief.",
        "turn_detection": {"silence_duration_ms": 700},
    }
    async with Server(config(session=defaults)) as server, http.ws_connect(f"{server.url}/v1/realtime") as call:
        session = (await call.receive_json())["session"]
    assert session["instructions"] == "Be brief."
    assert session["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 700


async def test_the_voice_of_the_configuration_comes_first(http: aiohttp.ClientSession) -> None:
    async with Server(config()) as server:
        voices = [voice.name for voice in server.suite.synthesizer.voices]
    async with (
        Server(config(session={"voice": voices[-1]})) as server,
        http.ws_connect(f"{server.url}/v1/realtime") as call,
    ):
        session = (await call.receive_json())["session"]
    assert session["audio"]["output"]["voice"] == voices[-1]


async def voice_of(http: aiohttp.ClientSession, server: Server, asked: str) -> str:
    """The voice that a client is told it has when it asks for ``asked``."""
    patch = {"type": "realtime", "audio": {"output": {"voice": asked}}}
    async with http.ws_connect(f"{server.url}/v1/realtime") as call:
        await call.send_json({"type": "session.update", "session": patch})
        while (event := await call.receive_json(timeout=30))["type"] != "session.updated":
            pass
    voice: str = event["session"]["audio"]["output"]["voice"]
    return voice


async def test_names_that_mean_a_voice_here_are_understood(http: aiohttp.ClientSession) -> None:
    async with Server(config(tts="pico")) as server:
        assert await voice_of(http, server, "de") == "pico:de-DE"
        assert await voice_of(http, server, "marin") == "pico:en-US"
        assert await voice_of(http, server, "nobody") == "pico:en-US"


async def test_a_configured_voice_stands_for_all_that_are_not_there(http: aiohttp.ClientSession) -> None:
    async with Server(config(tts="pico", session={"voice": "de"})) as server:
        assert await voice_of(http, server, "marin") == "pico:de-DE"
        assert await voice_of(http, server, "pico:en-GB") == "pico:en-GB"


async def test_a_voice_that_is_not_there_names_those_that_are() -> None:
    server = Server(config(session=SessionDefaults(voice="nobody")))
    with pytest.raises(ConfigError, match="'nobody'; there are ") as refused:
        await server.__aenter__()
    assert all(voice.name in str(refused.value) for voice in server.suite.synthesizer.voices)


async def test_an_engine_that_cannot_be_loaded_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    async def load(self: ScriptedBrain) -> None:
        raise EngineError("the model is not there: fetch it")

    async def close(self: ScriptedBrain) -> None:
        closed.append(self.name)

    monkeypatch.setattr(ScriptedBrain, "load", load)
    monkeypatch.setattr(ScriptedBrain, "close", close)
    server = Server(config())
    with pytest.raises(EngineError, match="fetch it"):
        await server.__aenter__()
    assert len(closed) == 1


async def test_each_engine_is_told_as_it_is_loaded() -> None:
    loaded: list[Engine] = []
    async with Server(config(), on_loaded=lambda engine, took_s: loaded.append(engine)) as server:
        assert {id(engine) for engine in loaded} == {id(engine) for engine in server.suite}


async def test_two_servers_on_one_port(http: aiohttp.ClientSession) -> None:
    async with Server(config()) as server:
        port = int(server.url.rsplit(":", 1)[1])
        with pytest.raises(ConfigError, match="--port"):
            await Server(config(port=port)).__aenter__()
        async with http.get(f"{server.url}/health") as answer:
            assert answer.status == 200


async def test_it_is_not_there_before_and_after(http: aiohttp.ClientSession) -> None:
    server = Server(config())
    with pytest.raises(RuntimeError):
        _ = server.url
    async with server:
        url = server.url
    with pytest.raises(aiohttp.ClientConnectionError):
        await http.get(f"{url}/health")
