"""A synthesizer of the tone code."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Self

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice, Word
from antiphon.engines import tone_code
from antiphon.engines.base import VoiceInfo
from antiphon.engines.scripted.engine import ScriptedEngine
from antiphon.engines.scripted.options import Failures, Options
from antiphon.errors import EngineError


@dataclass(frozen=True, slots=True)
class SynthesizerOptions(Options):
    first_audio_ms: float = 40.0
    speed: float = 10.0
    """How many seconds of audio it makes in a second."""
    symbol_ms: int = tone_code.SYMBOL_MS
    word_times: int = 1
    """0: it does not tell when its words sound."""
    repeatable: int = 1
    """0: its voices do not count as repeatable."""
    takes_words: int = 0
    """1: its voices count as ones that take words."""


_VOICES = {"alpha": 8000, "beta": 3000}
"""The voices differ in loudness, by which a test can tell them apart."""


class ScriptedSynthesizer(ScriptedEngine):
    """Speaks the tone code, a word a chunk, so that what was heard can be read from the audio.

    After each segment it says one space. A pace between 0.75 and 1.3 changes the length of the symbols; a faster or
    slower one counts as these, since the code bears no more.
    """

    stage = "synthesizer"

    def __init__(self, options: SynthesizerOptions | None = None) -> None:
        self._options = options or SynthesizerOptions()
        self._failures = Failures(self._options)
        self.running = 0
        """How many streams are being spoken."""

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(SynthesizerOptions.parse(options))

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        repeatable, takes_words = bool(self._options.repeatable), bool(self._options.takes_words)
        return tuple(VoiceInfo(name, "en", repeatable, is_speech=False, takes_words=takes_words) for name in _VOICES)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        speech = _Speech(
            symbol_ms=round(self._options.symbol_ms / min(1.3, max(0.75, voice.speed))),
            amplitude=_VOICES.get(voice.name, _VOICES["alpha"]),
        )
        segment = 0
        self.running += 1
        try:
            async for piece in text:
                fails = self._failures.next_job()
                began = asyncio.get_running_loop().time() + self._options.first_audio_ms / 1000
                made_s = 0.0
                for chunk in speech.chunks(piece, segment):
                    await self._sleep_until(began + made_s / self._options.speed)
                    if fails:
                        raise EngineError("the scripted synthesizer fails here, as it was told to")
                    made_s += len(chunk.pcm) / 2 / MOUTH_RATE_HZ
                    yield chunk if self._options.word_times else AudioChunk(chunk.pcm, segment, last=chunk.last)
                segment += 1
        finally:
            self.running -= 1

    @staticmethod
    async def _sleep_until(time_s: float) -> None:
        wait_s = time_s - asyncio.get_running_loop().time()
        if wait_s > 0:
            await asyncio.sleep(wait_s)


@dataclass(slots=True)
class _Speech:
    symbol_ms: int
    amplitude: int
    _samples: int = field(init=False)

    def __post_init__(self) -> None:
        self._samples = len(self._say("a")) // 2

    def _say(self, text: str) -> bytes:
        return tone_code.encode(text, MOUTH_RATE_HZ, symbol_ms=self.symbol_ms, amplitude=self.amplitude)

    def chunks(self, piece: str, segment: int) -> Iterator[AudioChunk]:
        """One chunk a word, with the space after it. A piece without words is one chunk without audio."""
        words = piece.split()
        if not words:
            yield AudioChunk(b"", segment, last=True)
        char, sample = 0, 0
        for i, word in enumerate(words):
            char = piece.index(word, char)
            pcm = self._say(word + " ")
            end = sample + len(pcm) // 2 - self._samples
            yield AudioChunk(pcm, segment, (Word(char, char + len(word), sample, end),), last=i == len(words) - 1)
            char += len(word)
            sample = end + self._samples
