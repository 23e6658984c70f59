"""Sesame CSM (Apache-2.0): an English model that speaks as the speaker of a recording, or as an adapter taught it.

The library transformers runs it, peft its adapters (LoRA); they are switched between frames, the model stays. With its
thousand million parameters it needs a GPU for conversations. A recording is read once, when its pack is added: what is
spoken then costs no more than without one. It has a pace of its own, whatever is asked for.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.cloning import CloningSynthesizer
from antiphon.engines.model_files import is_path, model_folder
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit
from antiphon.engines.torch_device import AUTO, check_device, find_device, use_own_threads
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from antiphon.engines.csm_model import CsmModel, CsmVoice

DEFAULT_MODEL = "1b"
LANGUAGE = "en"

_SPEAKERS = ("speaker-0", "speaker-1")
"""Voices that the model makes up as it speaks; each text may sound like somebody else."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_OPTIONS: dict[str, tuple[type, ...]] = {"speaker": (int,)}
_MOST_SPEAKER = 9


class CsmSynthesizer(CloningSynthesizer["CsmModel", "CsmVoice"]):
    """The Synthesizer over one CSM model. Takes voice packs with reference audio and its text, with LoRA, or both."""

    def __init__(self, model: str = DEFAULT_MODEL, *, device: str = AUTO) -> None:
        """``model`` is one that was pulled, a folder's path, or a repository of the hub that is in its cache.

        ``device`` is as for ``torch_device``. Raises ConfigError.
        """
        super().__init__("CSM")
        self._model_name = model
        self._short = Path(model).name if is_path(model) else model
        self._device = check_device(device)

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

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "CSM", takes=("reference_audio", "lora"), options=_OPTIONS)
        _speaker(pack)
        if pack.reference_audio is not None and not pack.reference_text:
            raise EngineError("reference_text: CSM needs to know what is said in reference_audio")
        if pack.reference_audio is None and pack.lora is None:
            raise EngineError("reference_audio: CSM needs it with reference_text, or lora, or both")
        return VoiceInfo(pack.id, pack.languages[0])

    def _read_model(self) -> CsmModel:
        source = self._source()
        try:
            from antiphon.engines.csm_model import CsmModel
        except ImportError as error:
            raise EngineError("CSM's packages are not installed: run `pip install 'antiphon[csm]'`") from error
        device = find_device(self._device)
        try:
            return CsmModel(source, device)
        except Exception as error:  # whatever a broken file does to the libraries
            if is_path(source) and not Path(source).is_dir():
                raise EngineError(
                    f"{source} is not in the hub's cache on this machine: accept its terms there and run "
                    f"`hf download {source}`, or give a folder with its files"
                ) from error
            raise EngineError(f"the CSM model in {source} cannot be read ({error})") from error

    def _own_voices(self, model: CsmModel) -> dict[str, CsmVoice]:
        return {name: model.read_voice(number, None, "", None) for number, name in enumerate(_SPEAKERS)}

    def _read_voice(self, model: CsmModel, pack: VoicePack) -> CsmVoice:
        try:
            return model.read_voice(_speaker(pack), pack.reference_audio, pack.reference_text, pack.lora)
        except ImportError as error:
            raise EngineError("LoRA needs the package peft: run `pip install 'antiphon[csm]'`") from error

    def _speak_part(
        self, model: CsmModel, voice: CsmVoice, speed: float, stop: threading.Event, text: str, emit: Emit
    ) -> None:
        use_own_threads()
        part = RenderedPart(text, model.rate_hz, emit)
        model.speak(voice, " ".join(text.split()), stop, part.push)
        if not stop.is_set():
            part.finish()

    def _forget(self, model: CsmModel, voice: CsmVoice) -> None:
        """Its adapter leaves the memory."""
        model.forget(voice)

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


def _speaker(pack: VoicePack) -> int:
    """Raises EngineError."""
    speaker = int(pack.options.get("speaker", 0))
    if not 0 <= speaker <= _MOST_SPEAKER:
        raise EngineError(f"options.speaker: speakers are numbered from 0 to {_MOST_SPEAKER}")
    return speaker
