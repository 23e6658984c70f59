"""Any server with OpenAI's ``/v1/audio/speech``: vLLM-Omni, SGLang-Omni, Speaches, another Antiphon, OpenAI itself.

The audio is asked for as raw PCM that streams, and each piece of text is one request. How a server is told to stream
differs: OpenAI and SGLang-Omni read ``stream_format``, vLLM-Omni and SGLang-Omni ``stream``, and their defaults are not
the same, so both are sent. A field that a server refuses is not sent to it again. A server that answers with events all
the same is understood too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import structlog

from antiphon.audio import WIRE_PCM_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.segments import parts_of
from antiphon.engines.served_sound import ServedSound, pcm_of_events
from antiphon.engines.speech_server import SILENT_S, RefusedError, SpeechServer
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import ClientResponse

_log = structlog.get_logger(__name__)

_OPENAI_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse")
_UNKNOWN_LANGUAGE = "und"
_MOST_CHARS = 4000
"""OpenAI takes 4096 in one request."""
_SPEEDS = (0.25, 4.0)
_RATE = re.compile(r"rate=(\d+)")
_EVENTS = "text/event-stream"
_NOT_PCM = (b"RIFF", b"ID3", b"OggS", b"fLaC", b"data", b"{")


class OpenAISpeech:
    """The Synthesizer over a speech server. Its voices are those named, else those that the server lists."""

    def __init__(
        self,
        base_url: str,
        model: str = "",
        voices: Sequence[str] = (),
        *,
        api_key: str = "",
        rate_hz: int = WIRE_PCM_RATE_HZ,
        language: str = "",
        silent_s: float = SILENT_S,
    ) -> None:
        """Without ``model`` the first that the server lists is taken. ``language`` (BCP 47) is that of its voices.

        ``rate_hz`` is that of the server's PCM, where it does not say so itself.
        """
        self._server = SpeechServer(base_url, api_key, silent_s)
        self._model = model
        self._voices = tuple(voices)
        self._language = language
        self._rate_hz = rate_hz
        self._refused: set[str] = {"stream"} if self._server.is_openai else set()

    @property
    def model(self) -> str:
        return self._model

    @property
    def name(self) -> str:
        return f"openai:{self._model}"

    @property
    def description(self) -> str:
        return f"{self._model} at {self._server.host} ({self._server.base_url})"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(VoiceInfo(name, self._language or _UNKNOWN_LANGUAGE) for name in self._voices or ("default",))

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(languages=(self._language,) if self._language else (), voices=self.voices)

    async def load(self) -> None:
        """Sees to it that the server answers, and asks for its voices. Raises EngineError."""
        self._model = self._model or await self._server.first_model()
        listed = _names_in(await self._server.get_json("/audio/voices"))
        if not self._voices:
            self._voices = listed or (_OPENAI_VOICES if self._server.is_openai else ())

    async def close(self) -> None:
        await self._server.close()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        segment = 0
        try:
            async for piece in text:
                for part in parts_of(piece, _MOST_CHARS):
                    async with aclosing(self._audio(part.text, voice)) as audio:
                        async for pcm in audio:
                            yield AudioChunk(pcm, segment)
                yield AudioChunk(b"", segment, last=True)
                segment += 1
        finally:
            if isinstance(text, AsyncGenerator):
                await text.aclose()

    async def _audio(self, text: str, voice: Voice) -> AsyncGenerator[bytes]:
        """One request's audio at 48 kHz, without the silence around it."""
        if not any(character.isalnum() for character in text):
            return
        while True:
            body = self._body(text, voice)
            try:
                async with (
                    self._server.post("/audio/speech", json=body) as response,
                    aclosing(self._converted(response, text)) as audio,
                ):
                    async for pcm in audio:
                        yield pcm
                return
            except RefusedError as error:
                self._forgo(error, body)

    def _body(self, text: str, voice: Voice) -> dict[str, Any]:
        low, high = _SPEEDS
        name = voice.name if voice.name in self._voices or not self._voices else self._voices[0]
        body: dict[str, Any] = {"model": self._model, "input": text, "voice": name, "response_format": "pcm"}
        optional = {"stream_format": "audio", "stream": True}
        if voice.speed != 1.0:
            optional["speed"] = min(max(voice.speed, low), high)
        return body | {key: value for key, value in optional.items() if key not in self._refused}

    def _forgo(self, error: RefusedError, body: dict[str, Any]) -> None:
        """Sees to it that a refused field is not sent again; raises ``error`` when it was none that can be left out."""
        for field in ("stream_format", "stream", "speed"):
            if field in body and re.search(rf"\b{field}\b", error.said):
                _log.warning("speech_field_refused", server=self._server.base_url, field=field, said=error.said)
                self._refused.add(field)
                return
        raise error

    async def _converted(self, response: ClientResponse, text: str) -> AsyncGenerator[bytes]:
        sound = ServedSound(self._rate_of(response))
        data = response.content.iter_any()
        began = False
        async with aclosing(pcm_of_events(data) if response.content_type == _EVENTS else _all_of(data)) as parts:
            async for part in parts:
                if not began:
                    began = True
                    self._check(response, part)
                if pcm := sound.push(part):
                    yield pcm
        if not began:
            raise EngineError(f"{self._server.base_url} answered without any audio", retryable=True)
        if pcm := sound.finish(text):
            yield pcm

    def _rate_of(self, response: ClientResponse) -> int:
        said = response.headers.get("X-Sample-Rate", "")
        found = _RATE.search(response.headers.get("Content-Type", ""))
        if said.isdecimal() and int(said):
            return int(said)
        return int(found[1]) if found and int(found[1]) else self._rate_hz

    def _check(self, response: ClientResponse, data: bytes) -> None:
        kind = response.content_type
        is_text = (kind.startswith("text/") and kind != _EVENTS) or kind == "application/json"
        if is_text or data.startswith(_NOT_PCM):
            said = data[:100].decode(errors="replace")
            raise EngineError(
                f"{self._server.base_url} was asked for raw PCM and sent {kind} ({said!r}): is it a speech server?"
            )


async def _all_of(data: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    async for part in data:
        if part:
            yield part


def _names_in(listed: Any) -> tuple[str, ...]:
    """The voices in a list of names or of objects, as servers give them under "voices" or "data"."""
    entries = listed.get("voices") or listed.get("data") if isinstance(listed, dict) else listed
    if not isinstance(entries, list):
        return ()
    names = (
        entry.get("id") or entry.get("voice_id") or entry.get("name") if isinstance(entry, dict) else entry
        for entry in entries
    )
    return tuple(name for name in names if isinstance(name, str) and name)
