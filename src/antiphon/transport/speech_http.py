"""Speech without a conversation: ``/v1/audio/speech`` and ``/v1/audio/transcriptions``, in the shapes of OpenAI's."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import orjson
import structlog
from aiohttp import BodyPartReader, web

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, Resampler
from antiphon.core.captions import Captions
from antiphon.core.clauses import Clauses
from antiphon.core.speech import AudioChunk, Voice
from antiphon.errors import EngineError, ProtocolError
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.offer import Offer, read_voice
from antiphon.transport.responses import error_response, json_response
from antiphon.transport.sound_files import RATE_HZ, Encoder, Sound, decode, make_encoder
from antiphon.transport.sse import Events

_LOOK_S = 0.25
"""How often a request that waits for its engine looks whether its client is still there."""

_FIELD_BYTES = 64 * 1024
_SPEED = (0.25, 4.0)
_STREAMED_EVERY_S = 10
"""A streamed transcription is told in steps of so much audio."""

_TRANSCRIPT_FORMATS = ("json", "text", "verbose_json")

_log = structlog.get_logger(__name__)
T = TypeVar("T")


class Speaking(Protocol):
    """What is needed of a synthesizer."""

    def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]: ...

    @property
    def voices(self) -> Sequence[Any]: ...


class TranscribingStream(Protocol):
    """What is needed of the recognition of one recording. ``final`` gives ``text`` and ``words``."""

    def feed(self, pcm: bytes) -> None: ...

    async def final(self) -> Any: ...

    def close(self) -> None: ...


class Transcribing(Protocol):
    """What is needed of a recognizer."""

    @property
    def name(self) -> str: ...

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> TranscribingStream: ...


@dataclass(frozen=True, slots=True)
class SpeechLimits:
    max_requests: int = 16
    """At the same time, of both kinds together; further ones are told to come again."""
    max_input_chars: int = 4096
    max_file_bytes: int = 25 * 1024 * 1024
    max_audio_s: float = 600.0
    stalled_after_s: float = 10.0
    """A client that takes nothing for so long is cut off."""


class _GoneError(Exception):
    """The client has left."""


class SpeechRoutes:
    """The two endpoints over a synthesizer and a recognizer."""

    def __init__(
        self,
        synthesizer: Speaking,
        recognizer: Transcribing,
        offer: Callable[[], Offer],
        limits: SpeechLimits | None = None,
    ) -> None:
        self._synthesizer = synthesizer
        self._recognizer = recognizer
        self._offer = offer
        self._limits = limits or SpeechLimits()
        self.active = 0
        """Requests that are being served."""

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/v1/audio/speech", self._guarded(self.speech)),
            web.post("/v1/audio/transcriptions", self._guarded(self.transcriptions)),
            web.get("/v1/audio/voices", self.voices),
        ]

    def _guarded(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """With a place for each request, and the engines' errors as answers."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            if self.active >= self._limits.max_requests:
                return _busy("All places for speech requests are taken; try again shortly", 1.0)
            with self._place():
                try:
                    return await handler(request)
                except EngineError as error:
                    if error.retryable:
                        return _busy(str(error), error.retry_after_s or 1.0)
                    return error_response(500, str(error), "engine_failed")
                except (_GoneError, ConnectionError):
                    return web.Response(status=499)  # to nobody; 499 as nginx logs it

        return guarded

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    async def voices(self, request: web.Request) -> web.Response:
        """The voices that there are, the default first, each with the language that it speaks."""
        offered = [{"id": name, "language": self._language(name)} for name in self._offer().voices]
        return json_response({"object": "list", "data": offered})

    # Text to speech.

    async def speech(self, request: web.Request) -> web.StreamResponse:
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
        chunks = self._synthesizer.speak(_clauses(text, self._language(voice.name)), voice)
        async with aclosing(chunks):
            first = await _while_connected(request, _next(chunks))  # an engine that fails at once gets a status
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

    def _language(self, name: str) -> str:
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
                chunk = await _while_connected(request, _next(chunks))
            rest = resampler.push(b"", last=True)
            await self._write(sink, (encoder.encode(rest) if rest else b"") + encoder.finish())
            await sink.finish()
        except EngineError as error:
            # The status has left long ago: the client sees an error event, or a stream that breaks off.
            _log.warning("a speech request failed in its midst", reason=str(error))
            await sink.fail(str(error))
            _cut(request)
        except (TimeoutError, _GoneError, ConnectionError):
            _cut(request)

    async def _write(self, sink: _ByteSink | _EventSink, data: bytes) -> None:
        if data:
            async with asyncio.timeout(self._limits.stalled_after_s):
                await sink.write(data)

    # Speech to text.

    async def transcriptions(self, request: web.Request) -> web.StreamResponse:
        form = await self._form(request)
        wanted = form.text("response_format", "json")
        if wanted not in _TRANSCRIPT_FORMATS:
            raise fields.invalid("response_format", ", ".join(_TRANSCRIPT_FORMATS))
        if form.file is None:
            raise ProtocolError("Missing required parameter: 'file'", code="missing_required_parameter", param="file")
        sound = await asyncio.to_thread(decode, form.file, self._limits.max_audio_s)
        language = form.text("language", "") or None
        if form.text("stream", "false").lower() in ("true", "1"):
            return await self._stream_transcript(request, sound, language)
        with closing(self._recognizer.open(_ignore, language)) as stream:
            stream.feed(sound.pcm)
            transcript = await _while_connected(request, stream.final())
        if wanted == "text":
            return web.Response(text=transcript.text + "\n")
        if wanted == "json":
            return json_response({"text": transcript.text, "usage": _usage(sound)})
        return json_response(_verbose(transcript, sound, language, form.all("timestamp_granularities[]")))

    async def _stream_transcript(self, request: web.Request, sound: Sound, language: str | None) -> web.StreamResponse:
        """Tells the words while it gets through the recording, none of which it takes back."""
        events = Events()
        captions = Captions()
        step = _STREAMED_EVERY_S * EAR_RATE_HZ * 2
        await events.response.prepare(request)
        try:
            with closing(self._recognizer.open(_ignore, language)) as stream:
                text = ""
                for start in range(0, max(len(sound.pcm), 1), step):
                    stream.feed(sound.pcm[start : start + step])
                    text = (await _while_connected(request, stream.final())).text
                    last = start + step >= len(sound.pcm)
                    delta = captions.final(text) if last else captions.partial(text)
                    if delta:
                        await events.send({"type": "transcript.text.delta", "delta": delta})
            await events.send({"type": "transcript.text.done", "text": text})
            await events.finish()
        except EngineError as error:
            _log.warning("a transcription failed in its midst", reason=str(error))
            await events.fail(str(error))
            _cut(request)
        except (_GoneError, ConnectionError):
            _cut(request)
        return events.response

    async def _form(self, request: web.Request) -> _Form:
        if not request.content_type.startswith("multipart/"):
            raise ProtocolError("Send the audio as multipart/form-data, with 'file'", code="invalid_content_type")
        form = _Form()
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader) or part.name is None:
                    raise ProtocolError("A part of the form has no name", code="invalid_form")
                if part.name == "file":
                    form.file = await _read_part(part, self._limits.max_file_bytes)
                else:
                    value = await _read_part(part, _FIELD_BYTES)
                    form.values.append((part.name, value.decode("utf-8", "replace")))
        except ValueError as error:
            raise ProtocolError(f"The form is damaged: {error}", code="invalid_form") from None
        return form


