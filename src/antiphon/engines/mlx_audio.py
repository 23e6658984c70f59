"""Voices on MLX (``mlx-audio``): on Apple's GPUs, and on the CPU of a Linux machine, slowly.

Kokoro comes part by part, with word times. Any other of the library's models is asked through the interface that they
share, ``generate``: those that stream come in pieces of some tenths of a second, the others sentence by sentence,
neither with word times. A model must have all its files in its folder; what the library would fetch is not fetched.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.mlx_kokoro import MlxKokoro, Rendered, is_kokoro
from antiphon.engines.mlx_models import find_folder, read_config, stay_offline, why
from antiphon.engines.mlx_thread import Lane, open_lane
from antiphon.engines.model_files import is_path
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit, speak_segments
from antiphon.errors import EngineError

_STREAMED_S = 0.32
"""The pieces asked of models that stream: some frames of the usual codecs (80 ms)."""
_SPEEDS = (0.5, 2.0)
_WARM_UP = "Ready."


class _Model(Protocol):
    """What is asked of a model, in the thread of MLX. The first voice is the default."""

    voices: tuple[VoiceInfo, ...]

    @property
    def rate_hz(self) -> int: ...

    def speak(self, text: str, voice: str, speed: float) -> Generator[Rendered]: ...


class MlxAudioSynthesizer:
    """The Synthesizer over one model of mlx-audio."""

    def __init__(self, model: str, voice: str = "") -> None:
        """``model`` is a name that was pulled, a folder's path, or a repository in the hub's cache ("OWNER/NAME").

        ``voice`` is the default one; without it that is Kokoro's af_heart, or the first that there is.
        """
        self._model_name = model
        self._short = Path(model).name if is_path(model) else model
        self._wanted = voice
        self._voices: tuple[VoiceInfo, ...] = (VoiceInfo(voice or "default", "und"),)
        self._model: _Model | None = None
        self._lane: Lane = open_lane()

    @property
    def name(self) -> str:
        return f"mlx-audio:{self._short}"

    @property
    def description(self) -> str:
        return f"{self._short} on MLX, {self.voices[0].name}"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self._voices

    @property
    def capabilities(self) -> Capabilities:
        """Languages are known once it is loaded, of Kokoro."""
        languages = dict.fromkeys(voice.language for voice in self._voices if voice.language != "und")
        return Capabilities(languages=tuple(languages), voices=self._voices)

    async def load(self) -> None:
        """Raises EngineError when the package, the model or the voice is missing, or the model is broken."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._lane, self._read)
        names = [voice.name for voice in model.voices]
        default = self._wanted or next((name for name in names if name == "af_heart"), names[0])
        if default not in names:
            raise EngineError(f"{self._model_name} has no voice {default!r}: it has {', '.join(names)}")
        await loop.run_in_executor(self._lane, self._warm, model, default)
        self._voices = tuple(sorted(model.voices, key=lambda voice: voice.name != default))
        self._model = model

    async def close(self) -> None:
        await asyncio.to_thread(self._lane.shutdown, cancel_futures=True)
        self._model = None

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        known = {known.name for known in self._voices}
        chosen = Voice(voice.name if voice.name in known else self._voices[0].name, voice.speed)
        chunks = speak_segments(text, self._lane, partial(_render, self._model, chosen))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    # In the thread.

    def _read(self) -> _Model:
        try:
            import mlx_audio.tts.utils  # noqa: F401  (it is there)
        except ImportError as error:
            raise EngineError("mlx-audio is not installed: run `pip install 'antiphon[mlx-audio]'`") from error
        folder = find_folder("mlx-audio", self._model_name)
        config = read_config(folder)
        stay_offline()
        try:
            return MlxKokoro(folder) if is_kokoro(config) else _AnyModel(folder, self._wanted)
        except EngineError:
            raise
        except Exception as error:  # whatever a broken or incomplete model does to the libraries
            raise EngineError(f"the model in {folder} cannot be loaded by mlx-audio ({why(error)})") from error

    def _warm(self, model: _Model, voice: str) -> Iterator[None]:
        return _render(model, Voice(voice), _WARM_UP, lambda _pcm, _words: True)


class _AnyModel:
    """A model of mlx-audio that is known by its ``generate`` alone."""

    def __init__(self, folder: Path, voice: str) -> None:
        from mlx_audio.tts.utils import load_model

        self._model: Any = load_model(folder)
        parameters = inspect.signature(self._model.generate).parameters
        self._options: dict[str, Any] = {}
        if "stream" in parameters:
            self._options["stream"] = True
        if "streaming_interval" in parameters:
            self._options["streaming_interval"] = _STREAMED_S
        self._has_speed = "speed" in parameters
        names = self._listed(folder)
        self._named = bool(names)
        self.voices = tuple(VoiceInfo(name, "und") for name in names or [voice or "default"])

    @property
    def rate_hz(self) -> int:
        return int(self._model.sample_rate)

    def speak(self, text: str, voice: str, speed: float) -> Generator[Rendered]:
        import mlx.core as mx

        options = self._options | ({"speed": speed} if self._has_speed else {})
        named = voice if self._named or voice != "default" else None
        if not any(character.isalnum() for character in text):
            return
        for result in self._model.generate(text=text, voice=named, **options):
            yield np.array(result.audio.astype(mx.float32)).reshape(-1), []

    def _listed(self, folder: Path) -> list[str]:
        """The voices that the model says it has, or that lie in its folder; none where nobody says."""
        if hasattr(self._model, "get_supported_speakers"):
            return [str(name) for name in self._model.get_supported_speakers()]
        return sorted(
            {file.stem for kept in ("voices", "embeddings") for file in (folder / kept).glob("*.safetensors")}
        )


def _render(model: _Model, voice: Voice, text: str, emit: Emit) -> Iterator[None]:
    """Speaks one part, a step for each piece that the model gives. It stops at the first one that nobody takes."""
    low, high = _SPEEDS
    part = RenderedPart(text, model.rate_hz, emit)
    try:
        with closing(model.speak(text, voice.name, min(max(voice.speed, low), high))) as pieces:
            for sound, words in pieces:
                if not part.push(sound, words):
                    return
                yield
    except Exception as error:
        raise EngineError(f"{voice.name} could not speak this text ({why(error)})") from error
    part.finish()
