"""What small synthesizers without a neural model have in common: they speak in threads, with one voice per language.

A voice goes by its language's BCP 47 name, in upper or lower case; a voice pack is one of them in another style.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.segments import Emit, speak_segments
from antiphon.engines.voice_pack import VoicePack
from antiphon.errors import ConfigError, EngineError

S = TypeVar("S")
"""How an engine is set to speak: the voice, its pitch, ..."""


class ClassicSynthesizer(ABC, Generic[S]):
    """A Synthesizer that takes packs, but for how it renders."""

    def __init__(
        self, family: str, engine: str, voice: str, loudness_lufs: Mapping[str, float], *, threads: int
    ) -> None:
        """``engine`` is what people call it; ``loudness_lufs`` has its languages, and how loud each one's voice is.

        ``voice`` is the default. Raises ConfigError when there is none of that name.
        """
        self._known = {language.lower(): language for language in loudness_lufs}
        self._languages = ", ".join(loudness_lufs)
        if voice.lower() not in self._known:
            raise ConfigError(f"{engine} has no voice {voice!r}: choose one of {self._languages}")
        self._family = family
        self._engine = engine
        self._default = self._known[voice.lower()]
        self._loudness_lufs = loudness_lufs
        self._packs: dict[str, S] = {}
        self._executor = ThreadPoolExecutor(threads, family)

    @property
    def name(self) -> str:
        return f"{self._family}:{self._default}"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        others = [language for language in self._loudness_lufs if language != self._default]
        return tuple(
            VoiceInfo(language, language, repeatable=True, loudness_lufs=self._loudness_lufs[language])
            for language in (self._default, *others)
        )

    async def load(self) -> None:
        """Raises EngineError when the package is not installed, or its data is missing or broken."""
        await self._in_thread(self._style_in(self._default))

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        style = self._packs.get(voice.name)
        if style is None:
            style = self._style_in(self._known.get(voice.name.lower(), self._default))

        def render(part: str, emit: Emit) -> None:
            self._render(part, style, voice.speed, emit)

        chunks = speak_segments(text, self._executor, render)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    async def add_pack(self, pack: VoicePack) -> None:
        style = self._style_of(pack)
        await self._in_thread(style)
        self._packs[pack.id] = style

    async def remove_pack(self, pack_id: str) -> None:
        self._packs.pop(pack_id, None)

    def _language_of(self, pack: VoicePack) -> str:
        """Raises EngineError."""
        language = self._known.get(pack.languages[0].lower())
        if language is None:
            raise EngineError(f"languages: {self._engine} has no {pack.languages[0]}: choose one of {self._languages}")
        return language

    async def _in_thread(self, style: S) -> None:
        await asyncio.get_running_loop().run_in_executor(self._executor, self._try, style)

    def _try(self, style: S) -> None:
        """Says a word to nobody, in a thread: what is needed is loaded then. Raises EngineError."""
        self._render("Ready.", style, 1.0, lambda _pcm, _words: True)

    @abstractmethod
    def _style_in(self, language: str) -> S:
        """That of the language's own voice."""

    @abstractmethod
    def _style_of(self, pack: VoicePack) -> S:
        """Raises EngineError for a pack that asks for what the engine cannot do, naming the key."""

    @abstractmethod
    def _render(self, text: str, style: S, speed: float, emit: Emit) -> None:
        """Speaks one part, in a thread; ``speed`` counts in the engine's own pace. Raises EngineError."""
