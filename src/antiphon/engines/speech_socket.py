"""vLLM-Omni's WebSocket for speech, ``/v1/audio/speech/stream``: one connection for many pieces, with word times.

A connection is opened when a reply begins, so that its handshake runs while the language model still writes, and then
serves the next reply. Older servers hang up after each piece; then each has a connection of its own. Leaving in
mid-piece closes the connection, which the server takes for an abort.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

import structlog
from aiohttp import ClientWebSocketResponse

from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice, Word
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.openai_speech import OpenAISpeech
from antiphon.engines.segments import parts_of
from antiphon.engines.speech_server import SILENT_S, SpeechServer, hang_up
from antiphon.engines.speech_utterance import HungUpError, Utterance
from antiphon.errors import EngineError

_PATH = "/audio/speech/stream"
_MOST_CHARS = 4000
_IDLE_S = 25.0
"""vLLM-Omni leaves a connection that is idle for 30 s."""
_OPTIONAL = ("word_timestamps", "speed")
"""What a server may refuse; it is not sent again then."""

_log = structlog.get_logger(__name__)


class SpeechSocket:
    """The Synthesizer over such a server. Its model and its voices are looked up over HTTP at the same address."""

    def __init__(
        self,
        base_url: str,
        model: str = "",
        voices: Sequence[str] = (),
        *,
        api_key: str = "",
        rate_hz: int = WIRE_PCM_RATE_HZ,
        language: str = "",
        word_times: bool = False,
        silent_s: float = SILENT_S,
    ) -> None:
        """``base_url`` begins with ws or wss. ``word_times``: the server was started with a forced aligner.

        ``rate_hz`` is that of the server's PCM, where it does not say so itself.
        """
        url = re.sub("^ws", "http", base_url)
        self._listed = OpenAISpeech(url, model, voices, api_key=api_key, language=language, silent_s=silent_s)
        self._server = SpeechServer(url, api_key, silent_s)
        self._rate_hz = rate_hz
        self._silent_s = silent_s
        self._refused = set() if word_times else {"word_timestamps"}
        self._idle: list[tuple[float, ClientWebSocketResponse]] = []

    @property
    def name(self) -> str:
        return self._listed.name

    @property
    def description(self) -> str:
        return f"{self._listed.description}, over a WebSocket"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self._listed.voices

    @property
    def capabilities(self) -> Capabilities:
        return self._listed.capabilities

    async def load(self) -> None:
        """Sees to it that the server answers and has the WebSocket. Raises EngineError."""
        await self._listed.load()
        self._keep(await self._server.socket(_PATH))

    async def close(self) -> None:
        idle, self._idle = self._idle, []
        for _, socket in idle:
            await hang_up(socket)
        await self._server.close()
        await self._listed.close()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        opening = asyncio.create_task(self._open_ahead())
        segment = 0
        try:
            async for piece in text:
                await asyncio.wait([opening])
                samples = 0
                for part in parts_of(piece, _MOST_CHARS):
                    began = samples
                    async with aclosing(self._sound(part.text, voice)) as sound:
                        async for pcm, words in sound:
                            moved = tuple(_moved(word, part.start_char, began) for word in words)
                            yield AudioChunk(pcm, segment, moved)
                            samples += len(pcm) // 2
                yield AudioChunk(b"", segment, last=True)
                segment += 1
        finally:
            opening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await opening
            if isinstance(text, AsyncGenerator):
                await text.aclose()

    async def _sound(self, text: str, voice: Voice) -> AsyncGenerator[tuple[bytes, tuple[Word, ...]]]:
        """One piece. A connection that the server left, or a field that it refuses, costs one more try."""
        if not any(character.isalnum() for character in text):
            return
        while True:
            socket, used = await self._take()
            heard = False
            try:
                utterance = Utterance(socket, text, self._rate_hz, self._silent_s)
                async with aclosing(utterance.sound(self._config(voice))) as sound:
                    async for part in sound:
                        heard = heard or bool(part[0])
                        yield part
                if not heard:
                    raise EngineError(f"{self._server.base_url} answered without any audio", retryable=True)
            except EngineError as error:
                await hang_up(socket)
                left = used and (isinstance(error, HungUpError) or "idle" in str(error).lower())
                if heard or not (left or self._forgo(str(error))):
                    raise
            except BaseException:
                await hang_up(socket)  # the server takes it for an abort
                raise
            else:
                self._keep(socket)
                return

    def _config(self, voice: Voice) -> dict[str, Any]:
        voices = [info.name for info in self.voices]
        config: dict[str, Any] = {
            "model": self._listed.model,
            "voice": voice.name if voice.name in voices else voices[0],
            "response_format": "pcm",
            "stream_audio": True,
        }
        optional = {"word_timestamps": True} | ({"speed": voice.speed} if voice.speed != 1.0 else {})
        return config | {key: value for key, value in optional.items() if key not in self._refused}

    def _forgo(self, said: str) -> bool:
        """Sees to it that a refused field is not sent again; False when it was none that can be left out."""
        for field in _OPTIONAL:
            if field not in self._refused and re.search(rf"\b{field}\b", said):
                _log.warning("speech_field_refused", server=self._server.base_url, field=field, said=said)
                self._refused.add(field)
                return True
        return False

    async def _open_ahead(self) -> None:
        """Sees to it that a connection waits for the first piece; who then needs one hears why there is none."""
        with contextlib.suppress(EngineError):
            self._keep((await self._take())[0])

    async def _take(self) -> tuple[ClientWebSocketResponse, bool]:
        """A connection, and whether it has waited here."""
        while self._idle:
            since, socket = self._idle.pop()
            if not socket.closed and time.monotonic() - since < _IDLE_S:
                return socket, True
            await hang_up(socket)
        return await self._server.socket(_PATH), False

    def _keep(self, socket: ClientWebSocketResponse) -> None:
        if not socket.closed:
            self._idle.append((time.monotonic(), socket))


def _moved(word: Word, chars: int, samples: int) -> Word:
    return Word(word.start_char + chars, word.end_char + chars, word.start_sample + samples, word.end_sample + samples)
