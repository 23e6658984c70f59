"""mlx-audio's Kokoro and Pocket TTS with tiny models of random weights, on MLX's build for the CPU."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from mlx_audio.tts.models.kokoro import kokoro as kokoro_module
from mlx_audio.tts.models.pocket_tts import Model as PocketModel
from tests.shell.tiny_mlx import NarrowDecoder, write_mlx_kokoro, write_mlx_pocket
from tests.spoken_sound import duration_s, pieces, sound_of, spoken, words_of

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines import mlx_kokoro
from antiphon.engines.mlx_audio import MlxAudioSynthesizer
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.errors import EngineError

VOICES = ("af_heart", "bm_george", "ff_siwis", "jf_alpha")
LONG = "hello there world, " * 7
"""Of which the tiny Pocket TTS makes some twenty seconds."""


@pytest.fixture(scope="module", autouse=True)
def narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kokoro_module, "Decoder", NarrowDecoder)
        yield


@pytest.fixture(scope="module")
def kokoro_folder(tmp_path_factory: pytest.TempPathFactory, narrow: None) -> Path:
    return write_mlx_kokoro(tmp_path_factory.mktemp("kokoro") / "Kokoro-tiny", VOICES)


@pytest.fixture(scope="module")
def pocket_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mlx_pocket(tmp_path_factory.mktemp("pocket") / "tiny", ("alba", "jean"))


@pytest.fixture
async def kokoro(kokoro_folder: Path) -> AsyncIterator[MlxAudioSynthesizer]:
    engine = MlxAudioSynthesizer(str(kokoro_folder))
    await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
async def pocket(pocket_folder: Path) -> AsyncIterator[MlxAudioSynthesizer]:
    engine = MlxAudioSynthesizer(str(pocket_folder), "jean")
    await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each frame of 80 ms that a Pocket TTS makes."""
    made: list[int] = []
    make = PocketModel._generate_audio_stream_short_text

    def counted(self: PocketModel, *args: Any, **options: Any) -> Iterator[Any]:
        for frame in make(self, *args, **options):
            made.append(1)
            yield frame

    monkeypatch.setattr(PocketModel, "_generate_audio_stream_short_text", counted)
    return made


async def test_kokoros_voices_are_those_in_languages_that_can_be_phonemized(kokoro: MlxAudioSynthesizer) -> None:
    assert kokoro.name == "mlx-audio:Kokoro-tiny"
    voices = [(voice.name, voice.language) for voice in kokoro.voices]
    assert voices == [("af_heart", "en-US"), ("bm_george", "en-GB"), ("ff_siwis", "fr-FR")]
    assert kokoro.capabilities.languages == ("en-US", "en-GB", "fr-FR")
    heart, george, unknown = [duration_s(await spoken(kokoro, "Yes.", voice=name)) for name in (*VOICES[:2], "marin")]
    assert abs(heart - george) > 0.02
    assert abs(heart - unknown) < 0.02


async def test_each_piece_is_a_segment_without_silence_before_it(kokoro: MlxAudioSynthesizer) -> None:
    chunks = await spoken(kokoro, "Good morning, ", "...", "how are you \ud800\0 today?")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    for segment in (0, 2):
        loud = np.flatnonzero(np.abs(sound_of([chunk for chunk in chunks if chunk.segment == segment])) > 300)
        assert loud[0] < MOUTH_RATE_HZ * 0.03
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)


async def test_words_have_their_times(kokoro: MlxAudioSynthesizer) -> None:
    text = "Good morning, my friend. It cost 3.5 dollars."
    chunks = await spoken(kokoro, text)
    words = words_of(chunks)
    expected = ["Good", "morning", "my", "friend", "It", "cost", "3.5", "dollars"]
    assert [text[word.start_char : word.end_char] for word in words] == expected
    assert all(word.start_sample < word.end_sample for word in words)
    assert all(before.end_sample <= after.start_sample for before, after in pairwise(words))
    assert words[0].start_sample >= 0
    assert words[-1].end_sample <= len(sound_of(chunks))


