"""CosyVoice 2 (by Alibaba): a model that goes on speaking as the speaker of a recording, in the language of the text.

Its library (Apache-2.0) is the package cosyvoice2-eu or a checkout of FunAudioLLM/CosyVoice. Texts are read as they
are: the library's own rules for numbers and the like are not used.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit, speak_segments
from antiphon.engines.torch_device import AUTO, check_device, find_device, use_own_threads
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

_STREAMS = 8
"""So many texts take turns at a time; more wait for the end of a part."""
_HOW_TO_INSTALL = (
    "run `pip install 'antiphon[cosyvoice]'` and `pip install --no-deps cosyvoice2-eu`; or instead of the latter put a "
    "checkout of https://github.com/FunAudioLLM/CosyVoice and its third_party/Matcha-TTS on PYTHONPATH"
)


class CosyVoiceSynthesizer:
    """The Synthesizer over one CosyVoice 2. Takes voice packs with reference audio.

    It has no voices of its own but those that somebody saved in the model's spk2info.pt.
    """

    def __init__(self, folder: str, *, device: str = AUTO) -> None:
        """``device`` is as for ``torch_device``. Raises ConfigError."""
        self._folder = Path(folder).expanduser()
        self._device = check_device(device)
        self._model: CosyVoiceModel | None = None
        self._packs: dict[str, CosyVoiceVoice] = {}
        self._voices: tuple[VoiceInfo, ...] = ()
        self._executor = ThreadPoolExecutor(_STREAMS, "cosyvoice")

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

    async def load(self) -> None:
        """Raises EngineError when the library, the model or the device are missing, or its files are broken."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._executor, _read_model, self._folder, self._device)
        warm_up = partial(_render, model, model.nobody(), threading.Event())
        await loop.run_in_executor(self._executor, warm_up, "Ready.", _one_chunk)
        self._voices = tuple(VoiceInfo(name, LANGUAGES[0]) for name in model.own)
        self._model = model

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._model = None
        self._packs = {}

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        """``voice`` has no pace here: the model speaks as fast as the recording."""
        model = self._loaded()
        speaking = self._packs.get(voice.name) or model.own.get(voice.name) or next(iter(model.own.values()), None)
        if speaking is None:
            raise EngineError(f"CosyVoice has no voice pack {voice.name!r}, or has it no longer", retryable=True)
        stop = threading.Event()
        chunks = speak_segments(text, self._executor, partial(_render, model, speaking, stop))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            stop.set()
            await chunks.aclose()

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        check_pack(pack, "CosyVoice", takes=("reference_audio",))
        if pack.reference_audio is None:
            raise EngineError("reference_audio: CosyVoice needs a recording to clone")
        return VoiceInfo(pack.id, pack.languages[0])

    async def add_pack(self, pack: VoicePack) -> None:
        self.pack_voice(pack)
        model = self._loaded()
        loop = asyncio.get_running_loop()
        self._packs[pack.id] = await loop.run_in_executor(self._executor, _read_pack, model, pack)

    async def remove_pack(self, pack_id: str) -> None:
        self._packs.pop(pack_id, None)

    def _loaded(self) -> CosyVoiceModel:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        return self._model


def _read_model(folder: Path, device: str) -> CosyVoiceModel:
    """Raises EngineError."""
    for file in FILES:
        if not (folder / file).is_file():
            raise EngineError(f"there is no {folder / file}: a CosyVoice 2 model is a folder with {', '.join(FILES)}")
    try:
        from antiphon.engines.cosyvoice_model import CosyVoiceModel
    except ImportError as error:
        raise EngineError(f"CosyVoice needs packages ({error}): {_HOW_TO_INSTALL}") from error
    except OSError as error:
        raise EngineError(
            f"torchaudio and torch do not fit each other ({error}): install both from one index (https://pytorch.org)"
        ) from error
    found = find_device(device)
    try:
        return CosyVoiceModel(folder, found)
    except ImportError as error:
        raise EngineError(f"CosyVoice needs its library ({error}): {_HOW_TO_INSTALL}") from error
    except Exception as error:  # whatever a broken file does to the libraries
        raise EngineError(f"the CosyVoice model in {folder} cannot be read ({error})") from error


def _read_pack(model: CosyVoiceModel, pack: VoicePack) -> CosyVoiceVoice:
    """In a thread. Raises EngineError."""
    assert pack.reference_audio is not None
    try:
        return model.read_voice(pack.reference_audio, pack.reference_text)
    except EngineError:
        raise
    except Exception as error:
        raise EngineError(f"it cannot be used with this model ({error})") from error


def _one_chunk(_pcm: bytes, _words: object) -> bool:
    """The emit of a warm-up."""
    return False


def _render(model: CosyVoiceModel, voice: CosyVoiceVoice, stop: threading.Event, text: str, emit: Emit) -> None:
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
        raise EngineError(f"CosyVoice could not speak this text ({error})") from error
    if not stop.is_set():
        part.finish()
