"""SVOX Pico, for real."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
from tests.spoken_sound import duration_s, pieces, sound_of, spoken

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.pico import LANGUAGES, PicoSynthesizer
from antiphon.errors import ConfigError, EngineError


@pytest.fixture
async def pico() -> AsyncIterator[PicoSynthesizer]:
    engine = PicoSynthesizer()
    await engine.load()
    yield engine
    await engine.close()


async def test_each_piece_is_a_segment_without_silence_before_it(pico: PicoSynthesizer) -> None:
    chunks = await spoken(pico, "Good morning, ", "how are you today?")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1]
    for segment in (0, 1):
        loud = np.flatnonzero(np.abs(sound_of([chunk for chunk in chunks if chunk.segment == segment])) > 60)
        assert loud[0] < MOUTH_RATE_HZ * 0.03
    assert 1.0 < duration_s(chunks) < 4.0


async def test_a_sentence_is_loud_and_does_not_clip(pico: PicoSynthesizer) -> None:
    samples = sound_of(await spoken(pico, "The quick brown fox jumps over the lazy dog, and so do I.")).astype(float)
    assert np.abs(samples).max() < 32_700
    assert np.sqrt((samples**2).mean()) > 2000


async def test_a_slow_voice_takes_longer(pico: PicoSynthesizer) -> None:
    text = "The rain in Spain stays mainly in the plain."
    assert duration_s(await spoken(pico, text, speed=0.5)) > 1.4 * duration_s(await spoken(pico, text, speed=1.5))


@pytest.mark.parametrize("text", ["", "...", "?!", "  \n", "<>", "\0"])
async def test_text_without_words_is_a_segment_without_sound(pico: PicoSynthesizer, text: str) -> None:
    chunks = await spoken(pico, text, "Yes.")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 0)
    assert any(chunk.pcm for chunk in chunks if chunk.segment == 1)


@pytest.mark.parametrize(
    "text", ["a < b and then it goes on", "x <speed level='400'> y", "fish & chips", "1 > 0 \ud800 so"]
)
async def test_markup_does_not_swallow_the_words(pico: PicoSynthesizer, text: str) -> None:
    plain = duration_s(await spoken(pico, "".join(c if c.isalnum() else " " for c in text)))
    assert duration_s(await spoken(pico, text)) > 0.7 * plain


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_language_speaks(pico: PicoSynthesizer, language: str) -> None:
    assert duration_s(await spoken(pico, "Radio, hotel, taxi 12.", voice=language)) > 0.7


async def test_an_unknown_voice_is_the_default(pico: PicoSynthesizer) -> None:
    assert pico.voices[0].name == "en-US"
    assert duration_s(await spoken(pico, "Hello.", voice="marin")) > 0.3
    with pytest.raises(ConfigError, match="en-GB"):
        PicoSynthesizer("klingon")


async def test_sessions_speak_side_by_side(pico: PicoSynthesizer) -> None:
    texts = [f"This is session number {number}, speaking on its own." for number in range(12)]
    together = await asyncio.gather(*(spoken(pico, text) for text in texts))
    for text, chunks in zip(texts, together, strict=True):
        assert duration_s(chunks) == pytest.approx(duration_s(await spoken(pico, text)), abs=0.2)


async def test_closing_the_stream_ends_the_work(pico: PicoSynthesizer) -> None:
    begun = time.perf_counter()
    async with aclosing(pico.speak(pieces("word " * 5000), Voice("en-US"))) as chunks:
        await anext(chunks)
    await pico.close()
    assert time.perf_counter() - begun < 2.0


async def test_a_closed_engine_says_so() -> None:
    engine = PicoSynthesizer()
    await engine.close()
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(engine, "Hello.")


async def test_what_was_spoken_is_not_kept(pico: PicoSynthesizer) -> None:
    """The library below keeps a reference to all audio that it hands over, unless it is taken from it."""
    text, given_bytes = "Is the memory of it gone?", 0
    await spoken(pico, text)
    tracemalloc.start()
    for _ in range(10):
        given_bytes += sum(len(chunk.pcm) for chunk in await spoken(pico, text))
    kept_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert kept_bytes < given_bytes / 20
