"""Speech to text, in the shape of OpenAI's: a recording as a form's file, and what was said as JSON, text or events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any, Protocol

import structlog
from aiohttp import BodyPartReader, web

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.captions import Captions
from antiphon.errors import EngineError, ProtocolError
from antiphon.transport.hangup import GoneError, cut, while_connected
from antiphon.transport.limits import SpeechLimits
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.fields import Json
from antiphon.transport.responses import json_response
from antiphon.transport.sound_files import Sound, decode
from antiphon.transport.sse import Events

_FIELD_BYTES = 64 * 1024
_STREAMED_EVERY_S = 10
"""A streamed transcription is told in steps of so much audio."""

_FORMATS = ("json", "text", "verbose_json")

_log = structlog.get_logger(__name__)


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


class WrittenAnswers:
    """The answers of ``/v1/audio/transcriptions`` over a recognizer."""

    def __init__(self, recognizer: Transcribing, limits: SpeechLimits) -> None:
        self._recognizer = recognizer
        self._limits = limits

    async def answer(self, request: web.Request) -> web.StreamResponse:
        form = await _read_form(request, self._limits.max_file_bytes)
        wanted = form.text("response_format", "json")
        if wanted not in _FORMATS:
            raise fields.invalid("response_format", ", ".join(_FORMATS))
        if form.file is None:
            raise ProtocolError("Missing required parameter: 'file'", code="missing_required_parameter", param="file")
        sound = await asyncio.to_thread(decode, form.file, self._limits.max_audio_s)
        language = form.text("language", "") or None
        if form.text("stream", "false").lower() in ("true", "1"):
            return await self._stream_transcript(request, sound, language)
        with closing(self._recognizer.open(_ignore, language)) as stream:
            stream.feed(sound.pcm)
            transcript = await while_connected(request, stream.final())
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
                    text = (await while_connected(request, stream.final())).text
                    last = start + step >= len(sound.pcm)
                    delta = captions.final(text) if last else captions.partial(text)
                    if delta:
                        await events.send({"type": "transcript.text.delta", "delta": delta})
            await events.send({"type": "transcript.text.done", "text": text})
            await events.finish()
        except EngineError as error:
            _log.warning("a transcription failed in its midst", reason=str(error))
            await events.fail(str(error))
            cut(request)
        except (GoneError, ConnectionError):
            cut(request)
        return events.response


class _Form:
    """The fields of a multipart form."""

    def __init__(self) -> None:
        self.file: bytes | None = None
        self.values: list[tuple[str, str]] = []

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.values if key == name]

    def text(self, name: str, default: str) -> str:
        return next((value for key, value in self.values if key == name), default)


async def _read_form(request: web.Request, max_file_bytes: int) -> _Form:
    if not request.content_type.startswith("multipart/"):
        raise ProtocolError("Send the audio as multipart/form-data, with 'file'", code="invalid_content_type")
    form = _Form()
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or part.name is None:
                raise ProtocolError("A part of the form has no name", code="invalid_form")
            if part.name == "file":
                form.file = await _read_part(part, max_file_bytes)
            else:
                value = await _read_part(part, _FIELD_BYTES)
                form.values.append((part.name, value.decode("utf-8", "replace")))
    except ValueError as error:
        raise ProtocolError(f"The form is damaged: {error}", code="invalid_form") from None
    return form


async def _read_part(part: BodyPartReader, limit: int) -> bytes:
    data = bytearray()
    while chunk := await part.read_chunk(64 * 1024):
        data += chunk
        if len(data) > limit:
            raise ProtocolError(f"'{part.name}' is larger than {limit} bytes", code="too_large", param=part.name)
    return bytes(part.decode(bytes(data)))


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
