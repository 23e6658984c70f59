"""Text to speech, asked for by OpenAI's own client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import struct
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest
from tests.shell.speech_service import RATE_HZ, TEXT, Mouth, heard, serving

from antiphon.audio import EAR_RATE_HZ, samples_of
from antiphon.core.speech import Voice
from antiphon.engines import tone_code
from antiphon.engines.scripted import SynthesizerOptions
from antiphon.errors import EngineError
from antiphon.transport import sound_files
from antiphon.transport.limits import SpeechLimits
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.spoken_answers import SpokenAnswers


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
    voices = ("pico:en-US", "pico:en-GB", "espeak:en-us", "espeak:de")
    answers = SpokenAnswers(Mouth(), lambda: Offer(voices=voices), SpeechLimits())
    named = {
        ("espeak", "de"): "espeak:de",
        ("espeak", "alloy"): "espeak:en-us",
        ("tts-1", "pico:en-GB"): "pico:en-GB",
        ("tts-1", None): "pico:en-US",
    }
    for (model, voice), chosen in named.items():
        assert answers._voice({"model": model, "voice": voice}).name == chosen


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
