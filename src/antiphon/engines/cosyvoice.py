"""CosyVoice 2 (by Alibaba): a model that goes on speaking as the speaker of a recording, in the language of the text.

Its library (Apache-2.0) is the package cosyvoice2-eu or a checkout of FunAudioLLM/CosyVoice. Texts are read as they
are: the library's own rules for numbers and the like are not used.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.cloning import CloningSynthesizer, need_files, need_recording
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit
from antiphon.engines.torch_device import AUTO, check_device, find_device, torchaudio_imports, use_own_threads
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from antiphon.engines.cosyvoice_model import CosyVoiceModel, CosyVoiceVoice

LANGUAGES = ("en", "zh-CN", "ja", "ko")
"""Of the published model; others were trained from it for more."""
FILES = (
    "cosyvoice2.yaml", "llm.pt", "flow.pt", "hift.pt", "campplus.onnx", "speech_tokenizer_v2.onnx",
    "CosyVoice-BlankEN/config.json",
)  # fmt: skip

_HOW_TO_INSTALL = (
    "run `pip install 'antiphon[cosyvoice]'` and `pip install --no-deps cosyvoice2-eu`; or instead of the latter put a "
    "checkout of https://github.com/FunAudioLLM/CosyVoice and its third_party/Matcha-TTS on PYTHONPATH"
)


class CosyVoiceSynthesizer(CloningSynthesizer["CosyVoiceModel", "CosyVoiceVoice"]):
    """The Synthesizer over one CosyVoice 2. Takes voice packs with reference audio.

    It has no voices of its own but those that somebody saved in the model's spk2info.pt. It has no pace to choose: it
    speaks as fast as the recording.
    """

    def __init__(self, folder: str, *, device: str = AUTO) -> None:
        """``device`` is as for ``torch_device``. Raises ConfigError."""
        super().__init__("CosyVoice")
        self._folder = Path(folder).expanduser()
        self._device = check_device(device)
        self._voices: tuple[VoiceInfo, ...] = ()

    @property
    def name(self) -> str:
        return f"cosyvoice:{self._folder.name}"

    @property
    def description(self) -> str:
        where = "any device" if self._device == AUTO else self._device
        return f"CosyVoice 2, {self._folder.name}, on {where}: cloned voices"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self._voices

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(zero_shot=True, cpu=False, languages=LANGUAGES, voices=self.voices)

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "CosyVoice", takes=("reference_audio",))
        need_recording(pack, "CosyVoice")
        return VoiceInfo(pack.id, pack.languages[0])

    def _read_model(self) -> CosyVoiceModel:
        need_files(self._folder, FILES, "CosyVoice 2")
        with torchaudio_imports("CosyVoice", _HOW_TO_INSTALL):
            from antiphon.engines.cosyvoice_model import CosyVoiceModel

        device = find_device(self._device)
        try:
            return CosyVoiceModel(self._folder, device)
        except ImportError as error:
            raise EngineError(f"CosyVoice needs its library ({error}): {_HOW_TO_INSTALL}") from error
        except Exception as error:  # whatever a broken file does to the libraries
            raise EngineError(f"the CosyVoice model in {self._folder} cannot be read ({error})") from error

    def _own_voices(self, model: CosyVoiceModel) -> dict[str, CosyVoiceVoice]:
        self._voices = tuple(VoiceInfo(name, LANGUAGES[0]) for name in model.own)
        return dict(model.own)

    def _first_voice(self, model: CosyVoiceModel, own: dict[str, CosyVoiceVoice]) -> CosyVoiceVoice:
        return model.nobody()

    def _read_voice(self, model: CosyVoiceModel, pack: VoicePack) -> CosyVoiceVoice:
        return model.read_voice(need_recording(pack, "CosyVoice"), pack.reference_text)

    def _speak_part(
        self, model: CosyVoiceModel, voice: CosyVoiceVoice, speed: float, stop: threading.Event, text: str, emit: Emit
    ) -> None:
        use_own_threads()
        part = RenderedPart(text, model.rate_hz, emit)
        model.speak(voice, " ".join(text.split()), stop, part.push)
        if not stop.is_set():
            part.finish()
