"""Piper's library with a tiny voice of random weights."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.shell.tiny_voices import write_piper_voice
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken, words_of

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.piper import PiperSynthesizer
from antiphon.errors import EngineError

NAME = "en_US-tiny-low"
SLOW = "a vision"
"""A text with the sound that takes the tiny model half a minute."""


@pytest.fixture
def voice_file(tmp_path: Path) -> Path:
    return write_piper_voice(tmp_path / f"{NAME}.onnx")


@pytest.fixture
async def piper(voice_file: Path) -> AsyncIterator[PiperSynthesizer]:
    engine = PiperSynthesizer(str(voice_file))
    await engine.load()
    yield engine
    await engine.close()


async def test_each_piece_is_a_segment_without_silence_before_it(piper: PiperSynthesizer) -> None:
    chunks = await spoken(piper, "Good morning, ", "...", "how are you today?")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    for segment in (0, 2):
        loud = np.flatnonzero(np.abs(sound_of([chunk for chunk in chunks if chunk.segment == segment])) > 300)
        assert loud[0] < MOUTH_RATE_HZ * 0.03
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    assert np.abs(sound_of(chunks)).max() < 32_700


async def test_words_sound_at_their_times_and_it_is_silent_between(piper: PiperSynthesizer) -> None:
    text = "Good morning, my friend. It cost 25 dollars."
    chunks = await spoken(piper, text)
    words, sound = words_of(chunks), sound_of(chunks)
    assert [text[word.start_char : word.end_char] for word in words] == [
        "Good",
        "morning",
        "my",
        "friend",
        "It",
        "cost",
        "25",
        "dollars",
    ]
    for word in words:
        assert level(sound[word.start_sample : word.end_sample]) > 4000
    margin = MOUTH_RATE_HZ // 500
    for before, after in pairwise(words):
        assert level(sound[before.end_sample + margin : after.start_sample - margin]) < 500


async def test_words_of_later_pieces_count_from_their_own_start(piper: PiperSynthesizer) -> None:
    chunks = await spoken(piper, "Good morning.", "my friend")
    [first, second] = words_of([chunk for chunk in chunks if chunk.segment == 1])
    assert (first.start_char, second.start_char) == (0, 3)
    assert first.start_sample < MOUTH_RATE_HZ * 0.03


async def test_a_voice_without_durations_has_no_words(voice_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    engine = PiperSynthesizer(str(voice_file))
    await engine.load()
    chunks = await spoken(engine, "Good morning.")
    assert duration_s(chunks) > 0.3
    assert words_of(chunks) == []
    await engine.close()


async def test_speed(piper: PiperSynthesizer) -> None:
    text = "The rain in Spain stays mainly in the plain."
    assert duration_s(await spoken(piper, text, speed=0.5)) > 1.4 * duration_s(await spoken(piper, text, speed=1.5))


async def test_speakers_are_voices(tmp_path: Path) -> None:
    engine = PiperSynthesizer(str(write_piper_voice(tmp_path / "de_DE-two-low.onnx", ("anna", "bert"), "de_DE")))
    assert [voice.language for voice in engine.voices] == ["de-DE"]
    await engine.load()
    assert [voice.name for voice in engine.voices] == ["de_DE-two-low", "de_DE-two-low:anna", "de_DE-two-low:bert"]
    assert engine.capabilities.languages == ("de-DE",)
    default, anna, bert = [sound_of(await spoken(engine, "Ja.", voice=voice.name)) for voice in engine.voices]
    assert np.allclose(default, anna, atol=3)
    assert not np.allclose(anna, bert, atol=300)
    await engine.close()


async def test_brackets_are_no_phonemes(piper: PiperSynthesizer) -> None:
    plain = duration_s(await spoken(piper, "x nonsense y"))
    assert duration_s(await spoken(piper, "x [[nonsense]] y \ud800")) == pytest.approx(plain, abs=0.3)


async def test_sessions_speak_side_by_side(piper: PiperSynthesizer) -> None:
    texts = [f"This is session number {number}." for number in range(8)]
    together = await asyncio.gather(*(spoken(piper, text) for text in texts))
    for text, chunks in zip(texts, together, strict=True):
        assert np.allclose(sound_of(chunks), sound_of(await spoken(piper, text)), atol=3)


async def test_closing_the_stream_ends_a_run_of_the_model(piper: PiperSynthesizer) -> None:
    async with aclosing(piper.speak(pieces("Yes.", SLOW), Voice(""))) as chunks:
        async for chunk in chunks:
            if chunk.last:
                break
        waiting = asyncio.ensure_future(anext(chunks))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    begun = time.perf_counter()
    assert duration_s(await spoken(piper, "Yes.")) > 0.1
    await piper.close()
    assert time.perf_counter() - begun < 5.0


async def test_a_voice_is_found_among_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    engine = PiperSynthesizer(NAME)
    assert engine.name == f"piper:{NAME}"
    assert [voice.language for voice in engine.voices] == ["en-US"]
    with pytest.raises(EngineError, match=f"antiphon models pull piper:{NAME}"):
        await engine.load()
    write_piper_voice(tmp_path / "piper" / NAME / "en" / f"{NAME}.onnx")
    await engine.load()
    assert duration_s(await spoken(engine, "Yes.")) > 0.1
    await engine.close()


def break_settings(voice_file: Path) -> None:
    Path(f"{voice_file}.json").write_text("{}")


def remove_settings(voice_file: Path) -> None:
    Path(f"{voice_file}.json").unlink()


def break_model(voice_file: Path) -> None:
    voice_file.write_bytes(b"no model")


@pytest.mark.parametrize(
    ("harm", "words"),
    [(break_settings, "pull it again"), (remove_settings, "needs the file"), (break_model, "pull it again")],
)
async def test_broken_files_are_told(voice_file: Path, harm: Callable[[Path], None], words: str) -> None:
    harm(voice_file)
    with pytest.raises(EngineError, match=words):
        await PiperSynthesizer(str(voice_file)).load()


async def test_without_the_package(voice_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(EngineError, match=r"antiphon\[piper\]"):
        await PiperSynthesizer(str(voice_file)).load()


async def test_what_is_said_is_not_logged(piper: PiperSynthesizer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert duration_s(await spoken(piper, "Secret morning.")) > 0.3
    assert "ecret" not in caplog.text
    assert "mˈɔːɹnɪŋ" not in caplog.text


async def test_a_closed_engine_says_so(piper: PiperSynthesizer) -> None:
    await piper.close()
    await piper.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(piper, "Hello.")
