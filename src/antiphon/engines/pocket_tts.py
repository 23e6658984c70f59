"""pocket-tts (MIT, by Kyutai): a small model that speaks seven languages on a CPU and clones voices from a recording.

The package ``pocket-tts`` runs it and streams frames of 80 ms. Its voices are states of the model after it has heard a
recording: those that come with a model are files in ``embeddings/``, those of voice packs are made when they are added.
It has a pace of its own, whatever is asked for.

The package says that a model is for one thread. What a generation changes is in the state that it is given a copy of
(read in the source of 4.0), so two at a time share one model here, and a test holds their audio against what each
says alone.
"""

from __future__ import annotations

import logging
import tempfile
import threading
from pathlib import Path
from typing import Any

import yaml

from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.cloning import CloningSynthesizer, need_recording
from antiphon.engines.model_files import is_path, model_folder, models_folder
from antiphon.engines.reference_sound import read_reference
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit
from antiphon.engines.torch_device import check_device, find_device
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

CLONING = "-cloning"
"""At the end of a pulled model's name: the weights with which it clones, for which terms must be accepted."""

WEIGHTS = "model.safetensors"
WEIGHTS_WITHOUT_CLONING = "model_without_voice_cloning.safetensors"
EMBEDDINGS = "embeddings"

_DEFAULT_MODEL = "english"
_THREADS = 2
_LANGUAGES = {
    "english": "en",
    "french": "fr",
    "german": "de",
    "portuguese": "pt",
    "italian": "it",
    "spanish": "es",
    "dutch": "nl",
}
"""By the first part of the name of a configuration of the package's."""
_VOICES = {
    "en": "alba",
    "fr": "estelle",
    "de": "juergen",
    "pt": "rafael",
    "it": "giovanni",
    "es": "lola",
    "nl": "daan",
}
"""The package's default voices."""
_UNKNOWN_LANGUAGE = "und"


class PocketTtsSynthesizer(CloningSynthesizer[Any, Any]):
    """The Synthesizer over one model of pocket-tts. Takes voice packs with reference audio."""

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        """``name`` is a model that was pulled, "english", or a folder with its files; ":VOICE" may follow.

        Without a name it is English, with the weights that clone where those are on this machine.
        ``device`` is as for ``torch_device``; "auto" is the CPU here, on which it is fastest. Raises ConfigError.
        """
        super().__init__("pocket-tts", streams=_THREADS)
        self._model_name, _, voice = (name or _default_model()).partition(":")
        model = self._model_name
        self._device = "cpu" if check_device(device) == "auto" else device
        self._short = Path(model).name if is_path(model) else model
        self._language = _LANGUAGES.get(self._short.partition("_")[0].removesuffix(CLONING), _UNKNOWN_LANGUAGE)
        self._default = voice
        self._voices = tuple(_voice_files(self._folder(), self._language, voice)) or (voice or self._short,)
        self._clones = (self._folder() / WEIGHTS).is_file()

    @property
    def name(self) -> str:
        return f"pocket-tts:{self._short}"

    @property
    def description(self) -> str:
        return f"pocket-tts, {self._short}: a neural voice on this machine's CPU, which can be cloned from a recording"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(VoiceInfo(name, self._language) for name in self._voices)

    @property
    def capabilities(self) -> Capabilities:
        languages = () if self._language == _UNKNOWN_LANGUAGE else (self._language,)
        return Capabilities(zero_shot=self._clones, languages=languages, voices=self.voices)

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "pocket-tts", takes=("reference_audio",))
        need_recording(pack, "pocket-tts")
        return VoiceInfo(pack.id, pack.languages[0])

    def _read_model(self) -> Any:
        pulled = not is_path(self._model_name)
        folder = model_folder("pocket-tts", self._model_name) if pulled else self._folder()
        return _model_in(folder, self._short, self._device)

    def _own_voices(self, model: Any) -> dict[str, Any]:
        folder = self._folder()
        own = _read_voices(model, folder, _voice_files(folder, self._language, self._default))
        if self._default not in ("", *own):
            raise EngineError(f"{folder} has no voice {self._default!r}: it has {', '.join(own)}")
        self._voices = tuple(own)
        self._clones = model.has_voice_cloning
        return own

    def _read_voice(self, model: Any, pack: VoicePack) -> Any:
        return _voice_of(model, need_recording(pack, "pocket-tts"))

    def _speak_part(self, model: Any, voice: Any, speed: float, stop: threading.Event, text: str, emit: Emit) -> None:
        part = RenderedPart(text, model.sample_rate, emit)
        # To the end in any case: the package's own threads end with it, which is at the next frame.
        for sound in model.generate_audio_stream(voice, text, stop=stop):
            if not stop.is_set() and not part.push(sound.cpu().float().numpy()):
                stop.set()
        if not stop.is_set():
            part.finish()

    def _folder(self) -> Path:
        """It need not exist."""
        if is_path(self._model_name):
            return Path(self._model_name).expanduser()
        return models_folder() / "pocket-tts" / self._model_name


