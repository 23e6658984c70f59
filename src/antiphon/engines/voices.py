"""The voices of several synthesizers as one synthesizer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import Synthesizer, VoiceInfo
from antiphon.engines.optional import prepare_voice, reload_voices
from antiphon.engines.voice_names import NamedVoice, VoiceNames
from antiphon.errors import ConfigError, EngineError


class MultiSynthesizer:
    """Offers voices under full names, "pico:en-US", and sends each text to the engine that has the voice.

    The first engine's default voice is the default here.
    """

    def __init__(self, engines: Sequence[Synthesizer]) -> None:
        """Raises ConfigError where none of them has a voice."""
        self._engines = tuple(engines)
        self._by_name = self._all_voices()
        if not self._by_name:
            names = ", ".join(engine.name for engine in self._engines)
            raise ConfigError(f"{names} has no voice of its own: name one, as in piper:VOICE, or add a voice pack")
        self._names = self._all_names()

    @property
    def name(self) -> str:
        return self._engines[0].name

    @property
    def description(self) -> str:
        others = [engine.name.partition(":")[0] for engine in self._engines[1:]]
        also = f"; also the voices of {' and '.join(others)}" if others else ""
        return self._engines[0].description + also

    @property
    def engines(self) -> tuple[Synthesizer, ...]:
        return self._engines

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(replace(voice, name=name) for name, (_, voice) in self._by_name.items())

    async def load(self) -> None:
        """Loads all engines at once. Raises the first EngineError."""
        await asyncio.gather(*(engine.load() for engine in self._engines))
        self._look()

    async def close(self) -> None:
        for engine in self._engines:
            await engine.close()

    async def add(self, engine: Synthesizer) -> None:
        """Loads one more, whose voices come last. Raises EngineError."""
        await engine.load()
        self._engines = (*self._engines, engine)
        self._look()

    async def reload(self, engine_name: str | None = None) -> bool:
        """As ``Reloading.reload``, of all engines or of those that are called so, before the colon."""
        known, told = False, []
        for engine in self._engines:
            if engine_name not in (None, engine.name.partition(":")[0]):
                continue
            try:
                known = await reload_voices(engine) or known
            except EngineError as error:
                told.append(str(error))
        self._look()
        if told:
            raise EngineError("\n".join(told))
        return known

    def find(self, name: str) -> str | None:
        """As ``VoiceNames.find``."""
        return self._names.find(name)

    def resolve(self, name: str) -> str:
        """As ``VoiceNames.resolve``."""
        return self._names.resolve(name)

    async def prepare(self, voice: Voice) -> None:
        engine, own = self._by_name[self.resolve(voice.name)]
        await prepare_voice(engine, Voice(own.name, voice.speed))

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        engine, own = self._by_name[self.resolve(voice.name)]
        async with aclosing(engine.speak(text, Voice(own.name, voice.speed))) as chunks:
            async for chunk in chunks:
                yield chunk

    def _look(self) -> None:
        """Puts the voices together again."""
        found = self._all_voices()
        if found:  # else the old ones stay: there is always one
            self._by_name = found
            self._names = self._all_names()

    def _all_voices(self) -> dict[str, tuple[Synthesizer, VoiceInfo]]:
        return {
            f"{engine.name.partition(':')[0]}:{voice.name}": (engine, voice)
            for engine in self._engines
            for voice in engine.voices
        }

    def _all_names(self) -> VoiceNames:
        return VoiceNames([NamedVoice(engine.name.partition(":")[0], own) for engine, own in self._by_name.values()])
