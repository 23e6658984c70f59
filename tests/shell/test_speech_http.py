"""Speech without a conversation, asked for by OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
import struct
import wave
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest
from aiohttp import web

from antiphon.audio import EAR_RATE_HZ, samples_of
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines import tone_code
from antiphon.engines.base import RecognizerStream
from antiphon.engines.scripted import RecognizerOptions, ScriptedRecognizer, ScriptedSynthesizer, SynthesizerOptions
from antiphon.errors import EngineError
from antiphon.transport import sound_files
from antiphon.transport.http import make_app
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.speech_http import SpeechLimits, SpeechRoutes

RATE_HZ = 24_000
TEXT = "one two three, four five."
OFFER = Offer(voices=("alpha", "beta"), models=("brain",), other_models=("ears", "mouth"))


class Mouth(ScriptedSynthesizer):
    """Notes what it is asked for, and fails when told to."""

    def __init__(self, options: SynthesizerOptions | None = None) -> None:
        super().__init__(options or SynthesizerOptions(first_audio_ms=0, speed=10_000))
        self.asked: list[Voice] = []
        self.error: EngineError | None = None
        self.error_after = 0
        self.idle = asyncio.Event()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        self.asked.append(voice)
        self.idle.clear()
        given = 0
        try:
            async with aclosing(super().speak(text, voice)) as chunks:
                async for chunk in chunks:
                    if self.error is not None and given >= self.error_after:
                        raise self.error
                    given += 1
                    yield chunk
        finally:
            self.idle.set()


@dataclass
class Service:
    url: str
    mouth: Mouth
    routes: SpeechRoutes
    client: openai.AsyncOpenAI
    http: aiohttp.ClientSession


def no_session(*_: Any) -> Any:
    raise AssertionError("nobody asks for a conversation here")


@asynccontextmanager
async def serving(
    limits: SpeechLimits | None = None, mouth: Mouth | None = None, ears: ScriptedRecognizer | None = None
) -> AsyncIterator[Service]:
    mouth = mouth or Mouth()
    routes = SpeechRoutes(mouth, ears or ScriptedRecognizer(), lambda: OFFER, limits)
    app = make_app(no_session, offer=lambda: OFFER, api_keys=["sk-secret"], more_routes=routes.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-secret", max_retries=0) as client,
            aiohttp.ClientSession(url, headers={"Authorization": "Bearer sk-secret"}) as http,
        ):
            yield Service(url, mouth, routes, client, http)
    finally:
        await runner.cleanup()


def heard(pcm: bytes, rate_hz: int = RATE_HZ) -> str:
    return tone_code.decode(pcm, rate_hz)


def wav(text: str, rate_hz: int = EAR_RATE_HZ) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(tone_code.encode(text, rate_hz))
    return file.getvalue()


async def test_the_voices_are_told_with_their_languages() -> None:
    async with serving() as service, service.http.get("/v1/audio/voices") as response:
        listed = await response.json()
    assert listed["data"] == [{"id": "alpha", "language": "en"}, {"id": "beta", "language": "en"}]


# Text to speech.


async def test_speech_is_streamed_to_the_client_of_openai() -> None:
    async with (
        serving() as service,
        service.client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="alloy", input=TEXT, response_format="pcm"
        ) as response,
    ):
        assert response.headers["content-type"] == "audio/pcm"
        pcm = b"".join([part async for part in response.iter_bytes()])
        assert heard(pcm) == TEXT
        assert service.mouth.asked == [Voice("alpha", 1.0)]


async def test_the_first_audio_leaves_before_the_last_is_made() -> None:
    mouth = Mouth(SynthesizerOptions(first_audio_ms=0, speed=1))
    async with (
        serving(mouth=mouth) as service,
        service.client.audio.speech.with_streaming_response.create(
            model="tts-1", voice="beta", input=" ".join(["hello there."] * 200)[:4000], response_format="pcm"
        ) as response,
    ):
        async for part in response.iter_bytes():
            assert part
            assert mouth.running == 1
            break
        await response.close()
        await asyncio.wait_for(mouth.idle.wait(), 10)


async def test_a_voice_and_a_pace_are_as_wished() -> None:
    async with serving() as service:
        await service.client.audio.speech.create(
            model="tts-1", voice={"id": "beta"}, input=TEXT, speed=1.25, response_format="pcm"
        )
        assert service.mouth.asked == [Voice("beta", 1.25)]


async def test_a_model_may_name_an_engine() -> None:
    routes = SpeechRoutes(
        Mouth(), ScriptedRecognizer(), lambda: Offer(voices=("pico:en-US", "pico:en-GB", "espeak:en-us", "espeak:de"))
    )
    named = {
        ("espeak", "de"): "espeak:de",
        ("espeak", "alloy"): "espeak:en-us",
        ("tts-1", "pico:en-GB"): "pico:en-GB",
        ("tts-1", None): "pico:en-US",
    }
    for (model, voice), chosen in named.items():
        assert routes._voice({"model": model, "voice": voice}).name == chosen


@pytest.mark.parametrize("name", ["wav", "mp3", "flac", "opus"])
async def test_every_format_says_the_same(name: str) -> None:
    async with serving() as service:
        response = await service.client.audio.speech.create(
            model="tts-1",
            voice="alpha",
            input=TEXT,
            response_format=name,  # type: ignore[arg-type]
        )
        sound = sound_files.decode(response.content, 60)
        assert sound.duration_s == pytest.approx((len(TEXT) + 1) * tone_code.SYMBOL_MS / 1000, abs=0.15)
        if name == "opus":  # made for speech, it smears the chords
            assert np.abs(samples_of(sound.pcm)).mean() > 500
        else:
            assert heard(sound.pcm, EAR_RATE_HZ).startswith("one two three, four five")


async def test_a_streamed_wav_can_be_read() -> None:
    async with serving() as service:
        response = await service.client.audio.speech.create(
            model="tts-1", voice="alpha", input=TEXT, response_format="wav"
        )
        assert response.content[:4] == b"RIFF"
        assert struct.unpack_from("<HHI", response.content, 20) == (1, 1, RATE_HZ)
        assert heard(response.content[44:]) == TEXT


async def test_speech_may_come_as_events() -> None:
    body = {"model": "m", "voice": "alpha", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
    async with serving() as service, service.http.post("/v1/audio/speech", json=body) as response:
        assert response.content_type == "text/event-stream"
        lines = [line.removeprefix("data: ") for line in (await response.text()).split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    events = [json.loads(line) for line in lines]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert events[-1]["type"] == "speech.audio.done"
    assert heard(b"".join(base64.b64decode(event["audio"]) for event in events[:-1])) == TEXT


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": "a" * 4097}, "input"),
        ({"input": 5}, "input"),
        ({"response_format": "aac"}, "response_format"),
        ({"stream_format": "smoke"}, "stream_format"),
        ({"voice": 7}, "voice"),
        ({"speed": "fast"}, "speed"),
    ],
)
async def test_what_cannot_be_said_is_refused(change: dict[str, Any], param: str) -> None:
    body = {"model": "m", "voice": "alpha", "input": TEXT, **change}
    async with serving() as service, service.http.post("/v1/audio/speech", json=body) as response:
        assert response.status == 400
        assert (await response.json())["error"]["param"] == param


async def test_without_the_library_only_plain_formats_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_files, "_library", lambda: None)
    async with serving() as service:
        with pytest.raises(openai.BadRequestError, match="soundfile"):
            await service.client.audio.speech.create(model="m", voice="alpha", input=TEXT, response_format="mp3")
        response = await service.client.audio.speech.create(model="m", voice="alpha", input=TEXT)
        assert response.response.headers["content-type"] == "audio/wav"
        with pytest.raises(openai.BadRequestError, match="soundfile"):
            await service.client.audio.transcriptions.create(model="m", file=("a.mp3", b"\xff\xfb" * 99))


async def test_a_key_is_asked_for() -> None:
    async with serving() as service, openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key="wrong") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.audio.speech.create(model="m", voice="alpha", input=TEXT)
        with pytest.raises(openai.AuthenticationError):
            await stranger.audio.transcriptions.create(model="m", file=("a.wav", wav("hello")))
    assert not service.mouth.asked


async def test_a_full_server_says_when_to_come_again() -> None:
    mouth = Mouth(SynthesizerOptions(first_audio_ms=0, speed=1))
    async with serving(SpeechLimits(max_requests=1), mouth) as service:
        speech = service.client.audio.speech.with_streaming_response
        async with speech.create(model="m", voice="alpha", input=TEXT * 50, response_format="pcm") as response:
            await anext(aiter(response.iter_bytes()))
            with pytest.raises(openai.InternalServerError) as refused:
                await service.client.audio.transcriptions.create(model="m", file=("a.wav", wav("hello")))
            assert refused.value.status_code == 503
            assert refused.value.response.headers["retry-after"] == "1"
        await asyncio.wait_for(mouth.idle.wait(), 10)


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (EngineError("it is broken"), 500, None),
        (EngineError("the fleet is full", retryable=True, retry_after_s=2.5), 503, "3"),
    ],
)
async def test_a_voice_that_fails_at_once_gives_a_status(
    error: EngineError, status: int, retry_after: str | None
) -> None:
    async with serving() as service:
        service.mouth.error = error
        with pytest.raises(openai.InternalServerError, match=str(error)) as failed:
            await service.client.audio.speech.create(model="m", voice="alpha", input=TEXT)
        assert failed.value.status_code == status
        assert failed.value.response.headers.get("retry-after") == retry_after


async def test_a_voice_that_fails_later_breaks_the_stream_off() -> None:
    async with serving() as service:
        service.mouth.error, service.mouth.error_after = EngineError("it broke"), 2
        with pytest.raises(openai.APIConnectionError):
            await service.client.audio.speech.create(model="m", voice="alpha", input=TEXT, response_format="pcm")
        body = {"model": "m", "voice": "alpha", "input": TEXT, "response_format": "pcm", "stream_format": "sse"}
        async with service.http.post("/v1/audio/speech", json=body) as response:
            told = b""
            with contextlib.suppress(aiohttp.ClientError):  # the line is cut after the last event
                async for part in response.content.iter_any():
                    told += part
            assert b'"it broke"' in told
            assert b"[DONE]" not in told
        assert service.routes.active == 0


async def test_all_models_are_listed() -> None:
    async with serving() as service:
        assert [model.id async for model in service.client.models.list()] == ["brain", "ears", "mouth"]


# Speech to text.


async def test_a_recording_is_written_down() -> None:
    async with serving() as service:
        transcript = await service.client.audio.transcriptions.create(
            model="whisper-1", file=("a.wav", wav("hi there"))
        )
        assert transcript.text == "hi there"
        assert transcript.usage is not None
        assert transcript.usage.type == "duration"


@pytest.mark.parametrize("rate_hz", [8_000, 24_000, 44_100])
async def test_any_rate_will_do(rate_hz: int) -> None:
    async with serving() as service:
        file = ("a.wav", wav("hello there you", rate_hz))
        assert (await service.client.audio.transcriptions.create(model="m", file=file)).text == "hello there you"


@pytest.mark.parametrize("name", ["flac", "mp3"])
async def test_compressed_recordings_are_read(name: str) -> None:
    encoder = sound_files.make_encoder(name)
    file = encoder.encode(tone_code.encode("good morning to you", RATE_HZ)) + encoder.finish()
    async with serving() as service:
        transcript = await service.client.audio.transcriptions.create(model="m", file=(f"a.{name}", file))
        assert transcript.text == "good morning to you"


async def test_the_forms_of_an_answer() -> None:
    file = ("a.wav", wav("hello you"))
    async with serving() as service:
        create = service.client.audio.transcriptions.create
        assert await create(model="m", file=file, response_format="text") == "hello you\n"
        verbose = await create(
            model="m",
            file=file,
            response_format="verbose_json",
            language="en",
            timestamp_granularities=["word", "segment"],
        )
        assert (verbose.text, verbose.language) == ("hello you", "en")
        assert verbose.duration == pytest.approx(0.36)
        assert verbose.words == []  # this recognizer tells no times
        assert verbose.segments is not None
        assert [(segment.start, segment.end, segment.text) for segment in verbose.segments] == [(0, 0.36, "hello you")]


async def test_a_transcription_may_be_streamed() -> None:
    words = " ".join(["and on it goes"] * 60)
    async with serving() as service:
        stream = await service.client.audio.transcriptions.create(model="m", file=("a.wav", wav(words)), stream=True)
        events = [event async for event in stream]
        deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
        assert len(deltas) > 1
        assert "".join(deltas) == words
        assert events[-1].type == "transcript.text.done"
        assert events[-1].text == words


class Endless(ScriptedRecognizer):
    """Never comes to an end, and tells when it begins and when nobody waits for it any more."""

    def __init__(self) -> None:
        super().__init__(RecognizerOptions(final_ms=600_000))
        self.begun = asyncio.Event()
        self.closed = asyncio.Event()

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        stream = super().open(on_partial, language)
        close = stream.close

        def closing() -> None:
            close()
            self.closed.set()

        stream.close = closing  # type: ignore[method-assign]
        self.begun.set()
        return stream


async def test_a_client_that_leaves_stops_the_work() -> None:
    ears = Endless()
    async with serving(ears=ears) as service:
        asking = asyncio.create_task(
            service.client.audio.transcriptions.create(model="m", file=("a.wav", wav("hello")))
        )
        await asyncio.wait_for(ears.begun.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(ears.closed.wait(), 10)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (b"RIFF\0\0\0\0WAVE", "is not a WAV file"),
        (b"no sound at all", "format"),
        (wav("hello" * 200)[:20], "WAV"),
        (b"", "format"),
    ],
)
async def test_what_is_no_recording_is_refused(file: bytes, message: str) -> None:
    async with serving() as service:
        with pytest.raises(openai.BadRequestError, match=message):
            await service.client.audio.transcriptions.create(model="m", file=("a.wav", file))


async def test_recordings_have_a_size_and_a_length() -> None:
    async with serving(SpeechLimits(max_file_bytes=40_000, max_audio_s=1.0)) as service:
        create = service.client.audio.transcriptions.create
        with pytest.raises(openai.BadRequestError, match="larger than 40000 bytes"):
            await create(model="m", file=("a.wav", bytes(50_000)))
        encoder = sound_files.make_encoder("mp3")
        long = encoder.encode(bytes(RATE_HZ * 2 * 2)) + encoder.finish()
        with pytest.raises(openai.BadRequestError, match="longer than 1 s"):
            await create(model="m", file=("a.mp3", long))


async def test_a_form_is_asked_for() -> None:
    async with serving() as service:
        async with service.http.post("/v1/audio/transcriptions", json={"file": "a.wav"}) as response:
            assert response.status == 400
            assert "multipart" in (await response.json())["error"]["message"]
        form = aiohttp.FormData({"model": "m", "response_format": "srt"})
        form.add_field("file", wav("hello"), filename="a.wav")
        async with service.http.post("/v1/audio/transcriptions", data=form) as response:
            assert (await response.json())["error"]["param"] == "response_format"
        empty = aiohttp.FormData({"model": "m"}, default_to_multipart=True)
        async with service.http.post("/v1/audio/transcriptions", data=empty) as response:
            assert (await response.json())["error"]["param"] == "file"


async def test_a_recognizer_that_fails_says_so() -> None:
    async with serving(ears=ScriptedRecognizer.from_options("fail_on=1+2")) as service:
        create = service.client.audio.transcriptions.create
        with pytest.raises(openai.InternalServerError, match="fails here"):
            await create(model="m", file=("a.wav", wav("hello")))
        stream = await create(model="m", file=("a.wav", wav("hello")), stream=True)
        with pytest.raises(openai.APIError, match="fails here"):
            [event async for event in stream]
        assert (await create(model="m", file=("a.wav", wav("hello")))).text == "hello"
