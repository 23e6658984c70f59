"""What synthesizers have in common whose one model speaks as whoever it was given: own voices, and voice packs."""

from __future__ import annotations

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.segments import Emit, speak_segments
from antiphon.engines.voice_pack import VoicePack
from antiphon.errors import EngineError

STREAMS = 8
"""So many texts take turns at a time; more wait for the end of a part."""


ModelT = TypeVar("ModelT")
VoiceT = TypeVar("VoiceT")


class _Kept(Generic[VoiceT]):
    """A voice, and how many texts are spoken with it."""

    def __init__(self, voice: VoiceT) -> None:
        self.voice = voice
        self.users = 0
        self.retired = False


class CloningSynthesizer(ABC, Generic[ModelT, VoiceT]):
    """A Synthesizer that takes voice packs. All work on the model is done in threads of its own.

    A pack that is taken away or replaced while somebody speaks with it is kept until the last one has spoken.
    """

    def __init__(self, family: str, *, streams: int = STREAMS) -> None:
        """``family`` is how people call it."""
        self._family = family
        self._model: ModelT | None = None
        self._own: dict[str, VoiceT] = {}
        self._packs: dict[str, _Kept[VoiceT]] = {}
        self._executor = ThreadPoolExecutor(streams, family)

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def voices(self) -> tuple[VoiceInfo, ...]: ...

    async def load(self) -> None:
        """Raises EngineError when packages, the model, its voices or the device are missing, or files are broken."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._executor, self._read_model)
        own = await loop.run_in_executor(self._executor, self._own_voices, model)
        warm_up = partial(self._render, model, self._first_voice(model, own), 1.0, threading.Event())
        await loop.run_in_executor(self._executor, warm_up, "Ready.", _one_chunk)
        self._own, self._model = own, model

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._model = None
        self._own, self._packs = {}, {}

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        model = self._loaded()
        kept = self._packs.get(voice.name) or _Kept(self._own_voice(voice.name))
        stop = threading.Event()
        chunks = speak_segments(text, self._executor, partial(self._render, model, kept.voice, voice.speed, stop))
        kept.users += 1
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            stop.set()
            try:
                await chunks.aclose()
            finally:
                kept.users -= 1
                if kept.retired:
                    await self._retire(kept)

    @abstractmethod
    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        """The voice that ``pack`` would be. Raises EngineError when it cannot be used here."""

    async def add_pack(self, pack: VoicePack) -> None:
        """Raises EngineError; a pack of that id that was there stays as it was."""
        self.pack_voice(pack)
        model = self._loaded()
        voice = await asyncio.get_running_loop().run_in_executor(self._executor, self._read_checked, model, pack)
        old = self._packs.get(pack.id)
        self._packs[pack.id] = _Kept(voice)
        if old is not None:
            await self._retire(old)

    async def remove_pack(self, pack_id: str) -> None:
        if (kept := self._packs.pop(pack_id, None)) is not None:
            await self._retire(kept)

    async def _retire(self, kept: _Kept[VoiceT]) -> None:
        kept.retired = True
        if not kept.users and self._model is not None:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._forget, self._model, kept.voice)

    def _loaded(self) -> ModelT:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        return self._model

    def _own_voice(self, name: str) -> VoiceT:
        """That of the name, else the first."""
        if not self._own:
            raise EngineError(f"{self._family} has no voice pack {name!r}, or has it no longer", retryable=True)
        return self._own.get(name) or next(iter(self._own.values()))

    def _read_checked(self, model: ModelT, pack: VoicePack) -> VoiceT:
        try:
            return self._read_voice(model, pack)
        except EngineError:
            raise
        except Exception as error:  # whatever a broken file does to the libraries
            raise EngineError(f"it cannot be used with this model ({error})") from error

    def _render(self, model: ModelT, voice: VoiceT, speed: float, stop: threading.Event, text: str, emit: Emit) -> None:
        """Speaks one part."""
        readable = text.replace("\0", " ").encode("utf-8", "ignore").decode()
        if stop.is_set() or not any(character.isalnum() for character in readable):
            return
        try:
            self._speak_part(model, voice, speed, stop, readable, emit)
        except Exception as error:
            if not stop.is_set():
                raise EngineError(f"{self._family} could not speak this text ({error})") from error

    # What each has for itself, all of it in the threads.

    @abstractmethod
    def _read_model(self) -> ModelT:
        """Raises EngineError."""

    @abstractmethod
    def _own_voices(self, model: ModelT) -> dict[str, VoiceT]:
        """The voices that come with the model, the default one first. Raises EngineError."""

    @abstractmethod
    def _read_voice(self, model: ModelT, pack: VoicePack) -> VoiceT:
        """The voice of a pack that ``pack_voice`` has found usable. May raise anything."""

    @abstractmethod
    def _speak_part(
        self, model: ModelT, voice: VoiceT, speed: float, stop: threading.Event, text: str, emit: Emit
    ) -> None:
        """Renders ``text``, in which there is something to say, until ``stop`` is set. May raise anything."""

    def _forget(self, model: ModelT, voice: VoiceT) -> None:
        """Nobody speaks with it any more, and nobody will."""

    def _first_voice(self, model: ModelT, own: dict[str, VoiceT]) -> VoiceT:
        """With which the model is warmed up."""
        return next(iter(own.values()))


def need_files(folder: Path, files: tuple[str, ...], family: str) -> None:
    """Raises EngineError when one of ``files`` is not in ``folder``."""
    for file in files:
        if not (folder / file).is_file():
            raise EngineError(f"there is no {folder / file}: a {family} model is a folder with {', '.join(files)}")


def need_recording(pack: VoicePack, family: str) -> Path:
    """Raises EngineError when ``pack`` has none."""
    if pack.reference_audio is None:
        raise EngineError(f"reference_audio: {family} needs a recording to clone")
    return pack.reference_audio


def _one_chunk(_pcm: bytes, _words: object) -> bool:
    """The emit of a warm-up."""
    return False
