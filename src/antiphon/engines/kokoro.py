"""Kokoro (Apache-2.0): a small model with natural voices in seven languages, about real time on two old cores.

The package ``kokoro-onnx`` runs it; the phonemes come from eSpeak NG through ``phonemizer`` (GPL-3.0). A part of a text
comes whole. Word times are there for models that were exported with their phonemes' durations; the usual ones were not.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.core.speech import AudioChunk, Voice, Word
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.kokoro_phonemes import (
    ESPEAK_OF_LANGUAGE,
    LANGUAGE_OF_LETTER,
    espeak_language,
    phonemes_of,
    speakable,
)
from antiphon.engines.model_files import is_path, model_folder, only_file
from antiphon.engines.onnx_runs import StoppableSession, open_session
from antiphon.engines.phoneme_words import timed_words
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.segments import Emit, speak_segments
from antiphon.errors import ConfigError, EngineError

DEFAULT_MODEL = "v1.0"
DEFAULT_VOICE = "af_heart"

_THREADS = 2
_SPEEDS = (0.5, 2.0)
_STYLE_SIZE = 256


class KokoroSynthesizer:
    """The Synthesizer over one Kokoro model. Voices go by Kokoro's own names: "af_heart", "bm_george"."""

    def __init__(self, name: str = "") -> None:
        """``name`` is a default voice, a folder's path with the model's files, or both with a colon between.

        Raises ConfigError when the voice speaks a language that cannot be offered.
        """
        folder, _, voice = name.rpartition(":") if is_path(name) and ":" in name else ("", "", name)
        if is_path(voice):
            folder, voice = voice, ""
        self._folder = folder
        self._default = voice or DEFAULT_VOICE
        if self._default[:1] not in LANGUAGE_OF_LETTER:
            raise ConfigError(f"Kokoro has no voice {self._default!r} in a language that is offered here")
        self._voices = (self._default,)
        self._kokoro: Any = None
        self._executor = ThreadPoolExecutor(_THREADS, "kokoro")

    @property
    def name(self) -> str:
        return f"kokoro:{self._default}"

    @property
    def description(self) -> str:
        return f"Kokoro, {self._default}: a natural neural voice on this machine's CPU"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(VoiceInfo(voice, LANGUAGE_OF_LETTER[voice[0]]) for voice in self._voices)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(languages=tuple(ESPEAK_OF_LANGUAGE), voices=self.voices)

    async def load(self) -> None:
        """Raises EngineError when the package, the model's files or the default voice are missing."""
        if self._kokoro is not None:
            return
        folder = self._path()
        loop = asyncio.get_running_loop()
        kokoro = await loop.run_in_executor(self._executor, _read_model, folder)
        names = [name for name in kokoro.get_voices() if name[0] in LANGUAGE_OF_LETTER]
        if self._default not in names:
            raise EngineError(f"{folder} has no voice {self._default!r}: it has {', '.join(names)}")
        await loop.run_in_executor(self._executor, self._warm, kokoro)
        self._voices = (self._default, *(name for name in names if name != self._default))
        self._kokoro = kokoro

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._kokoro = None

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        if self._kokoro is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        name = voice.name if voice.name in self._voices else self._default
        session = StoppableSession(self._kokoro.sess)
        chunks = speak_segments(text, self._executor, partial(_render, self._kokoro, session, Voice(name, voice.speed)))
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            session.stop()
            await chunks.aclose()

    def _path(self) -> Path:
        return Path(self._folder).expanduser() if self._folder else model_folder("kokoro", DEFAULT_MODEL)

    def _warm(self, kokoro: Any) -> None:
        voice = Voice(self._default)
        _render(kokoro, StoppableSession(kokoro.sess), voice, "Ready.", lambda _pcm, _words: True)


def _read_model(folder: Path) -> Any:
    """A Kokoro. Raises EngineError."""
    try:
        import kokoro_onnx  # noqa: F401  (it is there)
    except ImportError as error:
        raise EngineError("Kokoro is not installed: run `pip install 'antiphon[kokoro]'`") from error
    logging.getLogger("kokoro_onnx").setLevel(logging.WARNING)  # it tells every text
    if not folder.is_dir():
        raise EngineError(f"there is no folder {folder}: run `antiphon models pull kokoro:{DEFAULT_MODEL}`")
    model = only_file(folder, "*.onnx")
    apart = folder / "voices"
    try:
        session = open_session(model)
        if not apart.is_dir():
            return _with_voices(session, only_file(folder, "voices*.bin", "*.npz"))
        with tempfile.TemporaryDirectory(prefix="antiphon-kokoro-") as scratch:
            together = Path(scratch) / "voices.npz"
            np.savez(together, allow_pickle=False, **{file.stem: _read_style(file) for file in apart.glob("*.bin")})
            return _with_voices(session, together)
    except EngineError:
        raise
    except Exception as error:  # whatever a broken file does to the libraries
        raise EngineError(f"the Kokoro model in {folder} cannot be read ({error}): pull it again") from error


def _with_voices(session: Any, file: Path) -> Any:
    """A Kokoro that has all its voices in memory, where it would read one from the file for each sentence."""
    from kokoro_onnx import Kokoro

    kokoro: Any = Kokoro.from_session(session, str(file))
    with kokoro.voices as opened:
        kokoro.voices = {name: opened[name] for name in opened}
    return kokoro


def _read_style(file: Path) -> Any:
    """A voice that is kept by itself: float32, shape (phonemes, 1, 256)."""
    return np.fromfile(file, "<f4").reshape(-1, 1, _STYLE_SIZE)


def _render(kokoro: Any, session: StoppableSession, voice: Voice, text: str, emit: Emit) -> None:
    """Speaks one part, in a thread."""
    from kokoro_onnx.config import SAMPLE_RATE

    low, high = _SPEEDS
    language = espeak_language(voice.name)
    own = copy.copy(kokoro)  # the model is shared, its session is one that this stream can stop
    own.sess = session
    spoken = speakable(text)
    phonemes = "".join(sound for sound in phonemes_of(spoken, language) if sound in own.tokenizer.vocab).strip()
    if not any(character.isalpha() for character in phonemes):
        return
    part = RenderedPart(text, SAMPLE_RATE, emit)
    try:
        sound, rate_hz, timings = own.create_timed(
            phonemes,
            voice.name,
            min(max(voice.speed, low), high),
            is_phonemes=True,
            trim=False,
            sentence_pause=0.0,
            clause_pause=0.0,
        )
    except Exception as error:
        if session.stopped:
            return
        raise EngineError(f"Kokoro could not speak this text ({error})") from error
    words = _words(spoken, timings, rate_hz, language) if timings else []
    if part.push(np.asarray(sound, np.float32), words):
        part.finish()


def _words(text: str, timings: Any, rate_hz: int, language: str) -> list[Word]:
    """The words at the model's rate, from the times of its phonemes."""
    edges = [round(timings[0].start * rate_hz), *(round(timing.end * rate_hz) for timing in timings)]
    phonemes = [timing.phoneme for timing in timings]
    return timed_words(text, phonemes, edges, lambda word: phonemes_of(word, language))
