"""The endpoints for speech without a conversation, over scripted engines, with OpenAI's client to ask them."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import openai
from aiohttp import web

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines import tone_code
from antiphon.engines.scripted import ScriptedRecognizer, ScriptedSynthesizer, SynthesizerOptions
from antiphon.errors import EngineError
from antiphon.transport.http import make_app
from antiphon.transport.limits import SpeechLimits
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.speech_http import SpeechRoutes

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
