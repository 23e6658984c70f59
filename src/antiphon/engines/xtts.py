"""XTTS-v2 (by Coqui): a model that speaks 17 languages as the speaker of a recording, or as one that comes with it.

The library coqui-tts (MPL-2.0) runs it. The published weights are under the Coqui Public Model License, which allows
non-commercial use alone. A recording is read once, when its pack is added. A voice speaks one language, whichever its
speaker spoke: the first of its pack.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.cloning import CloningSynthesizer, need_files, need_recording
from antiphon.engines.model_files import is_path, model_folder
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit
from antiphon.engines.torch_device import AUTO, check_device, find_device, torchaudio_imports, use_own_threads
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from antiphon.engines.xtts_model import XttsModel, XttsVoice

DEFAULT_MODEL = "v2"
LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "pl", "tr", "ru", "nl", "cs", "ar", "zh-CN", "hu", "ko", "ja", "hi")
FILES = ("config.json", "model.pth", "vocab.json")
SPEAKERS_FILE = "speakers_xtts.pth"

_SPEEDS = (0.5, 2.0)
_NEEDED = {"zh-CN": "pypinyin", "ja": "cutlet"}
"""Modules without which the library does not read a language."""


class XttsSynthesizer(CloningSynthesizer["XttsModel", "XttsVoice"]):
    """The Synthesizer over one XTTS-v2. Takes voice packs with reference audio.

    Its own voices are the model's speakers in English, and the first of them in each other language by the name of
    that: "de".
    """

    def __init__(self, name: str, *, device: str = AUTO) -> None:
        """``name`` is a model that was pulled, "v2", or a folder's path; ":SPEAKER" may follow, who is the first then.

        Without a name it is v2.
        ``device`` is as for ``torch_device``. Raises ConfigError.
        """
        super().__init__("XTTS")
        self._model_name, _, self._first = (name or DEFAULT_MODEL).partition(":")
        self._short = Path(self._model_name).name if is_path(self._model_name) else self._model_name
        self._device = check_device(device)
        self._voices = (VoiceInfo(self._first or "default", LANGUAGES[0]), *_by_language())

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

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "XTTS", takes=("reference_audio",))
        need_recording(pack, "XTTS")
        _library_language(pack.languages[0])
        return VoiceInfo(pack.id, pack.languages[0])

    def _read_model(self) -> XttsModel:
        folder = self._folder()
        with torchaudio_imports("XTTS", "run `pip install 'antiphon[xtts]'`"):
            from antiphon.engines.xtts_model import XttsModel

        device = find_device(self._device)
        try:
            return XttsModel(folder, device)
        except Exception as error:  # whatever a broken file does to the libraries
            raise EngineError(f"the XTTS model in {folder} cannot be read ({error})") from error

    def _own_voices(self, model: XttsModel) -> dict[str, XttsVoice]:
        speakers = sorted(model.speakers, key=lambda speaker: speaker != self._first)
        folder = self._folder()
        if not speakers:
            raise EngineError(f"{folder} has no {SPEAKERS_FILE} with at least one speaker: pull the model again")
        if self._first not in ("", speakers[0]):
            raise EngineError(f"{folder / SPEAKERS_FILE} has no speaker {self._first!r}: it has {', '.join(speakers)}")
        in_english = {speaker: model.own_voice(speaker, LANGUAGES[0]) for speaker in speakers}
        elsewhere = {voice.name: model.own_voice(speakers[0], voice.language.lower()) for voice in _by_language()}
        self._voices = (*(VoiceInfo(speaker, LANGUAGES[0]) for speaker in in_english), *_by_language())
        return in_english | elsewhere

    def _read_voice(self, model: XttsModel, pack: VoicePack) -> XttsVoice:
        return model.read_voice(need_recording(pack, "XTTS"), _library_language(pack.languages[0]))

    def _speak_part(
        self, model: XttsModel, voice: XttsVoice, speed: float, stop: threading.Event, text: str, emit: Emit
    ) -> None:
        use_own_threads()
        low, high = _SPEEDS
        for piece in model.pieces(" ".join(text.split()), voice.language):
            if stop.is_set():
                return
            if any(character.isalnum() for character in piece):
                part = RenderedPart(piece, model.rate_hz, emit)
                model.speak(voice, piece, min(max(speed, low), high), stop, part.push)
                if stop.is_set():
                    return
                part.finish()

    def _folder(self) -> Path:
        """Raises EngineError."""
        if not is_path(self._model_name):
            return model_folder("xtts", self._model_name)
        folder = Path(self._model_name).expanduser()
        need_files(folder, FILES, "XTTS")
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
