"""Sesame CSM (Apache-2.0): an English model that speaks as the speaker of a recording, or as an adapter taught it.

The library transformers runs it, peft its adapters (LoRA); they are switched between frames, the model stays. With its
thousand million parameters it needs a GPU for conversations. A recording is read once, when its pack is added: what is
spoken then costs no more than without one. It has a pace of its own, whatever is asked for.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.model_files import is_path, model_folder
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit, speak_segments
from antiphon.engines.torch_device import AUTO, check_device, find_device, use_own_threads
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from antiphon.engines.csm_model import CsmModel, CsmVoice

DEFAULT_MODEL = "1b"
LANGUAGE = "en"

_STREAMS = 8
"""So many texts take turns at a time; more wait for the end of a part."""
_SPEAKERS = ("speaker-0", "speaker-1")
"""Voices that the model makes up as it speaks; each text may sound like somebody else."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_OPTIONS: dict[str, tuple[type, ...]] = {"speaker": (int,)}
_MOST_SPEAKER = 9


class _Used:
    """A voice of a pack, and how many speak with it."""

    def __init__(self, voice: CsmVoice) -> None:
        self.voice = voice
        self.users = 0
        self.retired = False


class CsmSynthesizer:
    """The Synthesizer over one CSM model. Takes voice packs with reference audio and its text, with LoRA, or both."""

    def __init__(self, model: str = DEFAULT_MODEL, *, device: str = AUTO) -> None:
        """``model`` is one that was pulled, a folder's path, or a repository of the hub that is in its cache.

        ``device`` is as for ``torch_device``. Raises ConfigError.
        """
        self._model_name = model
        self._short = Path(model).name if is_path(model) else model
        self._device = check_device(device)
        self._model: CsmModel | None = None
        self._own: dict[str, CsmVoice] = {}
        self._packs: dict[str, _Used] = {}
        self._executor = ThreadPoolExecutor(_STREAMS, "csm")

    @property
    def name(self) -> str:
        return f"csm:{self._short}"

    @property
    def description(self) -> str:
        return f"Sesame CSM, {self._short}, on {'any device' if self._device == AUTO else self._device}: cloned voices"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(VoiceInfo(name, LANGUAGE) for name in _SPEAKERS)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(zero_shot=True, lora=True, cpu=False, languages=(LANGUAGE,), voices=self.voices)

    async def load(self) -> None:
        """Raises EngineError when the packages, the model or the device are missing, or its files are broken."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._executor, _read_model, self._source(), self._device)
        for number, name in enumerate(_SPEAKERS):
            self._own[name] = model.read_voice(number, None, "", None)
        voice = self._own[_SPEAKERS[0]]
        await loop.run_in_executor(self._executor, _render, model, voice, threading.Event(), "Ready.", _one_chunk)
        self._model = model

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._model = None
        self._own, self._packs = {}, {}

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        model = self._loaded()
        used = self._packs.get(voice.name) or _Used(self._own.get(voice.name) or self._own[_SPEAKERS[0]])
        stop = threading.Event()
        chunks = speak_segments(text, self._executor, partial(_render, model, used.voice, stop))
        used.users += 1
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            stop.set()
            try:
                await chunks.aclose()
            finally:
                used.users -= 1
                if used.retired:
                    await self._retire(used)

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "CSM", takes=("reference_audio", "lora"), options=_OPTIONS)
        _speaker(pack)
        if pack.reference_audio is not None and not pack.reference_text:
            raise EngineError("reference_text: CSM needs to know what is said in reference_audio")
        if pack.reference_audio is None and pack.lora is None:
            raise EngineError("reference_audio: CSM needs it with reference_text, or lora, or both")
        return VoiceInfo(pack.id, pack.languages[0])

    async def add_pack(self, pack: VoicePack) -> None:
        self.pack_voice(pack)
        model = self._loaded()
        loop = asyncio.get_running_loop()
        voice = await loop.run_in_executor(self._executor, _read_pack, model, pack)
        old = self._packs.get(pack.id)
        self._packs[pack.id] = _Used(voice)
        if old is not None:
            await self._retire(old)

    async def remove_pack(self, pack_id: str) -> None:
        if (used := self._packs.pop(pack_id, None)) is not None:
            await self._retire(used)

    async def _retire(self, used: _Used) -> None:
        """Its adapter leaves the memory at once, or with the last reply that is spoken with it."""
        used.retired = True
        if not used.users and self._model is not None:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, self._model.forget, used.voice)

    def _loaded(self) -> CsmModel:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        return self._model

    def _source(self) -> str:
        """What the library is given. Raises EngineError."""
        if not is_path(self._model_name):
            return str(model_folder("csm", self._model_name))
        folder = Path(self._model_name).expanduser()
        if folder.is_dir():
            return str(folder)
        if _REPOSITORY.fullmatch(self._model_name):
            return self._model_name
        raise EngineError(f"there is no folder {folder} with a CSM model")


def _read_model(source: str, device: str) -> CsmModel:
    """Raises EngineError."""
    try:
        from antiphon.engines.csm_model import CsmModel
    except ImportError as error:
        raise EngineError("CSM's packages are not installed: run `pip install 'antiphon[csm]'`") from error
    found = find_device(device)
    try:
        return CsmModel(source, found)
    except Exception as error:  # whatever a broken file does to the libraries
        if is_path(source) and not Path(source).is_dir():
            raise EngineError(
                f"{source} is not in the hub's cache on this machine: accept its terms there and run "
                f"`hf download {source}`, or give a folder with its files"
            ) from error
        raise EngineError(f"the CSM model in {source} cannot be read ({error})") from error


def _read_pack(model: CsmModel, pack: VoicePack) -> CsmVoice:
    """In a thread. Raises EngineError."""
    try:
        return model.read_voice(_speaker(pack), pack.reference_audio, pack.reference_text, pack.lora)
    except EngineError:
        raise
    except ImportError as error:
        raise EngineError("LoRA needs the package peft: run `pip install 'antiphon[csm]'`") from error
    except Exception as error:
        raise EngineError(f"it cannot be used with this model ({error})") from error


def _speaker(pack: VoicePack) -> int:
    """Raises EngineError."""
    speaker = int(pack.options.get("speaker", 0))
    if not 0 <= speaker <= _MOST_SPEAKER:
        raise EngineError(f"options.speaker: speakers are numbered from 0 to {_MOST_SPEAKER}")
    return speaker


def _one_chunk(_pcm: bytes, _words: object) -> bool:
    """The emit of a warm-up."""
    return False


def _render(model: CsmModel, voice: CsmVoice, stop: threading.Event, text: str, emit: Emit) -> None:
    """Speaks one part, in a thread."""
    spoken = " ".join(text.replace("\0", " ").encode("utf-8", "ignore").decode().split())
    if not any(character.isalnum() for character in spoken) or stop.is_set():
        return
    use_own_threads()
    part = RenderedPart(text, model.rate_hz, emit)
    try:
        model.speak(voice, spoken, stop, part.push)
    except Exception as error:
        if stop.is_set():
            return
        raise EngineError(f"CSM could not speak this text ({error})") from error
    if not stop.is_set():
        part.finish()
