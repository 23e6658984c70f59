"""SVOX Pico (Apache-2.0): six languages in a few megabytes, at some two hundred times real time on one core.

Pico hands over its audio in blocks of 4 s, so a clause comes whole after some 5 to 15 ms. It gives no word times.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from antiphon.audio import MOUTH_RATE_HZ, Resampler
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.segments import Emit, speak_segments
from antiphon.engines.silence import SilenceTrimmer, pause_after_ms
from antiphon.engines.voice_pack import VoicePack, check_pack
from antiphon.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator

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

_MARKUP = str.maketrans({"<": " ", ">": " ", "\0": " "})
"""Pico reads a "<" as the start of its own markup and would swallow what follows."""


class PicoSynthesizer:
    """The Synthesizer over ttspico. Its engines belong to one thread at a time, so each speech borrows one."""

    def __init__(self, voice: str = "en-US") -> None:
        """``voice`` is the default. Raises ConfigError when Pico does not have it."""
        known = {language.lower(): language for language in LANGUAGES}
        if voice.lower() not in known:
            raise ConfigError(f"Pico has no voice {voice!r}: choose one of {', '.join(LANGUAGES)}")
        self._default = known[voice.lower()]
        self._known = known
        self._packs: dict[str, _Style] = {}
        self._engines = _EnginePool()
        self._executor = ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1), "pico")

    @property
    def name(self) -> str:
        return f"pico:{self._default}"

    @property
    def description(self) -> str:
        return f"SVOX Pico, {self._default}: a small classic voice, bundled; for a more natural one use a neural voice"

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        others = [language for language in LANGUAGES if language != self._default]
        return tuple(
            VoiceInfo(language, language, repeatable=True, loudness_lufs=LOUDNESS_LUFS[language])
            for language in (self._default, *others)
        )

    async def load(self) -> None:
        """Raises EngineError when the package or the language's data is not installed."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._warm)

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._engines.clear()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        style = self._packs.get(voice.name) or _Style(self._known.get(voice.name.lower(), self._default))
        low, high = _RATE_PERCENT
        rate = min(max(round(voice.speed * 100), low), high)

        def render(part: str, emit: Emit) -> None:
            self._render(part, style, rate, emit)

        chunks = speak_segments(text, self._executor, render)
        try:
            async for chunk in chunks:
                yield chunk
        finally:
            await chunks.aclose()

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        return VoiceInfo(pack.id, self._style_of(pack).language, repeatable=True)

    async def add_pack(self, pack: VoicePack) -> None:
        style = self._style_of(pack)
        await asyncio.get_running_loop().run_in_executor(self._executor, self._warm, style)
        self._packs[pack.id] = style

    async def remove_pack(self, pack_id: str) -> None:
        self._packs.pop(pack_id, None)

    def _style_of(self, pack: VoicePack) -> _Style:
        check_pack(pack, "Pico", takes=("speed", "pitch"))
        language = self._known.get(pack.languages[0].lower())
        if language is None:
            raise EngineError(f"languages: Pico has no {pack.languages[0]}: choose one of {', '.join(LANGUAGES)}")
        return _Style(language, round(pack.pitch * 100))

    def _warm(self, style: _Style | None = None) -> None:
        self._render("Ready.", style or _Style(self._default), 100, lambda _pcm, _words: True)

    def _render(self, text: str, style: _Style, rate: int, emit: Emit) -> None:
        """Speaks one part, in a thread of the pool."""
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
        with self._engines.borrow(style.language) as engine:
            engine.rate = rate
            engine.pitch = style.pitch_percent
            engine.volume = _VOLUME_PERCENT
            engine.speak(spoken, on_audio)
        tail = trimmer.finish(pause_after_ms(text))
        if tail:
            emit(resampler.push(tail, last=True), ())


@dataclass(frozen=True, slots=True)
class _Style:
    language: str
    pitch_percent: int = 100


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


def _load_engine(language: str) -> Any:
    try:
        import ttspico

        return ttspico.TtsEngine(language)
    except ImportError as error:
        raise EngineError("Pico is not installed: run `pip install ttspico` (it needs a C compiler)") from error
    except RuntimeError as error:
        raise EngineError(f"Pico's data for {language} is missing: reinstall the package ttspico") from error
