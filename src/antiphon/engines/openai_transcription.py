"""Any server with OpenAI's ``/v1/audio/transcriptions``: vLLM, Speaches, whisper.cpp, another Antiphon, OpenAI itself.

Each final is one request with the whole turn. Word times come from servers that give ``verbose_json`` with words; one
that refuses that is asked for plain JSON from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import structlog

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import HeardWord, Transcript
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.speech_server import SILENT_S, RefusedError, SpeechServer
from antiphon.engines.whole_turns import WholeTurn
from antiphon.errors import EngineError
from antiphon.riff import wav_of

_log = structlog.get_logger(__name__)


class OpenAITranscription:
    """The Recognizer over a transcription server. It makes partials only if asked to: each is a request of its own."""

    def __init__(
        self,
        base_url: str,
        model: str = "",
        *,
        api_key: str = "",
        language: str = "",
        partial_every_s: float | None = None,
        silent_s: float = SILENT_S,
    ) -> None:
        """Without ``model`` the first that the server lists is taken.

        ``language`` (BCP 47) is for turns that name none; without it the server finds out itself.
        """
        self._server = SpeechServer(base_url, api_key, silent_s)
        self._model = model
        self._language = language
        self._partial_every_s = partial_every_s
        self._gives_words = True

    @property
    def name(self) -> str:
        return f"openai:{self._model}"

    @property
    def description(self) -> str:
        return f"{self._model} at {self._server.host} ({self._server.base_url})"

    @property
    def capabilities(self) -> Capabilities:
        languages = (self._language,) if self._language else ()
        return Capabilities(streaming=self._partial_every_s is not None, languages=languages)

    async def load(self) -> None:
        """Sees to it that the server answers. Raises EngineError."""
        first = await self._server.first_model()
        self._model = self._model or first

    async def close(self) -> None:
        await self._server.close()

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> WholeTurn:
        wanted = (language or self._language).partition("-")[0]

        async def recognize(pcm: bytes, _final: bool) -> Transcript:
            return await self._transcribe(pcm, wanted)

        return WholeTurn(recognize, on_partial, self._partial_every_s, self.name)

    async def _transcribe(self, pcm: bytes, language: str) -> Transcript:
        while True:
            try:
                async with self._server.post("/audio/transcriptions", data=self._form(pcm, language)) as response:
                    return self._read(await response.json(content_type=None))
            except ValueError as error:
                raise EngineError(f"{self._server.base_url} sent something that is no transcript ({error})") from error
            except RefusedError as error:
                if not self._gives_words or not any(word in error.said for word in ("verbose", "granularit", "format")):
                    raise
                _log.info("transcription_without_words", server=self._server.base_url, said=error.said)
                self._gives_words = False

    def _form(self, pcm: bytes, language: str) -> aiohttp.FormData:
        form = aiohttp.FormData()
        form.add_field("file", wav_of(pcm, EAR_RATE_HZ), filename="turn.wav", content_type="audio/wav")
        form.add_field("model", self._model)
        if language:
            form.add_field("language", language)
        form.add_field("response_format", "verbose_json" if self._gives_words else "json")
        if self._gives_words:
            form.add_field("timestamp_granularities[]", "word")
        return form

    def _read(self, answer: Any) -> Transcript:
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):
            raise EngineError(f"{self._server.base_url} sent something that is no transcript ({str(answer)[:100]})")
        try:
            words = tuple(
                HeardWord(str(word["word"]).strip(), round(word["start"] * 1000), round(word["end"] * 1000))
                for word in answer.get("words") or ()
            )
        except (KeyError, TypeError) as error:
            raise EngineError(f"{self._server.base_url} sent words that cannot be read ({error!r})") from error
        return Transcript(answer["text"].strip(), words)
