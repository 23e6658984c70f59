"""What a synthesizer says, for tests of its kind: text in pieces, the chunks that come of it, what is in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np

from antiphon.audio import MOUTH_RATE_HZ, Samples, samples_of
from antiphon.core.speech import AudioChunk, Voice, Word
from antiphon.engines.base import Synthesizer


async def pieces(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def spoken(engine: Synthesizer, *texts: str, voice: str = "", speed: float = 1.0) -> list[AudioChunk]:
    return [chunk async for chunk in engine.speak(pieces(*texts), Voice(voice, speed))]


def sound_of(chunks: Sequence[AudioChunk]) -> Samples:
    return samples_of(b"".join(chunk.pcm for chunk in chunks))


def words_of(chunks: Sequence[AudioChunk]) -> list[Word]:
    return [word for chunk in chunks for word in chunk.words]


def duration_s(chunks: Sequence[AudioChunk]) -> float:
    return len(sound_of(chunks)) / MOUTH_RATE_HZ


def level(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples.astype(float))))) if len(samples) else 0.0