class _Form:
    """The fields of a multipart form."""

    def __init__(self) -> None:
        self.file: bytes | None = None
        self.values: list[tuple[str, str]] = []

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.values if key == name]

    def text(self, name: str, default: str) -> str:
        return next((value for key, value in self.values if key == name), default)


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


async def _while_connected(request: web.Request, work: Awaitable[T]) -> T:
    """The work's result. Raises _GoneError, with the work cancelled, when the client leaves."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=_LOOK_S)
            if request.transport is None or request.transport.is_closing():
                raise _GoneError
        return task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _json_body(request: web.Request) -> Json:
    try:
        return fields.mapping(orjson.loads(await request.read()), "body")
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"The body is not valid JSON: {error}", code="invalid_json") from None


async def _read_part(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        data += chunk
        if len(data) > limit:
            raise ProtocolError(f"'{part.name}' is larger than {limit} bytes", code="too_large", param=part.name)
    return bytes(part.decode(bytes(data)))


def _busy(message: str, retry_after_s: float) -> web.Response:
    headers = {"Retry-After": str(math.ceil(retry_after_s))}
    return error_response(503, message, "server_is_busy", headers=headers)


def _usage(sound: Sound) -> Json:
    return {"type": "duration", "seconds": round(sound.duration_s, 3)}


def _verbose(transcript: Any, sound: Sound, language: str | None, granularities: list[str]) -> Json:
    body: Json = {
        "task": "transcribe",
        "language": language or "und",
        "duration": round(sound.duration_s, 3),
        "text": transcript.text,
        "usage": _usage(sound),
    }
    if "word" in granularities:
        body["words"] = [
            {"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000} for word in transcript.words
        ]
    if not granularities or "segment" in granularities:
        start, end = 0.0, sound.duration_s
        if transcript.words:
            start, end = transcript.words[0].start_ms / 1000, transcript.words[-1].end_ms / 1000
        body["segments"] = [{"id": 0, "seek": 0, "start": start, "end": round(end, 3), "text": transcript.text}]
    return body


def _ignore(_text: str) -> None:
    pass
