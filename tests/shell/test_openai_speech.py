"""The speech adapter against real servers on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken

from antiphon.core.speech import Voice
from antiphon.engines.openai_speech import OpenAISpeech
from antiphon.errors import EngineError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def tone(duration_s: float, rate_hz: int = 24_000, silence_s: float = 0.1) -> bytes:
    """A tone with silence before and after it."""
    silence = np.zeros(int(silence_s * rate_hz))
    wave = 8000 * np.sin(np.arange(int(duration_s * rate_hz)) * 2 * np.pi * 440 / rate_hz)
    return np.concatenate([silence, wave, silence]).astype("<i2").tobytes()


class SpeechServer:
    """Speaks a tone in pieces of odd lengths; notes the requests and whether the client hung up."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.voices: object = None
        self.rate_hz = 24_000
        self.headers: dict[str, str] = {}
        self.refuses: tuple[str, ...] = ()
        self.endless = False
        self.hung_up = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.answer: Answer | None = None
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/audio/speech", self._speak)
        app.router.add_get("/v1/audio/voices", self._list)
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    async def _list(self, _request: web.Request) -> web.Response:
        return web.Response(status=404) if self.voices is None else web.json_response(self.voices)

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "only-model"}]})

    async def _speak(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        self.keys.append(request.headers.get("Authorization"))
        if self.answer is not None:
            return await self.answer(request)
        for field in self.refuses:
            if field in body:
                return web.json_response({"error": {"message": f"Unknown parameter: '{field}'."}}, status=400)
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm", **self.headers})
        await response.prepare(request)
        sound = tone(0.4, self.rate_hz)
        try:
            for start in range(0, len(sound), 4001):
                await response.write(sound[start : start + 4001])
                await self.go_on.wait()
            while self.endless:
                await response.write(sound)
                await asyncio.sleep(0.01)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        return response


@pytest.fixture
async def server() -> AsyncIterator[SpeechServer]:
    speech = SpeechServer()
    runner = await speech.start()
    yield speech
    await runner.cleanup()


@pytest.fixture
async def engine(server: SpeechServer) -> AsyncIterator[OpenAISpeech]:
    adapter = OpenAISpeech(server.url, "tts", ("amy", "bob"), api_key="secret", silent_s=10)
    yield adapter
    await adapter.close()


async def test_each_piece_is_a_request_for_streamed_pcm(server: SpeechServer, engine: OpenAISpeech) -> None:
    chunks = await spoken(engine, "Good morning, ", "...", "friend.", voice="bob", speed=1.5)
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    common = {"model": "tts", "voice": "bob", "response_format": "pcm", "speed": 1.5}
    assert server.requests == [
        common | {"stream_format": "audio", "stream": True, "input": text} for text in ("Good morning, ", "friend.")
    ]
    assert server.keys == ["Bearer secret"] * 2


@pytest.mark.parametrize(
    ("rate_hz", "headers"),
    [(24_000, {}), (16_000, {"X-Sample-Rate": "16000"}), (44_100, {"Content-Type": "audio/pcm;rate=44100"})],
)
async def test_the_sound_comes_whole_without_the_silence_around_it(
    server: SpeechServer, engine: OpenAISpeech, rate_hz: int, headers: dict[str, str]
) -> None:
    server.rate_hz, server.headers = rate_hz, headers
    chunks = await spoken(engine, "Yes.")
    assert duration_s(chunks) == pytest.approx(0.4 + 0.2, abs=0.02)
    sound = sound_of(chunks)
    assert level(sound[: 48 * 380]) == pytest.approx(8000 / np.sqrt(2), rel=0.05)
    spectrum = np.abs(np.fft.rfft(sound[: 48 * 380].astype(float)))
    assert spectrum.argmax() * 48_000 / (48 * 380) == pytest.approx(440, abs=5)
    assert level(sound[48 * 430 :]) < 100


async def test_the_rate_can_be_told(server: SpeechServer) -> None:
    server.rate_hz = 16_000
    engine = OpenAISpeech(server.url, "tts", rate_hz=16_000)
    assert duration_s(await spoken(engine, "Yes.")) == pytest.approx(0.6, abs=0.02)
    await engine.close()


async def test_the_first_audio_comes_before_the_last_is_made(server: SpeechServer, engine: OpenAISpeech) -> None:
    server.endless = True
    async with aclosing(engine.speak(pieces("Yes."), Voice("amy"))) as chunks:
        assert (await anext(chunks)).pcm
    await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_cancelling_the_reader_before_the_first_byte_closes_the_connection(
    server: SpeechServer, engine: OpenAISpeech
) -> None:
    asked = asyncio.Event()

    async def think(_request: web.Request) -> web.StreamResponse:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            server.hung_up.set()
            raise
        raise AssertionError

    server.answer = think
    task = asyncio.create_task(spoken(engine, "Yes."))
    await asyncio.wait_for(asked.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_a_server_that_is_silent_is_given_up(server: SpeechServer) -> None:
    server.go_on.clear()
    engine = OpenAISpeech(server.url, "tts", silent_s=0.2)
    with pytest.raises(EngineError, match=r"silent for 0\.2 s") as caught:
        await spoken(engine, "Yes.")
    assert caught.value.retryable
    server.go_on.set()
    await engine.close()


async def test_a_slow_first_byte_is_waited_for(server: SpeechServer, engine: OpenAISpeech) -> None:
    server.go_on.clear()
    task = asyncio.create_task(spoken(engine, "Yes."))
    done, _ = await asyncio.wait([task], timeout=0.3)
    assert not done
    server.go_on.set()
    assert duration_s(await task) == pytest.approx(0.6, abs=0.02)


async def test_a_field_that_is_refused_is_not_sent_again(server: SpeechServer, engine: OpenAISpeech) -> None:
    server.refuses = ("stream", "stream_format", "speed")
    assert duration_s(await spoken(engine, "Yes.", "No.", speed=1.2)) > 1
    optional = [sorted({"stream", "stream_format", "speed"} & set(sent)) for sent in server.requests]
    assert optional == [["speed", "stream", "stream_format"], ["speed", "stream_format"], ["speed"], [], []]


@pytest.mark.parametrize(
    ("status", "words", "retryable"),
    [
        (400, "refused the request: .*no", False),
        (401, "OPENAI_API_KEY", False),
        (404, "no such model", False),
        (429, "try again later", True),
        (503, "server's own log", True),
    ],
)
async def test_refusals_say_what_to_do(
    server: SpeechServer, engine: OpenAISpeech, status: int, words: str, retryable: bool
) -> None:
    async def refuse(_request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": {"message": "no"}}, status=status, headers={"Retry-After": "7"})

    server.answer = refuse
    with pytest.raises(EngineError, match=words) as caught:
        await spoken(engine, "Yes.")
    assert caught.value.retryable is retryable
    assert caught.value.retry_after_s == (7.0 if status == 429 else None)
    assert server.url in str(caught.value)


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("text/html", b"<html>welcome</html>", "speech server"),
        ("application/json", b'{"audio": ""}', "speech server"),
        ("audio/wav", b"RIFF....WAVEfmt ", "speech server"),
        ("text/event-stream", b'data: {"type": "speech.audio.done"}\n\n', "without any audio"),
        ("text/event-stream", b'data: {"error": {"message": "no memory"}}\n\n', "broke off: no memory"),
        ("text/event-stream", b"data: {what?\n\n", "cannot be read"),
        ("audio/pcm", b"", "without any audio"),
    ],
)
async def test_what_is_no_pcm_is_not_played(
    server: SpeechServer, engine: OpenAISpeech, content_type: str, body: bytes, words: str
) -> None:
    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers={"Content-Type": content_type})

    server.answer = answer
    with pytest.raises(EngineError, match=words):
        await spoken(engine, "Yes.")


