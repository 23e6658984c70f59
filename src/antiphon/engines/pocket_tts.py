"""pocket-tts (MIT, by Kyutai): a small model that speaks seven languages on a CPU and clones voices from a recording.

The package ``pocket-tts`` runs it and streams frames of 80 ms. Its voices are states of the model after it has heard a
recording: those that come with a model are files in ``embeddings/``, those of voice packs are made when they are added.
It has a pace of its own, whatever is asked for.

The package says that a model is for one thread. What a generation changes is in the state that it is given a copy of
(read in the source of 4.0), so two at a time share one model here, and a test holds their audio against what each
says alone.
"""

from __future__ import annotations

import asyncio
import logging
import tempfile
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.model_files import is_path, model_folder, models_folder
from antiphon.engines.reference_sound import read_reference
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit, speak_segments
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


class PocketTtsSynthesizer:
    """The Synthesizer over one model of pocket-tts. Takes voice packs with reference audio."""

    def __init__(self, name: str, *, device: str = "cpu") -> None:
        """``name`` is a model that was pulled, "english", or a folder with its files; ":VOICE" may follow.

        Without a name it is English, with the weights that clone where those are on this machine.
        ``device`` is as for ``torch_device``; "auto" is the CPU here, on which it is fastest. Raises ConfigError.
        """
        self._model_name, _, voice = (name or _default_model()).partition(":")
        model = self._model_name
        self._device = "cpu" if check_device(device) == "auto" else device
        self._short = Path(model).name if is_path(model) else model
        self._language = _LANGUAGES.get(self._short.partition("_")[0].removesuffix(CLONING), _UNKNOWN_LANGUAGE)
        self._default = voice
        self._voices = tuple(_voice_files(self._folder(), self._language, voice)) or (voice or self._short,)
        self._clones = (self._folder() / WEIGHTS).is_file()
        self._own: dict[str, Any] = {}
        self._packs: dict[str, Any] = {}
        self._model: Any = None
        self._executor = ThreadPoolExecutor(_THREADS, "pocket-tts")

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

    async def load(self) -> None:
        """Raises EngineError when the package, the model's files or its voices are missing or broken."""
        if self._model is not None:
            return
        folder = self._folder() if is_path(self._model_name) else model_folder("pocket-tts", self._model_name)
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._executor, _read_model, folder, self._short, self._device)
        files = _voice_files(folder, self._language, self._default)
        self._own = await loop.run_in_executor(self._executor, _read_voices, model, folder, files)
        if self._default not in ("", *self._own):
            raise EngineError(f"{folder} has no voice {self._default!r}: it has {', '.join(self._own)}")
        state = next(iter(self._own.values()))
        await loop.run_in_executor(self._executor, _render, model, state, threading.Event(), "Ready.", _one_chunk)
        self._voices = tuple(self._own)
        self._clones = model.has_voice_cloning
        self._model = model

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._model = None
        self._own, self._packs = {}, {}

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        state = self._packs.get(voice.name) or self._own.get(voice.name) or next(iter(self._own.values()))
        stop = threading.Event()
        chunks = speak_segments(text, self._executor, partial(_render, self._model, state, stop))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            stop.set()
            await chunks.aclose()

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "pocket-tts", takes=("reference_audio",))
        if pack.reference_audio is None:
            raise EngineError("reference_audio: pocket-tts needs a recording to clone")
        return VoiceInfo(pack.id, pack.languages[0])

    async def add_pack(self, pack: VoicePack) -> None:
        self.pack_voice(pack)
        if self._model is None or pack.reference_audio is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        loop = asyncio.get_running_loop()
        state = await loop.run_in_executor(self._executor, _read_voice, self._model, pack.reference_audio)
        self._packs[pack.id] = state

    async def remove_pack(self, pack_id: str) -> None:
        self._packs.pop(pack_id, None)

    def _folder(self) -> Path:
        """It need not exist."""
        if is_path(self._model_name):
            return Path(self._model_name).expanduser()
        return models_folder() / "pocket-tts" / self._model_name


def _default_model() -> str:
    cloning = f"{_DEFAULT_MODEL}{CLONING}"
    return cloning if (models_folder() / "pocket-tts" / cloning).is_dir() else _DEFAULT_MODEL


def _read_model(folder: Path, name: str, device_name: str) -> Any:
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
    return {name: _read_voice(model, file) for name, file in files.items()}


def _read_voice(model: Any, file: Path) -> Any:
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


def _one_chunk(_pcm: bytes, _words: object) -> bool:
    """The emit of a warm-up."""
    return False


def _render(model: Any, state: Any, stop: threading.Event, text: str, emit: Emit) -> None:
    """Speaks one part, in a thread."""
    spoken = text.replace("\0", " ").encode("utf-8", "ignore").decode()
    if not any(character.isalnum() for character in spoken) or stop.is_set():
        return
    part = RenderedPart(text, model.sample_rate, emit)
    try:
        # To the end in any case: the package's own threads end with it, which is at the next frame.
        for sound in model.generate_audio_stream(state, spoken, stop=stop):
            if not stop.is_set() and not part.push(sound.cpu().float().numpy()):
                stop.set()
    except Exception as error:
        if stop.is_set():
            return
        raise EngineError(f"pocket-tts could not speak this text ({error})") from error
    if not stop.is_set():
        part.finish()
