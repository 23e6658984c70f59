"""Brings the voices of an engine to one loudness.

Each voice has one gain, by how loud it is by itself: its engine says so (``VoiceInfo.loudness_lufs``), or it is found
out. A voice that is repeatable is compared with another one of its engine, whose loudness is known, when it is loaded:
so each process finds the same gain, and a reply that goes on in another one goes on as loud. Any other voice is
measured while it speaks. Its gain is taken anew for each segment, so it moves in a pause only, and by little.

The samples are worked on in the event loop, in slices that take it a third of a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing

import structlog

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import Synthesizer, VoiceInfo
from antiphon.engines.capabilities import Capabilities, capabilities_of
from antiphon.engines.optional import prepare_voice, reload_voices
from antiphon.errors import EngineError
from antiphon.loudness import TARGET_LUFS, Leveller, LoudnessMeter

LARGEST_GAIN_DB = 24.0
LEARNED_S = 30.0
"""After so much speech a voice's loudness counts as known."""
STEP_DB = 1.5
"""By which the gain of a voice that is not known yet may differ between two segments."""

_ASSUMED_LUFS = -20.0
"""Of a voice of which nothing is known. It counts as much as ``_ASSUMED_S`` of speech."""
_ASSUMED_S = 1.0
_COMPARED_BY = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12."
"""Every language can say it."""
_COUNTING_LU = 1.5
"""So much more softly than sentences it is said; for an engine none of whose voices is known."""
_GRID_LU = 0.5
"""What is found out is rounded to, so that two processes find the same where an engine's noise is never the same."""
_SLICE_BYTES = MOUTH_RATE_HZ // 5 * 2

_log = structlog.get_logger(__name__)


class LevelledSynthesizer:
    """The voices of another synthesizer, as loud as each other. What is no speech is left as it is."""

    def __init__(self, engine: Synthesizer, target_lufs: float = TARGET_LUFS) -> None:
        self.engine = engine
        self._target_lufs = target_lufs
        self._levels: dict[VoiceInfo, _Level] = {}

    @property
    def name(self) -> str:
        return self.engine.name

    @property
    def description(self) -> str:
        return self.engine.description

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return self.engine.voices

    @property
    def capabilities(self) -> Capabilities:
        return capabilities_of(self.engine)

    async def load(self) -> None:
        await self.engine.load()
        await self._compare()

    async def close(self) -> None:
        await self.engine.close()

    async def prepare(self, voice: Voice) -> None:
        await prepare_voice(self.engine, voice)

    async def reload(self) -> bool:
        try:
            return await reload_voices(self.engine)
        finally:
            await self._compare()

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        level = self._level_of(voice.name)
        async with aclosing(self.engine.speak(text, voice)) as chunks:
            if level is None:
                async for chunk in chunks:
                    yield chunk
                return
            segment: _Segment | None = None
            async for chunk in chunks:
                segment = segment or _Segment(level, self._target_lufs)
                for ready in segment.slices(chunk):
                    yield ready
                    await asyncio.sleep(0)  # a long chunk must not hold up the others
                if chunk.last:
                    segment = None

    def _level_of(self, name: str) -> _Level | None:
        """Of the voice that the engine means by ``name``; None where there is nothing to level."""
        voices = self.engine.voices
        info = next((voice for voice in voices if voice.name.lower() == name.lower()), voices[0] if voices else None)
        if info is None or not info.is_speech:
            return None
        if info not in self._levels:
            self._levels = {known: level for known, level in self._levels.items() if known in voices}
            self._levels[info] = _Level(info.loudness_lufs)
        return self._levels[info]

    async def _compare(self) -> None:
        """Finds out how loud the repeatable voices are whose engine does not say."""
        for info in self.engine.voices:
            if not (info.is_speech and info.repeatable and info.loudness_lufs is None) or info in self._levels:
                continue
            try:
                lufs = await self._compared(info)
            except EngineError as error:
                _log.warning("voice_not_measured", engine=self.name, voice=info.name, why=str(error))
                continue
            lufs = round(lufs / _GRID_LU) * _GRID_LU
            _log.info("voice_measured", engine=self.name, voice=info.name, lufs=lufs)
            self._levels[info] = _Level(lufs)

    async def _compared(self, info: VoiceInfo) -> float:
        """Raises EngineError."""
        heard = await self._counting(info)
        known = [voice for voice in self.engine.voices if voice.repeatable and voice.loudness_lufs is not None]
        like = next((voice for voice in known if voice.language == info.language), next(iter(known), None))
        if like is None or like.loudness_lufs is None:
            return heard + _COUNTING_LU
        return like.loudness_lufs + heard - await self._counting(like)

    async def _counting(self, info: VoiceInfo) -> float:
        """How loudly a voice counts. Raises EngineError."""

        async def text() -> AsyncIterator[str]:
            yield _COMPARED_BY

        meter = LoudnessMeter()
        async with aclosing(self.engine.speak(text(), Voice(info.name))) as chunks:
            async for chunk in chunks:
                meter.push(chunk.pcm)
        if meter.lufs is None:
            raise EngineError(f"{self.name}: the voice {info.name} is silent")
        return meter.lufs


class _Level:
    """What is known of a voice's loudness."""

    def __init__(self, lufs: float | None) -> None:
        self._lufs = lufs
        self._meter = LoudnessMeter()
        self._gain_db: float | None = None

    @property
    def known(self) -> bool:
        return self._lufs is not None

    def next_gain_db(self, target_lufs: float) -> float:
        """For a segment that begins."""
        wanted = target_lufs - (self._guess() if self._lufs is None else self._lufs)
        wanted = min(max(wanted, -LARGEST_GAIN_DB), LARGEST_GAIN_DB)
        if self._lufs is not None and self._gain_db is None:
            return wanted
        if self._gain_db is not None:
            wanted = min(max(wanted, self._gain_db - STEP_DB), self._gain_db + STEP_DB)
        self._gain_db = wanted
        return wanted

    def learn(self, segment: LoudnessMeter) -> None:
        self._meter.add(segment)
        if not self.known and self._meter.speech_s >= LEARNED_S:
            self._lufs = self._meter.lufs

    def _guess(self) -> float:
        heard, heard_s = self._meter.lufs, self._meter.speech_s
        if heard is None:
            return _ASSUMED_LUFS
        return (heard * heard_s + _ASSUMED_LUFS * _ASSUMED_S) / (heard_s + _ASSUMED_S)


class _Segment:
    """One segment on its way."""

    def __init__(self, level: _Level, target_lufs: float) -> None:
        self._level = level
        self._leveller = Leveller(level.next_gain_db(target_lufs))
        self._meter = None if level.known else LoudnessMeter()

    def slices(self, chunk: AudioChunk) -> Iterator[AudioChunk]:
        """The chunk, in one piece or several."""
        words = chunk.words
        for start in range(0, max(1, len(chunk.pcm)), _SLICE_BYTES):
            pcm = chunk.pcm[start : start + _SLICE_BYTES]
            last = chunk.last and start + _SLICE_BYTES >= len(chunk.pcm)
            if self._meter is not None:
                self._meter.push(pcm)
            ready = self._leveller.push(pcm, last=last)
            if ready or words or last:
                yield AudioChunk(ready, chunk.segment, words, last)
            words = ()
        if chunk.last and self._meter is not None:
            self._level.learn(self._meter)
