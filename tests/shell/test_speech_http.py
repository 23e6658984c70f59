"""Speech without a conversation: who may ask, and how many at once."""

from __future__ import annotations

import asyncio

import openai
import pytest
from tests.shell.speech_service import TEXT, Mouth, serving, wav

from antiphon.engines.scripted import SynthesizerOptions
from antiphon.transport.limits import SpeechLimits


async def test_the_voices_are_told_with_their_languages() -> None:
    async with serving() as service, service.http.get("/v1/audio/voices") as response:
        listed = await response.json()
    assert listed["data"] == [{"id": "alpha", "language": "en"}, {"id": "beta", "language": "en"}]


# Text to speech.


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


async def test_all_models_are_listed() -> None:
    async with serving() as service:
        assert [model.id async for model in service.client.models.list()] == ["brain", "ears", "mouth"]


# Speech to text.
