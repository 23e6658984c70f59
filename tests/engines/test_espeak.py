"""eSpeak NG, for real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing

import numpy as np
import pytest
from tests.spoken_sound import pieces, spoken

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.espeak import EspeakSynthesizer
from antiphon.errors import ConfigError, EngineError


@pytest.fixture
async def espeak() -> AsyncIterator[EspeakSynthesizer]:
    engine = EspeakSynthesizer()
    await engine.load()
    yield engine
    await engine.close()


def duration_samples(chunks: list[AudioChunk]) -> int:
    return sum(len(chunk.pcm) for chunk in chunks) // 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Good morning, my friend.", ["Good", "morning", "my", "friend"]),
        ("It is 3.5 degrees", ["It", "is", "3.5", "degrees"]),
        ("Über naïve cafés – ja 🙂 gut", ["Über", "naïve", "cafés", "ja", "🙂", "gut"]),
    ],
)
async def test_every_word_has_its_time(espeak: EspeakSynthesizer, text: str, words: list[str]) -> None:
    chunks = await spoken(espeak, text)
    told = [word for chunk in chunks for word in chunk.words]
    assert [text[word.start_char : word.end_char] for word in told] == words
    edges = [edge for word in told for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges)
    assert edges[0] < MOUTH_RATE_HZ * 0.03
    assert 0 <= duration_samples(chunks) - edges[-1] < MOUTH_RATE_HZ * 0.3


async def test_words_are_told_with_their_audio(espeak: EspeakSynthesizer) -> None:
    played = 0
    for chunk in await spoken(espeak, "one two three four five six seven eight nine ten, and so it goes on and on"):
        assert all(word.end_sample <= played + len(chunk.pcm) // 2 + MOUTH_RATE_HZ // 4 for word in chunk.words)
        played += len(chunk.pcm) // 2


async def test_pieces_are_segments(espeak: EspeakSynthesizer) -> None:
    chunks = await spoken(espeak, "One, ", "...", "two.")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    samples = samples_of(b"".join(chunk.pcm for chunk in chunks)).astype(float)
    assert np.sqrt((samples**2).mean()) > 1000
    assert np.abs(samples).max() < 32_700


async def test_speed_and_voice(espeak: EspeakSynthesizer) -> None:
    text = "Radio, hotel, taxi twelve."
    slow = duration_samples(await spoken(espeak, text, speed=0.6))
    fast = duration_samples(await spoken(espeak, text, speed=1.5))
    assert slow > 1.8 * fast
    own, same, german = [
        duration_samples(await spoken(espeak, "1999, 1888.", voice=voice)) for voice in ("en-GB", "en-gb", "de-DE")
    ]
    assert abs(own - same) < MOUTH_RATE_HZ // 50 < abs(own - german)


async def test_all_voices_speak(espeak: EspeakSynthesizer) -> None:
    for voice in espeak.voices:
        assert duration_samples(await spoken(espeak, "Taxi 12 hotel.", voice=voice.name)) > MOUTH_RATE_HZ // 4


async def test_unknown_voices(espeak: EspeakSynthesizer) -> None:
    assert duration_samples(await spoken(espeak, "Hello.", voice="cedar")) > 0
    with pytest.raises(ConfigError, match="en-GB"):
        EspeakSynthesizer("klingon")


async def test_streams_take_turns(espeak: EspeakSynthesizer) -> None:
    ends: list[str] = []

    async def say(name: str, text: str) -> None:
        await spoken(espeak, text)
        ends.append(name)

    await asyncio.gather(say("long", "word and word, " * 400), say("short", "Yes."))
    assert ends == ["short", "long"]


async def test_closing_the_stream_ends_the_work(espeak: EspeakSynthesizer) -> None:
    begun = time.perf_counter()
    async with aclosing(espeak.speak(pieces("word " * 5000), Voice("en-GB"))) as chunks:
        await anext(chunks)
    await espeak.close()
    assert time.perf_counter() - begun < 2.0


async def test_a_closed_engine_says_so() -> None:
    engine = EspeakSynthesizer()
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(engine, "Hello.")
