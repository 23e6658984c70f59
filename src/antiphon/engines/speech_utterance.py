"""One piece of text over vLLM-Omni's WebSocket for speech: ``session.config``, ``input.text``, ``input.done`` go out;
``audio.start``, PCM, ``audio.done`` and ``session.done`` come back.

Where the server was started with a forced aligner and asked for word times, the PCM comes as ``audio.chunk`` in base64,
and the last of them, without audio, carries the words of the whole piece.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import AsyncGenerator
from typing import Any

import orjson
from aiohttp import ClientWebSocketResponse, WSMsgType

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import Word
from antiphon.engines.served_sound import ServedSound
from antiphon.errors import EngineError


class HungUpError(EngineError):
    """The server left before it had said all."""


class Utterance:
    """``text`` spoken over ``socket``, which serves nothing else meanwhile."""

    def __init__(self, socket: ClientWebSocketResponse, text: str, rate_hz: int, silent_s: float) -> None:
        self._socket = socket
        self._text = text
        self._rate_hz = rate_hz
        self._silent_s = silent_s
        self._sound: ServedSound | None = None

    async def sound(self, config: dict[str, Any]) -> AsyncGenerator[tuple[bytes, tuple[Word, ...]]]:
        """Mono s16 at 48 kHz, and words counted from the start of the text and of the audio, as they come.

        Raises EngineError with what the server says; HungUpError when it leaves.
        """
        await self._send("session.config", **config)
        await self._send("input.text", text=self._text)
        await self._send("input.done")
        while True:
            message = await self._next()
            if isinstance(message, bytes):
                part: tuple[bytes, tuple[Word, ...]] = self._heard.push(message), ()
            elif message.get("type") == "session.done":
                break
            else:
                part = self._take(message)
            if any(part):
                yield part
        if pcm := self._heard.finish(self._text):
            yield pcm, ()

    @property
    def _heard(self) -> ServedSound:
        if self._sound is None:
            self._sound = ServedSound(self._rate_hz)
        return self._sound

    def _take(self, message: dict[str, Any]) -> tuple[bytes, tuple[Word, ...]]:
        match message.get("type"):
            case "error":
                raise EngineError(f"the speech server says: {message.get('message')}", retryable=True)
            case "audio.start":
                rate_hz = message.get("sample_rate")
                if self._sound is None and isinstance(rate_hz, int) and rate_hz > 0:
                    self._rate_hz = rate_hz
                if message.get("channels", 1) != 1:
                    raise EngineError(
                        f"the speech server sends {message['channels']} channels, where one can be played"
                    )
            case "audio.chunk":
                return self._heard.push(_decoded(message.get("audio_b64"))), self._words(message.get("timestamps"))
            case "audio.done" if message.get("error"):
                raise EngineError("the speech server failed to speak: see its own log", retryable=True)
            case _:
                pass  # a newer server's
        return b"", ()

    def _words(self, timestamps: Any) -> tuple[Word, ...]:
        """The server's words where the text has them, in order; one that is spelled otherwise is passed over."""
        cut_ms = self._heard.cut_samples * 1000 / self._rate_hz
        words: list[Word] = []
        place = 0
        text = self._text.lower()
        for entry in timestamps if isinstance(timestamps, list) else ():
            try:
                word = str(entry["word"]).strip().lower()
                start, end = (round((entry[key] - cut_ms) * MOUTH_RATE_HZ / 1000) for key in ("start_ms", "end_ms"))
            except (KeyError, TypeError):
                continue
            found = text.find(word, place) if word else -1
            if found >= 0:
                place = found + len(word)
                words.append(Word(found, place, max(0, start), max(0, start, end)))
        return tuple(words)

    async def _send(self, kind: str, **fields: Any) -> None:
        try:
            await self._socket.send_str(orjson.dumps({"type": kind, **fields}).decode())
        except ConnectionError as error:
            raise HungUpError("the speech server hung up", retryable=True) from error

    async def _next(self) -> bytes | dict[str, Any]:
        try:
            async with asyncio.timeout(self._silent_s):
                message = await self._socket.receive()
        except TimeoutError as error:
            raise EngineError(
                f"the speech server was silent for {self._silent_s:g} s: the model may still be loading; try again",
                retryable=True,
            ) from error
        if message.type is WSMsgType.BINARY:
            data: bytes = message.data
            return data
        if message.type is not WSMsgType.TEXT:
            raise HungUpError("the speech server hung up", retryable=True)
        try:
            said = orjson.loads(message.data)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise EngineError("the speech server sent a message that cannot be read: is it vLLM-Omni's WebSocket?")
        return said


def _decoded(audio: Any) -> bytes:
    try:
        return base64.b64decode(audio) if isinstance(audio, str) else b""
    except binascii.Error as error:
        raise EngineError(f"the speech server sent audio that cannot be read: {error}") from error
