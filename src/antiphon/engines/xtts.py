"""XTTS-v2 (by Coqui): a model that speaks 17 languages as the speaker of a recording, or as one that comes with it.

The library coqui-tts (MPL-2.0) runs it. The published weights are under the Coqui Public Model License, which allows
non-commercial use alone. A recording is read once, when its pack is added. A voice speaks one language, whichever its
speaker spoke: the first of its pack.
"""

from __future__ import annotations

import asyncio
import importlib.util
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
    from antiphon.engines.xtts_model import XttsModel, XttsVoice

DEFAULT_MODEL = "v2"
LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-CN", "hu", "ko", "ja", "hi")
FILES = ("config.json", "model.pth", "vocab.json")
SPEAKERS_FILE = "speakers_xtts.pth"

_STREAMS = 8
"""So many texts take turns at a time; more wait for the end of a part."""
_SPEEDS = (0.5, 2.0)
_NEEDED = {"zh-CN": "pypinyin", "ja": "cutlet"}
"""Modules without which the library does not read a language."""


class XttsSynthesizer:
    """The Synthesizer over one XTTS-v2. Takes voice packs with reference audio.

    Its own voices are the model's speakers in English, and the first of them in each other language by the name of
    that: "de".
    """

    def __init__(self, name: str, *, device: str = AUTO) -> None:
        """``name`` is a model that was pulled, "v2", or a folder's path; ":SPEAKER" may follow, who is the first then.

        Without a name it is v2.
        ``device`` is as for ``torch_device``. Raises ConfigError.
        """
        self._model_name, _, self._first = (name or DEFAULT_MODEL).partition(":")
        self._short = Path(self._model_name).name if is_path(self._model_name) else self._model_name
        self._device = check_device(device)
        self._model: XttsModel | None = None
        self._own: dict[str, XttsVoice] = {}
        self._packs: dict[str, XttsVoice] = {}
        self._voices = (VoiceInfo(self._first or "default", LANGUAGES[0]), *_by_language())
        self._executor = ThreadPoolExecutor(_STREAMS, "xtts")

    @property
    def name(self) -> str:
        return f"xtts:{self._short}"

    @property
    def description(self) -> str:
        where = "any device" if self._device == AUTO else self._device
        return f"XTTS-v2, {self._short}, on {where}: 17 languages, cloned voices"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self._voices

    @property
    def capabilities(self) -> Capabilities:
        languages = tuple(language for language in LANGUAGES if _can_read(language))
        return Capabilities(zero_shot=True, cpu=False, languages=languages, voices=self.voices)

    async def load(self) -> None:
        """Raises EngineError when the packages, the model or the device are missing, or its files are broken."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        folder = self._folder()
        model = await loop.run_in_executor(self._executor, _read_model, folder, self._device)
        own = _own_voices(model, self._first, folder)
        voice = next(iter(own.values()))
        await loop.run_in_executor(self._executor, _render, model, voice, 1.0, threading.Event(), "Ready.", _one_chunk)
        languages = {listed.name: listed.language for listed in _by_language()}
        self._voices = tuple(VoiceInfo(name, languages.get(name, LANGUAGES[0])) for name in own)
        self._own = own
        self._model = model

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._model = None
        self._own, self._packs = {}, {}

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        model = self._loaded()
        speaking = self._packs.get(voice.name) or self._own.get(voice.name) or next(iter(self._own.values()))
        low, high = _SPEEDS
        stop = threading.Event()
        render = partial(_render, model, speaking, min(max(voice.speed, low), high), stop)
        chunks = speak_segments(text, self._executor, render)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            stop.set()
            await chunks.aclose()

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "XTTS", takes=("reference_audio",))
        if pack.reference_audio is None:
            raise EngineError("reference_audio: XTTS needs a recording to clone")
        _library_language(pack.languages[0])
        return VoiceInfo(pack.id, pack.languages[0])

    async def add_pack(self, pack: VoicePack) -> None:
        self.pack_voice(pack)
        model = self._loaded()
        loop = asyncio.get_running_loop()
        self._packs[pack.id] = await loop.run_in_executor(self._executor, _read_pack, model, pack)

    async def remove_pack(self, pack_id: str) -> None:
        self._packs.pop(pack_id, None)

    def _loaded(self) -> XttsModel:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        return self._model

    def _folder(self) -> Path:
        """Raises EngineError."""
        if not is_path(self._model_name):
            return model_folder("xtts", self._model_name)
        folder = Path(self._model_name).expanduser()
        for file in FILES:
            if not (folder / file).is_file():
                raise EngineError(f"there is no {folder / file}: an XTTS model is a folder with {', '.join(FILES)}")
        return folder


def _by_language() -> tuple[VoiceInfo, ...]:
    """The voices that are called as their languages."""
    return tuple(VoiceInfo(language, language) for language in LANGUAGES[1:] if _can_read(language))


def _can_read(language: str) -> bool:
    return language not in _NEEDED or importlib.util.find_spec(_NEEDED[language]) is not None


def _library_language(language: str) -> str:
    """What the library calls a BCP 47 language. Raises EngineError."""
    family = language.partition("-")[0].lower()
    known = next((known for known in LANGUAGES if known.partition("-")[0] == family), None)
    if known is None:
        raise EngineError(f"languages: XTTS does not speak {language}; it speaks {', '.join(LANGUAGES)}")
    if not _can_read(known):
        raise EngineError(f"languages: {language} needs {_NEEDED[known]}: run `pip install 'antiphon[xtts]'`")
    return known.lower()


def _read_model(folder: Path, device: str) -> XttsModel:
    """Raises EngineError."""
    try:
        from antiphon.engines.xtts_model import XttsModel
    except ImportError as error:
        raise EngineError(f"XTTS needs packages ({error}): run `pip install 'antiphon[xtts]'`") from error
    except OSError as error:
        raise EngineError(
            f"torchaudio and torch do not fit each other ({error}): install both from one index (https://pytorch.org)"
        ) from error
    found = find_device(device)
    try:
        return XttsModel(folder, found)
    except Exception as error:  # whatever a broken file does to the libraries
        raise EngineError(f"the XTTS model in {folder} cannot be read ({error})") from error


def _own_voices(model: XttsModel, first: str, folder: Path) -> dict[str, XttsVoice]:
    """Raises EngineError."""
    speakers = sorted(model.speakers, key=lambda speaker: speaker != first)
    if not speakers:
        raise EngineError(f"{folder} has no {SPEAKERS_FILE} with at least one speaker: pull or copy the model again")
    if first not in ("", speakers[0]):
        raise EngineError(f"{folder / SPEAKERS_FILE} has no speaker {first!r}: it has {', '.join(speakers)}")
    in_english = {speaker: model.own_voice(speaker, LANGUAGES[0]) for speaker in speakers}
    return in_english | {voice.name: model.own_voice(speakers[0], voice.language.lower()) for voice in _by_language()}


def _read_pack(model: XttsModel, pack: VoicePack) -> XttsVoice:
    """In a thread. Raises EngineError."""
    assert pack.reference_audio is not None
    try:
        return model.read_voice(pack.reference_audio, _library_language(pack.languages[0]))
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"it cannot be used with this model ({error})") from error


def _one_chunk(_pcm: bytes, _words: object) -> bool:
    """The emit of a warm-up."""
    return False


def _render(model: XttsModel, voice: XttsVoice, speed: float, stop: threading.Event, text: str, emit: Emit) -> None:
    """Speaks one part, in a thread."""
    spoken = " ".join(text.replace("\0", " ").encode("utf-8", "ignore").decode().split())
    use_own_threads()
    try:
        for piece in model.pieces(spoken, voice.language):
            if stop.is_set():
                return
            if any(character.isalnum() for character in piece):
                part = RenderedPart(piece, model.rate_hz, emit)
                model.speak(voice, piece, speed, stop, part.push)
                if stop.is_set():
                    return
                part.finish()
    except Exception as error:
        if stop.is_set():
            return
        raise EngineError(f"XTTS could not speak this text ({error})") from error
