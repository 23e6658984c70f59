"""SVOX Pico (Apache-2.0): six languages in a few megabytes, at some two hundred times real time on one core.

Pico hands over its audio in blocks of 4 s, so a clause comes whole after some 5 to 15 ms. It gives no word times.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.audio import MOUTH_RATE_HZ, Resampler
from antiphon.engines.base import VoiceInfo
from antiphon.engines.classic import ClassicSynthesizer
from antiphon.engines.segments import Emit
from antiphon.engines.silence import SilenceTrimmer, pause_after_ms
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    OnAudio = Callable[[tuple[int, int, int], bytes, int], bool]

LOUDNESS_LUFS = {
    "en-US": -17.1,
    "en-GB": -16.9,
    "de-DE": -16.5,
    "es-ES": -16.1,
    "fr-FR": -17.7,
    "it-IT": -18.8,
}
"""Of each voice, at ``_VOLUME_PERCENT``. Written by scripts/voice_loudness.py."""

LANGUAGES = tuple(LOUDNESS_LUFS)
"""Each has one voice, which goes by the language's name."""

_RATE_HZ = 16_000
_RATE_PERCENT = (20, 500)
"""What Pico takes as its speed; 100 is its own pace, as of its pitch."""
_VOLUME_PERCENT = 55
"""At Pico's own 100 every sentence clips; at 55 the loudest vowels peak 2 dB below full scale."""
_BLOCK_BYTES = _RATE_HZ // 2 * 2
"""Half a second: the size of the chunks that leave."""
_MAX_THREADS = 4
_MAX_IDLE = 6
"""Engines kept for later, 3 MB each, over all languages."""

_OWN_REFERENCES = 2
"""Of ``sys.getrefcount`` for a name that nothing else refers to: the name, and the call's argument."""

_MARKUP = str.maketrans({"<": " ", ">": " ", "\0": " "})
"""Pico reads a "<" as the start of its own markup and would swallow what follows."""


@dataclass(frozen=True, slots=True)
class _Style:
    language: str
    pitch_percent: int = 100


class PicoSynthesizer(ClassicSynthesizer[_Style]):
    """The Synthesizer over ttspico. Its engines belong to one thread at a time, so each speech borrows one."""

    def __init__(self, voice: str = "en-US") -> None:
        """``voice`` is the default. Raises ConfigError when Pico does not have it."""
        super().__init__("pico", "Pico", voice, LOUDNESS_LUFS, threads=min(_MAX_THREADS, os.cpu_count() or 1))
        self._engines = _EnginePool()

    @property
    def description(self) -> str:
        return f"SVOX Pico, {self._default}: a small classic voice, bundled; for a more natural one use a neural voice"

    async def close(self) -> None:
        await super().close()
        self._engines.clear()

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        return VoiceInfo(pack.id, self._style_of(pack).language, repeatable=True)

    def _style_in(self, language: str) -> _Style:
        return _Style(language)

    def _style_of(self, pack: VoicePack) -> _Style:
        check_pack(pack, "Pico", takes=("speed", "pitch"))
        return _Style(self._language_of(pack), round(pack.pitch * 100))

    def _render(self, text: str, style: _Style, speed: float, emit: Emit) -> None:
        trimmer = SilenceTrimmer(_RATE_HZ)
        resampler = Resampler(_RATE_HZ, MOUTH_RATE_HZ)

        def on_audio(_format: tuple[int, int, int], audio: bytes, _final: int) -> bool:
            sound = trimmer.push(audio)
            return all(
                emit(resampler.push(sound[start : start + _BLOCK_BYTES]), ())
                for start in range(0, len(sound), _BLOCK_BYTES)
            )

        spoken = text.translate(_MARKUP).encode("utf-8", "ignore").decode()
        if not any(character.isalnum() for character in spoken):
            return  # Pico breathes audibly for a second at "..."
        low, high = _RATE_PERCENT
        with self._engines.borrow(style.language) as engine:
            engine.rate = min(max(round(speed * 100), low), high)
            engine.pitch = style.pitch_percent
            engine.volume = _VOLUME_PERCENT
            _speak(engine, spoken, on_audio)
        tail = trimmer.finish(pause_after_ms(text))
        if tail:
            emit(resampler.push(tail, last=True), ())


class _EnginePool:
    """Idle Pico engines, by language, the least recently used dropped first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: deque[tuple[str, Any]] = deque()

    @contextmanager
    def borrow(self, language: str) -> Iterator[Any]:
        """An engine for this thread alone. One that failed is not used again. Raises EngineError."""
        engine = self._take(language) or _load_engine(language)
        try:
            yield engine
        except RuntimeError as error:
            raise EngineError(f"Pico could not speak this text ({error})") from error
        with self._lock:
            self._idle.append((language, engine))
            if len(self._idle) > _MAX_IDLE:
                self._idle.popleft()

    def clear(self) -> None:
        with self._lock:
            self._idle.clear()

    def _take(self, language: str) -> Any:
        with self._lock:
            for entry in reversed(self._idle):
                if entry[0] == language:
                    self._idle.remove(entry)
                    return entry[1]
        return None


def _speak(engine: Any, text: str, on_audio: OnAudio) -> None:
    """``engine.speak`` without its leak: up to 0.3.2 ttspico keeps a reference to all audio that it hands over, 32 kB
    for each second of speech. (``tts_callback`` in its cttsmodule.c lacks a Py_DECREF.)
    """
    given: list[bytes] = []

    def take(form: tuple[int, int, int], audio: bytes, final: int) -> bool:
        given.append(audio)
        return on_audio(form, bytes(memoryview(audio)), final)  # a copy, so that nobody else holds the original

    try:
        engine.speak(text, take)
    finally:
        while given:
            audio = given.pop()
            if audio and sys.getrefcount(audio) > _OWN_REFERENCES:
                ctypes.pythonapi.Py_DecRef(ctypes.py_object(audio))


def _load_engine(language: str) -> Any:
    try:
        import ttspico

        return ttspico.TtsEngine(language)
    except ImportError as error:
        raise EngineError("Pico is not installed: run `pip install ttspico` (it needs a C compiler)") from error
    except RuntimeError as error:
        raise EngineError(f"Pico's data for {language} is missing: reinstall the package ttspico") from error
