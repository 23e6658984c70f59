"""The transcription adapter against real servers on loopback."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
from aiohttp import web

from antiphon.engines.base import HeardWord, Transcript
from antiphon.engines.openai_transcription import OpenAITranscription
from antiphon.errors import EngineError

SECOND = bytes(32_000)
WORDS = {"text": " Good morning. ", "words": [{"word": " Good", "start": 0.1, "end": 0.42}]}


class TranscriptionServer:
    """Answers with ``status`` and ``answer``; notes the forms and whether the client hung up."""

    def __init__(self) -> None:
        self.forms: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.status = 200
        self.answer: object = WORDS
        self.refuses_words = False
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.asked = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.url = ""

    async def start(self) -> web.AppRunner:
        app = web.Application(client_max_size=64 << 20)
        app.router.add_post("/v1/audio/transcriptions", self._transcribe)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        with file.file, wave.open(io.BytesIO(file.file.read())) as sound:
            shape = sound.getnchannels(), sound.getsampwidth(), sound.getframerate(), sound.getnframes()
        self.forms.append({**form, "file": shape})
        self.keys.append(request.headers.get("Authorization"))
        self.asked.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.hung_up.set()
            raise
        if self.refuses_words and form["response_format"] == "verbose_json":
            message = "response_format 'verbose_json' is not compatible with model"
            return web.json_response({"error": {"message": message}}, status=400)
        if isinstance(self.answer, str):
            return web.Response(text=self.answer, status=self.status)
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def server() -> AsyncIterator[TranscriptionServer]:
    transcription = TranscriptionServer()
    runner = await transcription.start()
    yield transcription
    await runner.cleanup()


@pytest.fixture
async def engine(server: TranscriptionServer) -> AsyncIterator[OpenAITranscription]:
    adapter = OpenAITranscription(server.url, "whisper", api_key="secret", silent_s=10)
    await adapter.load()
    yield adapter
    await adapter.close()


async def heard(engine: OpenAITranscription, language: str | None = None) -> Transcript:
    with closing(engine.open(lambda _text: None, language)) as stream:
        stream.feed(SECOND)
        return await stream.final()


async def test_a_turn_is_one_request_with_its_words(server: TranscriptionServer, engine: OpenAITranscription) -> None:
    assert await heard(engine, "de-DE") == Transcript("Good morning.", (HeardWord("Good", 100, 420),))
    assert server.forms == [
        {
            "file": (1, 2, 16_000, 16_000),
            "model": "whisper",
            "language": "de",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "word",
        }
    ]
    assert server.keys == ["Bearer secret"]


async def test_a_server_without_word_times_is_asked_for_text(
    server: TranscriptionServer, engine: OpenAITranscription
) -> None:
    server.refuses_words, server.answer = True, {"text": "Yes."}
    assert await heard(engine) == await heard(engine) == Transcript("Yes.")
    assert [form["response_format"] for form in server.forms] == ["verbose_json", "json", "json"]
    assert "language" not in server.forms[0]


async def test_closing_the_stream_closes_the_connection(
    server: TranscriptionServer, engine: OpenAITranscription
) -> None:
    server.go_on.clear()
    stream = engine.open(lambda _text: None)
    stream.feed(SECOND)
    final = asyncio.ensure_future(stream.final())
    await asyncio.wait_for(server.asked.wait(), 10)
    stream.close()
    with pytest.raises(asyncio.CancelledError):
        await final
    await asyncio.wait_for(server.hung_up.wait(), 10)


async def test_a_newer_final_hangs_up_on_an_older_one(server: TranscriptionServer, engine: OpenAITranscription) -> None:
    server.go_on.clear()
    with closing(engine.open(lambda _text: None)) as stream:
        stream.feed(SECOND)
        older = asyncio.ensure_future(stream.final())
        await asyncio.wait_for(server.asked.wait(), 10)
        stream.feed(SECOND)
        newer = asyncio.ensure_future(stream.final())
        await asyncio.wait_for(server.hung_up.wait(), 10)
        server.go_on.set()
        assert (await newer).text == "Good morning."
        with pytest.raises(asyncio.CancelledError):
            await older
    assert [form["file"][3] for form in server.forms] == [16_000, 32_000]


async def test_partials_are_made_when_asked_for(server: TranscriptionServer) -> None:
    engine = OpenAITranscription(server.url, "whisper", partial_every_s=0.5)
    partials: asyncio.Queue[str] = asyncio.Queue()
    with closing(engine.open(partials.put_nowait)) as stream:
        stream.feed(SECOND)
        assert await asyncio.wait_for(partials.get(), 10) == "Good morning"
    await engine.close()


@pytest.mark.parametrize(
    ("status", "words", "retryable"),
    [
        (400, "refused the request: .*no", False),
        (401, "OPENAI_API_KEY", False),
        (404, "no such model", False),
        (429, "try again later", True),
        (500, "server's own log", True),
    ],
)
async def test_refusals_say_what_to_do(
    server: TranscriptionServer, engine: OpenAITranscription, status: int, words: str, retryable: bool
) -> None:
    server.status, server.answer = status, {"error": {"message": "no"}}
    with pytest.raises(EngineError, match=words) as caught:
        await heard(engine)
    assert caught.value.retryable is retryable


@pytest.mark.parametrize("answer", ["<html>", ["x"], {"texts": "x"}, {"text": "x", "words": [{"word": "x"}]}])
async def test_what_is_no_transcript_is_an_engine_error(
    server: TranscriptionServer, engine: OpenAITranscription, answer: object
) -> None:
    server.answer = answer
    with pytest.raises(EngineError, match="sent"):
        await heard(engine)


async def test_a_silent_server_is_given_up(server: TranscriptionServer) -> None:
    server.go_on.clear()
    engine = OpenAITranscription(server.url, "whisper", silent_s=0.2)
    with pytest.raises(EngineError, match=r"silent for 0\.2 s"):
        await heard(engine)
    await engine.close()


async def test_nobody_listens() -> None:
    engine = OpenAITranscription("http://127.0.0.1:9/v1")
    for attempt in (engine.load(), heard(engine)):
        with pytest.raises(EngineError, match="start the server"):
            await attempt
    await engine.close()
