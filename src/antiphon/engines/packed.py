"""An engine with the voice packs of its family: they are voices like its own, and can change while it speaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Protocol

import structlog

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import Synthesizer, VoiceInfo
from antiphon.engines.capabilities import Capabilities, capabilities_of
from antiphon.engines.optional import prepare_voice
from antiphon.engines.pack_folder import METADATA, Packs
from antiphon.engines.voice_pack import TakesPacks, VoicePack
from antiphon.errors import AntiphonError, EngineError

_log = structlog.get_logger(__name__)


class PackSynthesizer(Synthesizer, TakesPacks, Protocol):
    """A synthesizer that takes packs."""


class PackedSynthesizer:
    """The voices of ``engine`` and, after them, its packs. A pack that cannot be used is logged and left out."""

    def __init__(
        self, engine: PackSynthesizer, packs: Packs, read_again: Callable[[], Packs], *, for_packs_alone: bool = False
    ) -> None:
        """``packs`` and what ``read_again`` gives (in a thread) are those of the engine's family.

        ``for_packs_alone``: nobody asked for the engine itself, so that it cannot be loaded is no error.
        """
        self.engine = engine
        self._read_again = read_again
        self._for_packs_alone = for_packs_alone
        self._packs: dict[str, VoicePack] = {}
        self._infos: dict[str, VoiceInfo] = {}
        self._problems = [(problem.pack, str(problem)) for problem in packs.problems]
        self._changing = asyncio.Lock()
        for pack in packs.packs:
            try:
                self._keep(pack, self._described(pack))
            except EngineError as error:
                self._problems.append((pack.full_name, str(error)))

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def description(self) -> str:
        return self.engine.description

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return (*self.engine.voices, *self._infos.values())

    @property
    def capabilities(self) -> Capabilities:
        known = capabilities_of(self.engine)
        languages = dict.fromkeys((*known.languages, *(info.language for info in self._infos.values())))
        return replace(known, languages=tuple(languages), voices=self.voices)

    async def load(self) -> None:
        try:
            await self.engine.load()
        except EngineError as error:
            if not self._for_packs_alone:
                raise
            _log.warning("voice_packs_without_engine", engine=self.name, packs=list(self._packs), why=str(error))
            self._packs, self._infos = {}, {}
            return
        async with self._changing:
            for pack in tuple(self._packs.values()):
                try:
                    await self._add(pack)
                except EngineError as error:
                    self._problems.append((pack.full_name, str(error)))
                    self._forget(pack.id)
        for name, why in self._problems:
            _log.warning("voice_pack_not_used", pack=name, why=why)

    async def close(self) -> None:
        await self.engine.close()

    async def reload(self) -> bool:
        """Reads the packs again. Those that cannot be used now stay as they were; raises EngineError then."""
        async with self._changing:
            found = await asyncio.to_thread(self._read_again)
            told = [str(problem) for problem in found.problems]
            there = {problem.pack.partition(":")[2] for problem in found.problems} | {pack.id for pack in found.packs}
            for pack_id in self._packs.keys() - there:
                await self.engine.remove_pack(pack_id)
                self._forget(pack_id)
                _log.info("voice_pack_removed", engine=self.name, pack=pack_id)
            for pack in found.packs:
                if self._packs.get(pack.id) == pack:
                    continue
                try:
                    info = self._described(pack)
                    await self._add(pack)
                except EngineError as error:
                    told.append(str(error))
                    continue
                self._keep(pack, info)
                _log.info("voice_pack_taken", engine=self.name, pack=pack.id, version=pack.version)
        if told:
            raise EngineError("\n".join(told))
        return True

    async def prepare(self, voice: Voice) -> None:
        await prepare_voice(self.engine, self._own(voice))

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        async with aclosing(self.engine.speak(text, self._own(voice))) as chunks:
            async for chunk in chunks:
                yield chunk

    def _own(self, voice: Voice) -> Voice:
        """As the engine is asked for it."""
        pack = self._packs.get(voice.name.lower())
        return voice if pack is None else Voice(pack.id, voice.speed * pack.speed)

    def _described(self, pack: VoicePack) -> VoiceInfo:
        """Raises EngineError."""
        if pack.id in {voice.name.lower() for voice in self.engine.voices}:
            raise EngineError(f"{pack.folder}: {self.name} has a voice of that name already: rename the folder")
        try:
            info = self.engine.pack_voice(pack)
        except EngineError as error:
            raise EngineError(f"{pack.folder / METADATA}: {error}") from error
        return replace(info, name=pack.id, loudness_lufs=pack.loudness_lufs, version=pack.version)

    async def _add(self, pack: VoicePack) -> None:
        """Raises EngineError, whatever broken files do to the engine."""
        try:
            await self.engine.add_pack(pack)
        except AntiphonError as error:
            raise EngineError(f"{pack.folder}: {error}") from error
        except Exception as error:
            raise EngineError(f"{pack.folder} cannot be used ({type(error).__name__}: {error})") from error

    def _keep(self, pack: VoicePack, info: VoiceInfo) -> None:
        self._packs[pack.id] = pack
        self._infos[pack.id] = info

    def _forget(self, pack_id: str) -> None:
        self._packs.pop(pack_id, None)
        self._infos.pop(pack_id, None)
