"""Real speaker models on real voices: four people and two synthetic voices, told apart and known again."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from importlib.resources import files
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, Samples, resample, samples_of
from antiphon.core.speech import Voice
from antiphon.core.voice_spans import VoiceSpans
from antiphon.core.who import HeardVoice, Who, likeness
from antiphon.engines.base import Synthesizer
from antiphon.engines.espeak import EspeakSynthesizer
from antiphon.engines.pico import PicoSynthesizer
from antiphon.engines.pyannote import Pyannote
from antiphon.engines.speaker_files import EMBEDDING, SEGMENTATION, Network, library, read_network
from antiphon.errors import EngineError

TEXT = "The ferry leaves at nine in the morning, and it is the only one that goes to the island on a Sunday."


@pytest.fixture
async def engine() -> AsyncIterator[Pyannote]:
    model = Pyannote()
    await model.load()
    yield model
    await model.close()


def asset(name: str) -> Samples:
    with (files("moonshine_voice") / "assets" / f"{name}.wav").open("rb") as file, wave.open(file) as recording:
        return samples_of(resample(recording.readframes(recording.getnframes()), recording.getframerate(), EAR_RATE_HZ))


def cut(samples: Samples, start_s: float, end_s: float) -> Samples:
    return samples[int(start_s * EAR_RATE_HZ) : int(end_s * EAR_RATE_HZ)]


async def spoken(engine: Synthesizer, voice: str) -> Samples:
    async def text() -> AsyncIterator[str]:
        yield TEXT

    await engine.load()
    try:
        pcm = b"".join([chunk.pcm async for chunk in engine.speak(text(), Voice(voice))])
    finally:
        await engine.close()
    return samples_of(resample(pcm, MOUTH_RATE_HZ, EAR_RATE_HZ))


async def people() -> dict[str, list[Samples]]:
    """Two pieces of three seconds or so of each voice: a reader, two actors, a woman, and two synthesizers."""
    reader, play, woman = asset("two_cities"), asset("endgame_nagg_nell"), asset("clone-test")
    pico, espeak = await spoken(PicoSynthesizer(), "en-US"), await spoken(EspeakSynthesizer(), "en-gb")
    return {
        "reader": [cut(reader, 0, 3), cut(reader, 20, 23)],
        "nagg": [cut(play, 4.8, 8.0), cut(play, 23.7, 26.7)],
        "nell": [cut(play, 8.7, 11.4), cut(play, 14.6, 17)],
        "woman": [cut(woman, 0, 2), cut(woman, 2, 4)],
        "pico": [cut(pico, 0, 2.5), cut(pico, 2.5, 5)],
        "espeak": [cut(espeak, 0, 2.5), cut(espeak, 2.5, 5)],
    }


async def voice(engine: Pyannote, samples: Samples) -> HeardVoice:
    heard = await engine.voices(samples.tobytes())
    return max(heard, key=lambda each: each.speech_ms)


_heard: dict[str, list[HeardVoice]] = {}


async def voices(engine: Pyannote) -> dict[str, list[HeardVoice]]:
    """The two pieces of each, listened to once for all tests."""
    if not _heard:
        for name, pieces in (await people()).items():
            _heard[name] = [await voice(engine, piece) for piece in pieces]
    return _heard


async def test_each_voice_is_like_itself_and_like_no_other(engine: Pyannote) -> None:
    heard = await voices(engine)
    vectors = {name: [each.embedding for each in pair] for name, pair in heard.items()}
    assert all(vector is not None for pair in vectors.values() for vector in pair)
    same = {name: likeness(one, other) for name, (one, other) in vectors.items() if one and other}
    across = {
        (name, other): likeness(one, two)
        for (name, ones), (other, twos) in combinations(vectors.items(), 2)
        for one in ones
        for two in twos
        if one and two
    }
    assert min(same.values()) > 0.42, same
    assert max(across.values()) < 0.38, across


async def test_a_session_numbers_them_and_knows_them_again(engine: Pyannote) -> None:
    heard = await voices(engine)
    reader = heard["reader"][0]
    assert reader.embedding is not None
    who = Who({"Charles": reader.embedding})
    order = ["pico", "nagg", "reader", "nell", "woman", "espeak"]
    names: dict[str, list[str | None]] = {name: [] for name in order}
    for turn in range(2):
        for name in order:
            piece = heard[name][turn]
            assert piece.embedding is not None
            names[name].append(who.hear(piece.embedding, piece.speech_ms))
    assert names == {
        "pico": ["Speaker 1"] * 2,
        "nagg": ["Speaker 2"] * 2,
        "reader": ["Charles"] * 2,
        "nell": ["Speaker 3"] * 2,
        "woman": ["Speaker 4"] * 2,
        "espeak": ["Speaker 5"] * 2,
    }


async def test_two_people_who_talk_to_each_other_are_told_apart_as_they_speak(engine: Pyannote) -> None:
    play = cut(asset("endgame_nagg_nell"), 4.8, 18.9)
    who, spans = Who(), VoiceSpans()
    length_ms = len(play) // 16
    for end_ms in (*range(2400, length_ms, 2400), length_ms):
        from_ms = max(0, end_ms - 10_000)
        window = play[from_ms * 16 : end_ms * 16]
        heard = await engine.voices(window.tobytes(), max(0, spans.done_ms - from_ms))
        spans.take(heard, from_ms, end_ms, who, last=end_ms == length_ms)
    assert who.names == ("Speaker 1", "Speaker 2")
    truth = [(0, 3.2, 1), (3.9, 6.6, 2), (7.2, 9.3, 1), (9.8, 12.2, 2), (12.8, 14.0, 1)]
    right_ms = sum(
        max(0, min(span.end_ms, end * 1000) - max(span.start_ms, start * 1000))
        for span in spans.spans
        for start, end, number in truth
        if span.speaker == f"Speaker {number}"
    )
    assert right_ms / sum((end - start) * 1000 for start, end, _ in truth) > 0.85, spans.spans


async def test_silence_and_noise_have_no_voice(engine: Pyannote) -> None:
    assert await engine.voices(bytes(2 * EAR_RATE_HZ)) == ()
    hiss = np.random.default_rng(1).normal(0, 300, 3 * EAR_RATE_HZ).astype("<i2")
    assert all(heard.embedding is None for heard in await engine.voices(hiss.tobytes()))
    assert await engine.voices(b"") == ()


async def test_the_event_loop_goes_on_while_it_listens(engine: Pyannote) -> None:
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            beats += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(heart())
    await engine.voices(cut(asset("two_cities"), 0, 10).tobytes())
    beating.cancel()
    assert beats > 100


async def test_what_it_cannot_do_is_said(engine: Pyannote, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at most 10 s"):
        await engine.voices(bytes(2 * 11 * EAR_RATE_HZ))
    with pytest.raises(EngineError, match="not loaded"):
        await Pyannote().voices(b"")
    other = tmp_path / "library"
    other.write_bytes(b"ORTM" * 100)
    with pytest.raises(EngineError, match="reinstall moonshine-voice"):
        read_network(EMBEDDING, other)


@pytest.mark.parametrize("network", [SEGMENTATION, EMBEDDING])
def test_the_networks_are_found_by_their_content(network: Network) -> None:
    assert len(read_network(network, library())) == network.size_bytes
