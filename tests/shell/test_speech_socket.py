"""The adapter to vLLM-Omni's WebSocket for speech, against a server on loopback that keeps to its protocol."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from tests.spoken_sound import duration_s, pieces, spoken, words_of

from antiphon.core.speech import Voice
from antiphon.engines.catalog import make_one_synthesizer
from antiphon.engines.speech_socket import SpeechSocket
from antiphon.errors import EngineError


def tone(duration_s: float, rate_hz: int) -> bytes:
    silence = np.zeros(rate_hz // 10)
    wave = 8000 * np.sin(np.arange(int(duration_s * rate_hz)) * 2 * np.pi * 440 / rate_hz)
    return np.concatenate([silence, wave, silence]).astype("<i2").tobytes()


class Server:
    """Speaks a tone of 0.4 s for each utterance, in bits of odd lengths; notes what it was sent."""

    def __init__(self) -> None:
        self.connections = 0
        self.configs: list[dict[str, Any]] = []
        self.texts: list[str] = []
        self.rate_hz = 24_000
        self.one_utterance = False
        self.refuses: tuple[str, ...] = ()
        self.aligner = False
        self.endless = False
        self.silent = False
        self.hang_up_after_bytes: int | None = None
        self.left = asyncio.Event()
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/v1/audio/speech/stream", self._serve)
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/audio/voices", self._voices)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "qwen3-tts"}]})

    async def _voices(self, _request: web.Request) -> web.Response:
        return web.json_response({"voices": ["vivian", "ryan"]})

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connections += 1
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    break
                said = json.loads(message.data)
                if said["type"] == "session.config":
                    self.configs.append(said)
                elif said["type"] == "input.text":
                    self.texts.append(said["text"])
                elif said["type"] == "input.done":
                    await self._speak(socket)
                    if self.one_utterance:
                        break
        finally:
            self.left.set()
        return socket

    async def _speak(self, socket: web.WebSocketResponse) -> None:
        config, text = self.configs[-1], self.texts[-1]
        refused = [field for field in self.refuses if field in config]
        if refused:
            await socket.send_json({"type": "error", "message": f"{refused[0]}={config[refused[0]]} is not supported"})
            await socket.send_json({"type": "session.done", "total_sentences": 0})
            return
        if self.silent:
            await asyncio.Event().wait()
        start = {"type": "audio.start", "sentence_index": 0, "sentence_text": text, "format": "pcm"}
        await socket.send_json(start | {"sample_rate": self.rate_hz, "channels": 1})
        sound = tone(0.4, self.rate_hz)
        aligned = self.aligner and config.get("word_timestamps")
        for place in range(0, len(sound), 3001):
            if self.hang_up_after_bytes is not None and place >= self.hang_up_after_bytes:
                await socket.close()
                return
            part = sound[place : place + 3001]
            if aligned:
                await socket.send_json({"type": "audio.chunk", "audio_b64": base64.b64encode(part).decode()})
            else:
                await socket.send_bytes(part)
        while self.endless:
            await socket.send_bytes(sound)
            await asyncio.sleep(0.01)
        if aligned:
            words = text.strip(".").split()
            times = [
                {
                    "word": word,
                    "start_ms": 100 + 400 * place / len(words),
                    "end_ms": 100 + 400 * (place + 1) / len(words),
                }
                for place, word in enumerate(words)
            ]
            await socket.send_json({"type": "audio.chunk", "audio_b64": "", "timestamps": times})
        await socket.send_json({"type": "audio.done", "sentence_index": 0, "error": False})
        await socket.send_json({"type": "session.done", "total_sentences": 1})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    speech = Server()
    runner = await speech.start()
    yield speech
    await runner.cleanup()


@pytest.fixture
async def engine(server: Server) -> AsyncIterator[SpeechSocket]:
    adapter = SpeechSocket(server.url, silent_s=10)
    await adapter.load()
    yield adapter
    await adapter.close()


async def test_all_pieces_go_over_one_connection(server: Server, engine: SpeechSocket) -> None:
    assert (engine.name, [voice.name for voice in engine.voices]) == ("openai:qwen3-tts", ["vivian", "ryan"])
    for _ in range(2):
        chunks = await spoken(engine, "Good morning, ", "...", "friend.", voice="ryan")
        assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
        assert duration_s(chunks) == pytest.approx(0.4 + 0.12 + 0.4 + 0.2, abs=0.03)
    assert server.connections == 1
    assert server.texts == ["Good morning, ", "friend."] * 2
    asked = {"model": "qwen3-tts", "voice": "ryan", "response_format": "pcm", "stream_audio": True}
    assert server.configs == [{"type": "session.config"} | asked] * 4


async def test_a_server_that_hangs_up_after_each_utterance_is_called_anew(server: Server, engine: SpeechSocket) -> None:
    server.one_utterance = True
    chunks = await spoken(engine, "One, ", "two, ", "three.")
    assert duration_s(chunks) == pytest.approx(3 * 0.4 + 2 * 0.12 + 0.2, abs=0.03)
    assert [text.strip(" ,.") for text in server.texts] == ["One", "two", "three"]


async def test_the_rate_is_the_one_that_the_server_names(server: Server, engine: SpeechSocket) -> None:
    server.rate_hz = 44_100
    assert duration_s(await spoken(engine, "Yes.")) == pytest.approx(0.6, abs=0.02)


async def test_a_connection_that_the_server_left_meanwhile_costs_no_word(server: Server, engine: SpeechSocket) -> None:
    server.one_utterance = True
    await spoken(engine, "One.")
    await asyncio.wait_for(server.left.wait(), 10)
    server.one_utterance = False
    assert duration_s(await spoken(engine, "Two.")) == pytest.approx(0.6, abs=0.02)
    assert server.texts == ["One.", "Two."]


async def test_word_times_are_those_of_the_aligner_less_the_silence_that_was_cut(server: Server) -> None:
    server.aligner = True
    engine = make_one_synthesizer(f"{server.url}#words=true&model=qwen3-tts")
    assert isinstance(engine, SpeechSocket)
    await engine.load()
    chunks = await spoken(engine, "Yes and no.")
    words = words_of(chunks)
    assert [(word.start_char, word.end_char) for word in words] == [(0, 3), (4, 7), (8, 10)]
    # The tone begins 100 ms into the server's audio, of which 5 ms are kept.
    assert [word.start_sample / 48 for word in words] == pytest.approx([5, 5 + 400 / 3, 5 + 800 / 3], abs=6)
    assert words[-1].end_sample <= 48_000 * duration_s(chunks)
    await engine.close()


async def test_a_field_that_is_refused_is_not_sent_again(server: Server) -> None:
    server.refuses = ("word_timestamps", "speed")
    engine = SpeechSocket(server.url, "qwen3-tts", word_times=True)
    assert duration_s(await spoken(engine, "Yes.", "No.", speed=1.2)) == pytest.approx(1.2, abs=0.03)
    assert [sorted({"word_timestamps", "speed"} & set(config)) for config in server.configs] == [
        ["speed", "word_timestamps"],
        ["speed"],
        [],
        [],
    ]
    await engine.close()


async def test_leaving_in_mid_piece_ends_the_servers_work(server: Server, engine: SpeechSocket) -> None:
    server.endless = True
    async with aclosing(engine.speak(pieces("Yes."), Voice("vivian"))) as chunks:
        assert (await anext(chunks)).pcm
    await asyncio.wait_for(server.left.wait(), 10)
    server.endless = False
    assert duration_s(await spoken(engine, "Yes.")) == pytest.approx(0.6, abs=0.02)


async def test_a_server_that_hangs_up_in_mid_word_is_an_error_to_go_on_from(
    server: Server, engine: SpeechSocket
) -> None:
    server.hang_up_after_bytes = 12_000
    with pytest.raises(EngineError, match="hung up") as caught:
        await spoken(engine, "Yes.")
    assert caught.value.retryable


async def test_a_silent_server_is_given_up(server: Server) -> None:
    server.silent = True
    engine = SpeechSocket(server.url, "qwen3-tts", silent_s=0.2)
    with pytest.raises(EngineError, match=r"silent for 0\.2 s"):
        await spoken(engine, "Yes.")
    await engine.close()


async def test_what_the_server_says_is_told(server: Server, engine: SpeechSocket) -> None:
    server.refuses = ("voice",)
    with pytest.raises(EngineError, match="voice=vivian is not supported"):
        await spoken(engine, "Yes.")


async def test_a_server_without_the_socket_says_what_to_do(server: Server) -> None:
    engine = SpeechSocket(server.url + "/nowhere", "qwen3-tts")
    with pytest.raises(EngineError, match="http instead of ws"):
        await engine.load()
    await engine.close()
    nobody = SpeechSocket("ws://127.0.0.1:9/v1", "qwen3-tts")
    for attempt in (nobody.load(), spoken(nobody, "Yes.")):
        with pytest.raises(EngineError, match="start the server"):
            await attempt
    await nobody.close()