async def test_text_of_more_sounds_than_fit_into_a_pass_is_spoken_whole(
    kokoro: MlxAudioSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    spelt: list[str] = []
    speak = kokoro_module.Model.__call__

    def noted(self: Any, phonemes: str, *args: Any, **options: Any) -> Any:
        spelt.append(phonemes)
        return speak(self, phonemes, *args, **options)

    monkeypatch.setattr(kokoro_module.Model, "__call__", noted)
    text = "One hundred and twenty three thousand four hundred."
    assert words_of(await spoken(kokoro, text))
    monkeypatch.setattr(mlx_kokoro, "MOST_PHONEMES", 20)
    chunks = await spoken(kokoro, text)
    assert duration_s(chunks) > 0.5
    assert words_of(chunks) == []
    whole, *parts = spelt
    assert " ".join(parts) == whole
    assert len(parts) > 2 and max(len(part) for part in parts) <= 20


async def test_speed(kokoro: MlxAudioSynthesizer) -> None:
    text = "The rain in Spain stays mainly in the plain."
    assert duration_s(await spoken(kokoro, text, speed=0.3)) > 1.4 * duration_s(await spoken(kokoro, text, speed=1.5))


async def test_sessions_speak_side_by_side(kokoro: MlxAudioSynthesizer) -> None:
    texts = ["Yes.", "This is the second one.", "And a third one, which is longer.", "No."]
    together = await asyncio.gather(*(spoken(kokoro, text) for text in texts))
    for text, chunks in zip(texts, together, strict=True):
        assert duration_s(chunks) == pytest.approx(duration_s(await spoken(kokoro, text)), abs=0.03)


async def test_models_that_stream_give_their_first_audio_early(pocket: MlxAudioSynthesizer, frames: list[int]) -> None:
    assert [voice.name for voice in pocket.voices] == ["jean", "alba"]
    async with aclosing(pocket.speak(pieces(LONG), Voice("alba"))) as chunks:
        first = await anext(chunks)
        assert 0.1 < duration_s([first]) < 0.7
        frames_by_then = len(frames)
        rest = [chunk async for chunk in chunks]
    assert len(frames) > 10 * frames_by_then
    assert duration_s([first, *rest]) == pytest.approx(0.08 * len(frames), rel=0.05)
    assert words_of(rest) == []


async def test_closing_the_stream_stops_the_work(pocket: MlxAudioSynthesizer, frames: list[int]) -> None:
    async with aclosing(pocket.speak(pieces(LONG), Voice("alba"))) as chunks:
        await anext(chunks)
    await spoken(pocket, "...")  # the model is free again, or it would not get to this
    stopped_at = len(frames)
    assert stopped_at < 140  # of nearly 300
    assert duration_s(await spoken(pocket, "Hello.")) > 0.1
    await spoken(pocket, "...")
    assert len(frames) < stopped_at + 60


async def test_a_failure_is_told_and_the_engine_goes_on(
    pocket: MlxAudioSynthesizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_args: Any, **_options: Any) -> Iterator[None]:
        raise ValueError("out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(PocketModel, "generate_audio_stream", fails)
        with pytest.raises(EngineError, match=r"jean could not speak this text \(out of memory\)"):
            await spoken(pocket, "Hello.")
    assert duration_s(await spoken(pocket, "Hello.")) > 0.1


async def test_engines_of_one_process_take_turns(
    kokoro: MlxAudioSynthesizer, pocket: MlxAudioSynthesizer, frames: list[int]
) -> None:
    async with aclosing(pocket.speak(pieces(LONG), Voice("alba"))) as chunks:
        await anext(chunks)
        assert duration_s(await spoken(kokoro, "Yes.")) > 0.1
        by_then = len(frames)
        assert [chunk async for chunk in chunks]
    assert by_then < len(frames) / 2


async def test_the_model_is_found_among_the_models_and_in_the_hubs_cache(
    tmp_path: Path, kokoro_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "models"))
    pulled = MlxAudioSynthesizer("Kokoro-82M-bf16", "bm_george")
    with pytest.raises(EngineError, match=r"antiphon models pull mlx-audio:Kokoro-82M-bf16"):
        await pulled.load()
    (tmp_path / "models" / "mlx-audio").mkdir(parents=True)
    (tmp_path / "models" / "mlx-audio" / "Kokoro-82M-bf16").symlink_to(kokoro_folder)
    await pulled.load()
    assert pulled.voices[0].name == "bm_george"
    await pulled.close()

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    cached = MlxAudioSynthesizer("someone/kokoro")
    with pytest.raises(EngineError, match="hf download someone/kokoro"):
        await cached.load()
    repository = tmp_path / "hub" / "models--someone--kokoro"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("c0ffee")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "c0ffee").symlink_to(kokoro_folder)
    await cached.load()
    assert cached.name == "mlx-audio:kokoro"
    await cached.close()


async def test_nothing_is_downloaded_behind_the_users_back(tmp_path: Path) -> None:
    folder = write_mlx_pocket(tmp_path / "tiny")
    begun = time.perf_counter()
    with pytest.raises(EngineError, match=r"it needs https://huggingface.co/.*alba.*hf download"):
        await MlxAudioSynthesizer(str(folder)).load()
    assert time.perf_counter() - begun < 20


async def test_what_is_wrong_with_a_model_is_told(
    tmp_path: Path, kokoro_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(model: str, voice: str, match: str) -> None:
        engine = MlxAudioSynthesizer(model, voice)
        with pytest.raises(EngineError, match=match):
            await engine.load()
        await engine.close()

    await fails(str(kokoro_folder), "zf_xiaobei", "it has af_heart")
    await fails(f"{tmp_path}/nowhere", "", "there is no folder")
    await fails(str(tmp_path), "", r"no config\.json")
    (tmp_path / "config.json").write_text("[1]")
    await fails(str(tmp_path), "", "no object")
    (tmp_path / "config.json").write_text("{")
    await fails(str(tmp_path), "", "cannot be read")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whistle"}))
    await fails(str(tmp_path), "", "cannot be loaded by mlx-audio")
    (tmp_path / "config.json").write_text((kokoro_folder / "config.json").read_text())
    await fails(str(tmp_path), "", r"no voices/\*\.safetensors")
    (tmp_path / "voices").symlink_to(kokoro_folder / "voices")
    (tmp_path / "kokoro-v1_0.safetensors").write_bytes(b"no model")
    await fails(str(tmp_path), "", "cannot be loaded by mlx-audio")
    monkeypatch.setitem(sys.modules, "mlx_audio.tts.utils", None)
    await fails(str(kokoro_folder), "", r"antiphon\[mlx-audio\]")


async def test_what_is_said_is_neither_logged_nor_printed(
    kokoro: MlxAudioSynthesizer, pocket: MlxAudioSynthesizer, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    for engine in (kokoro, pocket):
        assert duration_s(await spoken(engine, "Secret hello.")) > 0.3
    printed = capfd.readouterr()
    for told in (caplog.text, printed.out, printed.err):
        assert "ecret" not in told


async def test_a_closed_engine_says_so(kokoro: MlxAudioSynthesizer) -> None:
    await kokoro.close()
    await kokoro.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(kokoro, "Hello.")
