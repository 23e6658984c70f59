"""Text to speech, in the shape of OpenAI's: audio as the body itself, or in events, as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol

import orjson
import structlog
from aiohttp import web

from antiphon.audio import MOUTH_RATE_HZ, Resampler
from antiphon.core.clauses import Clauses
from antiphon.core.speech import AudioChunk, Voice
from antiphon.errors import EngineError, ProtocolError
from antiphon.transport.hangup import GoneError, cut, while_connected
from antiphon.transport.limits import SpeechLimits
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.offer import Offer, read_voice
from antiphon.transport.sound_files import RATE_HZ, Encoder, make_encoder
from antiphon.transport.sse import Events

_SPEED = (0.25, 4.0)

_log = structlog.get_logger(__name__)


class Speaking(Protocol):
    """What is needed of a synthesizer."""

    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]: ...

    @property
    def voices(self) -> Sequence[Any]: ...


class SpokenAnswers:
    """The answers of ``/v1/audio/speech`` over a synthesizer."""

    def __init__(self, synthesizer: Speaking, offer: Callable[[], Offer], limits: SpeechLimits) -> None:
        self._synthesizer = synthesizer
        self._offer = offer
        self._limits = limits

    async def answer(self, request: web.Request) -> web.StreamResponse:
        body = await _json_body(request)
        text = fields.text(body, "input")
        if len(text) > self._limits.max_input_chars:
            longest = self._limits.max_input_chars
            raise ProtocolError(f"'input' is longer than {longest} characters", code="string_too_long", param="input")
        voice = self._voice(body)
        encoder = make_encoder(fields.text_or(body, "response_format", "") or None)
        kind = fields.text_or(body, "stream_format", "audio")
        if kind not in ("audio", "sse"):
            raise fields.invalid("stream_format", "audio or sse")
        chunks = self._synthesizer.speak(_clauses(text, self.language(voice.name)), voice)
        async with aclosing(chunks):
            first = await while_connected(request, _next(chunks))  # an engine that fails at once gets a status
            sink = _EventSink() if kind == "sse" else _ByteSink(encoder.content_type)
            await sink.response.prepare(request)
            await self._send(request, sink, encoder, first, chunks)
        return sink.response

    def _voice(self, body: Json) -> Voice:
        """The voice that is meant. A model that names an engine narrows the choice to it."""
        offer = self._offer()
        low, high = _SPEED
        speed = min(max(fields.number(body, "speed", 1.0), low), high)
        model = fields.text_or(body, "model", "")
        given = body.get("voice")
        name = read_voice(offer.voices[0] if given is None else given, offer, "voice")
        of_engine = [voice for voice in offer.voices if voice.partition(":")[0] == model]
        if of_engine and name not in of_engine:
            wanted = given.get("id") if isinstance(given, dict) else given
            name = next((voice for voice in of_engine if voice == f"{model}:{wanted}"), of_engine[0])
        return Voice(name, speed)

    def language(self, name: str) -> str:
        """That of the voice, in which figures and symbols are read."""
        voices = self._synthesizer.voices
        return next((voice.language for voice in voices if voice.name == name), "en")

    async def _send(
        self,
        request: web.Request,
        sink: _ByteSink | _EventSink,
        encoder: Encoder,
        first: AudioChunk | None,
        chunks: AsyncGenerator[AudioChunk],
    ) -> None:
        resampler = Resampler(MOUTH_RATE_HZ, RATE_HZ)
        chunk = first
        try:
            while chunk is not None:
                pcm = resampler.push(chunk.pcm) if chunk.pcm else b""
                if pcm:
                    await self._write(sink, await asyncio.to_thread(encoder.encode, pcm))
                chunk = await while_connected(request, _next(chunks))
            rest = resampler.push(b"", last=True)
            await self._write(sink, (encoder.encode(rest) if rest else b"") + encoder.finish())
            await sink.finish()
        except EngineError as error:
            # The status has left long ago: the client sees an error event, or a stream that breaks off.
            _log.warning("a speech request failed in its midst", reason=str(error))
            await sink.fail(str(error))
            cut(request)
        except (TimeoutError, GoneError, ConnectionError):
            cut(request)

    async def _write(self, sink: _ByteSink | _EventSink, data: bytes) -> None:
        if data:
            async with asyncio.timeout(self._limits.stalled_after_s):
                await sink.write(data)


class _ByteSink:
    """Audio as the body itself."""

    def __init__(self, content_type: str) -> None:
        self.response = web.StreamResponse(headers={"Content-Type": content_type})

    async def write(self, data: bytes) -> None:
        await self.response.write(data)

    async def finish(self) -> None:
        await self.response.write_eof()

    async def fail(self, message: str) -> None:
        """Nothing: a stream that breaks off is all there is to say it with."""


class _EventSink(Events):
    """Audio in events."""

    async def write(self, data: bytes) -> None:
        await self.send_base64("speech.audio.delta", "audio", data)

    async def finish(self) -> None:
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}  # engines here count none
        await self.send({"type": "speech.audio.done", "usage": usage})
        await super().finish()


async def _clauses(text: str, language: str) -> AsyncGenerator[str]:
    """The text as a voice takes it; its first clause is short, so that the audio begins early."""
    clauses = Clauses(language=language)
    for clause in (*clauses.push(text), *clauses.finish()):
        if clause.spoken:
            yield clause.spoken


async def _next(chunks: AsyncGenerator[AudioChunk]) -> AudioChunk | None:
    return await anext(chunks, None)


async def _json_body(request: web.Request) -> Json:
    try:
        return fields.mapping(orjson.loads(await request.read()), "body")
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"The body is not valid JSON: {error}", code="invalid_json") from None
