"""Kokoro's library with a tiny model of random weights."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from tests.shell.tiny_voices import write_kokoro_model
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken, words_of

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.kokoro import KokoroSynthesizer
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.errors import ConfigError, EngineError

VOICES = ("af_heart", "bm_george", "ff_siwis", "jf_alpha")
SLOW = "a vision"
"""A text with the sound that takes the tiny model half a minute."""


@pytest.fixture
async def kokoro(tmp_path: Path) -> AsyncIterator[KokoroSynthesizer]:
    engine = KokoroSynthesizer(str(write_kokoro_model(tmp_path / "model", VOICES)))
    await engine.load()
    yield engine
    await engine.close()


async def test_voices_are_those_of_the_model_in_languages_that_can_be_phonemized(kokoro: KokoroSynthesizer) -> None:
    voices = [(voice.name, voice.language) for voice in kokoro.voices]
    assert voices == [("af_heart", "en-US"), ("bm_george", "en-GB"), ("ff_siwis", "fr-FR")]
    heart, george, unknown = [sound_of(await spoken(kokoro, "Yes.", voice=name)) for name in (*VOICES[:2], "marin")]
    assert not np.allclose(heart, george, atol=300)
    assert np.allclose(heart, unknown, atol=3)


async def test_each_piece_is_a_segment_without_silence_before_it(kokoro: KokoroSynthesizer) -> None:
    chunks = await spoken(kokoro, "Good morning, ", "...", "how are you \ud800 today?")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    for segment in (0, 2):
        loud = np.flatnonzero(np.abs(sound_of([chunk for chunk in chunks if chunk.segment == segment])) > 300)
        assert loud[0] < MOUTH_RATE_HZ * 0.03
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)


async def test_words_sound_at_their_times_and_it_is_silent_between(kokoro: KokoroSynthesizer) -> None:
    text = "Good morning, my friend. It cost 3.5 dollars."
    chunks = await spoken(kokoro, text)
    words, sound = words_of(chunks), sound_of(chunks)
    expected = ["Good", "morning", "my", "friend", "It", "cost", "3.5", "dollars"]
    assert [text[word.start_char : word.end_char] for word in words] == expected
    for word in words:
        assert level(sound[word.start_sample : word.end_sample]) > 4000
    margin = MOUTH_RATE_HZ // 500
    for before, after in pairwise(words):
        assert level(sound[before.end_sample + margin : after.start_sample - margin]) < 500


async def test_the_usual_models_give_no_words(tmp_path: Path) -> None:
    engine = KokoroSynthesizer(f"{write_kokoro_model(tmp_path, VOICES, timed=False)}:bm_george")
    assert engine.name == "kokoro:bm_george"
    await engine.load()
    chunks = await spoken(engine, "Good morning.")
    assert duration_s(chunks) > 0.3
    assert words_of(chunks) == []
    await engine.close()


async def test_voices_in_files_of_their_own(tmp_path: Path) -> None:
    engine = KokoroSynthesizer(str(write_kokoro_model(tmp_path, VOICES, hub_layout=True)))
    await engine.load()
    assert [voice.name for voice in engine.voices] == ["af_heart", "bm_george", "ff_siwis"]
    assert duration_s(await spoken(engine, "Good morning.")) > 0.3
    await engine.close()


async def test_speed(kokoro: KokoroSynthesizer) -> None:
    text = "The rain in Spain stays mainly in the plain."
    assert duration_s(await spoken(kokoro, text, speed=0.3)) > 1.4 * duration_s(await spoken(kokoro, text, speed=1.5))


async def test_sessions_speak_side_by_side(kokoro: KokoroSynthesizer) -> None:
    texts = [f"This is session number {number}." for number in range(8)]
    together = await asyncio.gather(*(spoken(kokoro, text) for text in texts))
    for text, chunks in zip(texts, together, strict=True):
        assert np.allclose(sound_of(chunks), sound_of(await spoken(kokoro, text)), atol=3)


async def test_closing_the_stream_ends_a_run_of_the_model(kokoro: KokoroSynthesizer) -> None:
    async with aclosing(kokoro.speak(pieces(SLOW), Voice(""))) as chunks:
        waiting = asyncio.ensure_future(anext(chunks))
        done, _ = await asyncio.wait([waiting], timeout=0.3)
        assert not done
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    begun = time.perf_counter()
    assert duration_s(await spoken(kokoro, "Yes.")) > 0.1
    await kokoro.close()
    assert time.perf_counter() - begun < 5.0


async def test_the_model_is_found_among_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    engine = KokoroSynthesizer("bm_george")
    with pytest.raises(EngineError, match=r"antiphon models pull kokoro:v1\.0"):
        await engine.load()
    write_kokoro_model(tmp_path / "kokoro" / "v1.0", VOICES)
    await engine.load()
    assert engine.voices[0].name == "bm_george"
    await engine.close()


async def test_what_is_wrong_with_a_model_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="zf_xiaobei"):
        KokoroSynthesizer("zf_xiaobei")
    folder = write_kokoro_model(tmp_path, VOICES)
    with pytest.raises(EngineError, match="it has af_heart"):
        await KokoroSynthesizer(f"{folder}:af_bella").load()
    with pytest.raises(EngineError, match="there is no folder"):
        await KokoroSynthesizer(f"{folder}/nowhere").load()
    (folder / "kokoro-v1.0.onnx").write_bytes(b"no model")
    with pytest.raises(EngineError, match="pull it again"):
        await KokoroSynthesizer(str(folder)).load()
    monkeypatch.setitem(sys.modules, "kokoro_onnx", None)
    with pytest.raises(EngineError, match=r"antiphon\[kokoro\]"):
        await KokoroSynthesizer(str(folder)).load()


async def test_what_is_said_is_not_logged(kokoro: KokoroSynthesizer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert duration_s(await spoken(kokoro, "Secret morning.")) > 0.3
    assert "ecret" not in caplog.text
    assert "mˈɔːɹnɪŋ" not in caplog.text


async def test_a_closed_engine_says_so(kokoro: KokoroSynthesizer) -> None:
    await kokoro.close()
    await kokoro.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(kokoro, "Hello.")
