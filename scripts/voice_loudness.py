"""Measures how loud the bundled voices are by themselves, for the tables in their engines: prints a line for each.

What is printed is the loudness that the gain is reckoned by: it makes the whole way, limiter included, come out right.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pyloudnorm
from scripts.paragraphs import PARAGRAPHS, STORIES

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer
from antiphon.engines.espeak import EspeakSynthesizer
from antiphon.engines.pico import PicoSynthesizer
from antiphon.loudness import TARGET_LUFS, Leveller

_ROUNDS = 3


async def spoken(engine: Synthesizer, voice: Voice, text: str) -> list[bytes]:
    """``text`` as an agent says it, sentence by sentence; the PCM of each."""

    async def sentences() -> AsyncIterator[str]:
        for sentence in re.findall(r"[^.!?;。?]+[.!?;。?]*\s*", text):
            yield sentence

    segments: list[bytes] = []
    async with aclosing(engine.speak(sentences(), voice)) as chunks:
        async for chunk in chunks:
            if chunk.segment == len(segments):
                segments.append(b"")
            segments[-1] += chunk.pcm
    return segments


def loudness_of(pcm: bytes) -> float:
    return float(pyloudnorm.Meter(MOUTH_RATE_HZ).integrated_loudness(samples_of(pcm).astype(np.float64) / 32768))


def own_loudness(segments: list[bytes]) -> float:
    lufs = loudness_of(b"".join(segments))
    for _ in range(_ROUNDS):
        levelled = b"".join(Leveller(TARGET_LUFS - lufs).push(pcm, last=True) for pcm in segments)
        lufs += loudness_of(levelled) - TARGET_LUFS
    return lufs


async def main() -> None:
    for engine in (PicoSynthesizer(), EspeakSynthesizer()):
        await engine.load()
        for voice in engine.voices:
            language = voice.language.partition("-")[0]
            texts = [texts[language] for texts in (PARAGRAPHS, STORIES) if language in texts]
            lufs = [own_loudness(await spoken(engine, Voice(voice.name), text)) for text in texts]
            print(f'{engine.name.partition(":")[0]:<8} "{voice.name}": {np.mean(lufs):.1f}')
        await engine.close()


if __name__ == "__main__":
    asyncio.run(main())
