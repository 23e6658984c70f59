"""Speech to text, asked for by OpenAI's own client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import openai
import pytest
from tests.shell.speech_service import RATE_HZ, serving, wav

from antiphon.engines import tone_code
from antiphon.engines.base import RecognizerStream
from antiphon.engines.scripted import RecognizerOptions, ScriptedRecognizer
from antiphon.transport import sound_files
from antiphon.transport.limits import SpeechLimits


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