@pytest.mark.parametrize(
    "event",
    [
        {"type": "speech.audio.delta", "audio": "PCM"},
        {"object": "audio.speech.chunk", "audio": {"data": "PCM", "format": "pcm"}, "finish_reason": None},
    ],
    ids=["OpenAI", "SGLang-Omni"],
)
async def test_events_that_carry_the_audio_are_understood(
    server: SpeechServer, engine: OpenAISpeech, event: dict[str, Any]
) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        sound = tone(0.4)
        for start in range(0, len(sound), 4001):
            encoded = base64.b64encode(sound[start : start + 4001]).decode()
            line = f"data: {json.dumps(event)}\r\n\r\n".replace("PCM", encoded).encode()
            for cut in (line[:50], line[50:]):
                await response.write(cut)
        await response.write(b"data: [DONE]\n\n")
        return response

    server.answer = answer
    assert duration_s(await spoken(engine, "Yes.")) == pytest.approx(0.6, abs=0.02)


async def test_a_broken_connection_is_an_engine_error(server: SpeechServer, engine: OpenAISpeech) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "audio/pcm"})
        await response.prepare(request)
        await response.write(tone(0.2))
        assert request.transport is not None
        request.transport.close()
        return response

    server.answer = hang_up
    with pytest.raises(EngineError, match="hung up") as caught:
        await spoken(engine, "Yes.")
    assert caught.value.retryable


async def test_nobody_listens() -> None:
    engine = OpenAISpeech("http://127.0.0.1:9/v1", "tts")
    for attempt in (engine.load(), spoken(engine, "Yes.")):
        with pytest.raises(EngineError, match="start the server"):
            await attempt
    await engine.close()
    await engine.close()


@pytest.mark.parametrize(
    ("listed", "voices"),
    [
        (None, ["default"]),
        ({"voices": ["vivian", "ryan"]}, ["vivian", "ryan"]),
        ({"data": [{"id": "v1", "name": "Vivian"}]}, ["v1"]),
        ([{"voice_id": "x"}, 3], ["x"]),
        ("what?", ["default"]),
    ],
)
async def test_voices_and_model_are_looked_up(server: SpeechServer, listed: object, voices: list[str]) -> None:
    server.voices = listed
    engine = OpenAISpeech(server.url, language="de-DE")
    await engine.load()
    assert engine.name == "openai:only-model"
    assert [(voice.name, voice.language) for voice in engine.voices] == [(name, "de-DE") for name in voices]
    assert engine.capabilities.languages == ("de-DE",)
    await spoken(engine, "Ja.", voice="marin")
    assert server.requests[0]["model"] == "only-model"
    await engine.close()