def _default_model() -> str:
    cloning = f"{_DEFAULT_MODEL}{CLONING}"
    return cloning if (models_folder() / "pocket-tts" / cloning).is_dir() else _DEFAULT_MODEL


def _model_in(folder: Path, name: str, device_name: str) -> Any:
    """A TTSModel. Raises EngineError."""
    try:
        from pocket_tts import TTSModel
    except ImportError as error:
        raise EngineError("pocket-tts is not installed: run `pip install 'antiphon[pocket-tts]'`") from error
    logging.getLogger("pocket_tts").setLevel(logging.ERROR)  # it tells texts
    if not folder.is_dir():
        raise EngineError(f"there is no folder {folder}: run `antiphon models pull pocket-tts:english`")
    device = find_device(device_name)
    clones = (folder / WEIGHTS).is_file()
    try:
        with tempfile.TemporaryDirectory(prefix="antiphon-pocket-tts-") as scratch:
            config = Path(scratch) / "config.yaml"
            config.write_text(yaml.safe_dump(_local_config(folder, name, clones)), encoding="utf-8")
            model = TTSModel.load_model(config=config).to(device)
    except EngineError:
        raise
    except Exception as error:  # whatever a broken file does to the libraries
        raise EngineError(f"the pocket-tts model in {folder} cannot be read ({error}): pull it again") from error
    model.has_voice_cloning = clones
    return model


def _local_config(folder: Path, name: str, clones: bool) -> dict[str, Any]:
    """The folder's own configuration, or the package's for a model of that name, with files in the folder alone.

    The package would download what its configuration names. Raises EngineError.
    """
    from pocket_tts.utils.config import CONFIGS_DIR

    own = folder / "config.yaml"
    path = own if own.is_file() else CONFIGS_DIR / f"{name.removesuffix(CLONING)}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in CONFIGS_DIR.glob("*.yaml")))
        raise EngineError(f"{folder} has no config.yaml, and its name is none of the models of pocket-tts: {known}")
    config: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    weights = folder / (WEIGHTS if clones else WEIGHTS_WITHOUT_CLONING)
    table = config["flow_lm"]["lookup_table"]
    tokenizer = folder / Path(str(table["tokenizer_path"]).partition("@")[0]).name
    for file in (weights, tokenizer):
        if not file.is_file():
            raise EngineError(f"pocket-tts needs the file {file}: run `antiphon models pull pocket-tts:{name}`")
    table["tokenizer_path"] = str(tokenizer)
    config |= {"weights_path": str(weights), "weights_path_without_voice_cloning": None}
    for part in ("flow_lm", "mimi"):
        config[part].pop("weights_path", None)
    return config


def _voice_files(folder: Path, language: str, default: str) -> dict[str, Path]:
    """The files of the model's own voices; the default one, else that of the language, is the first."""
    first = default or _VOICES.get(language, "")
    files = [file for file in (folder / EMBEDDINGS).glob("*") if file.is_file()]
    return {file.stem: file for file in sorted(files, key=lambda file: (file.stem != first, file.name))}


def _read_voices(model: Any, folder: Path, files: dict[str, Path]) -> dict[str, Any]:
    """The states of the voices. Raises EngineError."""
    if not files:
        raise EngineError(f"{folder / EMBEDDINGS} has no voice: put a state (.safetensors) or a recording (.wav) there")
    return {name: _voice_of(model, file) for name, file in files.items()}


def _voice_of(model: Any, file: Path) -> Any:
    """The state for a recording, or one that ``pocket-tts export-voice`` wrote. Raises EngineError."""
    import torch

    try:
        if file.suffix == ".safetensors":
            return model.get_state_for_audio_prompt(file)
        if not model.has_voice_cloning:
            raise EngineError(
                f"{file} cannot be cloned with these weights: accept the terms of "
                "https://huggingface.co/kyutai/pocket-tts, set HF_TOKEN and run "
                f"`antiphon models pull pocket-tts:english{CLONING}`, or with another language"
            )
        sound = torch.from_numpy(read_reference(file, model.sample_rate))[None, :]
        return model.get_state_for_audio_prompt(sound)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"{file} is no voice for this model ({error})") from error
