"""XTTS's library with a tiny model of random weights. Module ``xtts_model`` is tested here as well."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.shell.tiny_pocket_tts import write_recording
from tests.shell.tiny_xtts import small_sizes, write_xtts_model
from tests.shell.worker_client import cut_one_and_hear_another
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken
from TTS.tts.layers.xtts.gpt_inference import GPT2InferenceModel

from antiphon.audio import MOUTH_RATE_HZ, Samples
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines import xtts_model
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.voice_pack import VoicePack
from antiphon.engines.xtts import LANGUAGES, XttsSynthesizer
from antiphon.engines.xtts_model import XttsModel
from antiphon.errors import ConfigError, EngineError

STEP_S = 1024 / 22050
LONG = "The rain in Spain stays mainly in the plain, and so it goes."


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny model finds no end, and has a token for each letter: it speaks for so long."""
    monkeypatch.setattr(xtts_model, "SPARE_S", 0.5)
    monkeypatch.setattr(xtts_model, "SLOWEST_S_PER_TOKEN", 0.05)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_xtts


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("xtts")
    with small_sizes():
        write_xtts_model(folder / "tiny")
    write_recording(folder / "low.wav", 200, seconds=2.0)
    write_recording(folder / "high.wav", 900, seconds=2.0)
    return folder


@pytest.fixture
async def xtts(files: Path) -> AsyncIterator[XttsSynthesizer]:
    engine = XttsSynthesizer(str(files / "tiny"), device="cpu")
    with small_sizes():
        await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each step of the GPT."""
    made: list[int] = []
    forward = GPT2InferenceModel.forward

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        made.append(1)
        return forward(self, *given, **named)

    monkeypatch.setattr(GPT2InferenceModel, "forward", counted)
    return made


def pack(files: Path, name: str, recording: str = "low.wav", language: str = "en-GB", **other: Any) -> VoicePack:
    return VoicePack("xtts", name, (language,), files, **{"reference_audio": files / recording} | other)


async def said(engine: XttsSynthesizer, voice: str, text: str = "Yes.", speed: float = 1.0) -> Samples:
    return sound_of(await spoken(engine, text, voice=voice, speed=speed))


def same(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, atol=30))


def model_of(engine: XttsSynthesizer) -> XttsModel:
    assert engine._model is not None
    return engine._model


async def test_what_it_can_do(xtts: XttsSynthesizer) -> None:
    assert xtts.name == "xtts:tiny"
    assert [voice.name for voice in xtts.voices] == ["Ana", "Bo", *LANGUAGES[1:]]
    assert [voice.language for voice in xtts.voices] == ["en", *LANGUAGES]
    able = xtts.capabilities
    assert (able.streaming, able.zero_shot, able.lora, able.cpu) == (True, True, False, False)
    assert able.languages == LANGUAGES


@pytest.mark.parametrize("speed", [1.0, 0.8])
async def test_the_sound_is_that_of_the_library(xtts: XttsSynthesizer, files: Path, speed: float) -> None:
    """Piece by piece and by turns, against the library's own stream, which decodes it in one."""
    await xtts.add_pack(pack(files, "cloned"))
    model, voice = model_of(xtts), xtts._packs["cloned"].voice
    sampling = model._sampling()
    given = ("top_k", "top_p", "temperature", "length_penalty", "repetition_penalty")
    most = int((0.5 + 0.05 * model._tokens("Yes.", "en").shape[1]) / STEP_S)
    whole = model._model.inference_stream(
        "Yes.",
        "en",
        voice.heard,
        voice.speaker,
        stream_chunk_size=0,
        speed=speed,
        max_new_tokens=most,
        **{name: sampling[name] for name in given},
    )
    expected: list[AudioChunk] = []

    def emit(pcm: bytes, _words: object) -> bool:
        expected.append(AudioChunk(pcm, 0))
        return True

    part = RenderedPart("Yes.", 24000, emit)
    part.push(torch.cat(list(whole)).numpy())
    part.finish()
    assert duration_s(expected) > 0.4
    assert same(await said(xtts, "cloned", speed=speed), sound_of(expected))


async def test_each_piece_is_a_segment(xtts: XttsSynthesizer) -> None:
    chunks = await spoken(xtts, "Good \ud800 morning, ", "...", "my [STOP] friend.")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    for segment in (0, 2):
        of_it = [chunk for chunk in chunks if chunk.segment == segment]
        assert 0.7 < duration_s(of_it) < 2.5
        assert level(sound_of(of_it)) > 500


async def test_the_first_audio_comes_long_before_the_last(xtts: XttsSynthesizer, steps: list[int]) -> None:
    async with aclosing(xtts.speak(pieces(LONG), Voice(""))) as chunks:
        first = await anext(chunks)
        begun = len(steps)
        rest = [chunk async for chunk in chunks]
    assert len(first.pcm) / 2 / MOUTH_RATE_HZ < 6 * STEP_S
    assert duration_s(rest) > 50 * STEP_S
    assert begun < len(steps) / 2


async def test_closing_the_stream_ends_the_work(xtts: XttsSynthesizer, steps: list[int]) -> None:
    async with aclosing(xtts.speak(pieces(LONG), Voice(""))) as chunks:
        await anext(chunks)
    at_close = len(steps)
    await xtts.close()  # waits for what still runs
    assert len(steps) <= at_close + 1 < 60


async def test_voices_differ_and_take_turns_by_the_step(xtts: XttsSynthesizer, files: Path) -> None:
    await xtts.add_pack(pack(files, "low"))
    await xtts.add_pack(pack(files, "high", "high.wav"))
    await xtts.add_pack(pack(files, "german", language="de-AT"))
    voices = ("Ana", "Bo", "de", "low", "high", "german")
    alone = [await said(xtts, voice) for voice in voices]
    for number, sound in enumerate(alone):
        assert not any(same(sound, other) for other in alone[:number])
    longer = await said(xtts, "Ana", "Yes, and no.")  # a prompt of another length
    *together, beside = await asyncio.gather(
        *(said(xtts, voice) for voice in voices), said(xtts, "Ana", "Yes, and no.")
    )
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    assert same(longer, beside)


async def test_a_short_text_does_not_wait_for_a_long_one(xtts: XttsSynthesizer, steps: list[int]) -> None:
    async with aclosing(xtts.speak(pieces(LONG), Voice("Bo"))) as long:
        await anext(long)
        before = len(steps)
        short = await said(xtts, "Ana")
        assert len(steps) - before < 3 * len(short) / MOUTH_RATE_HZ / STEP_S
        assert [chunk async for chunk in long][-1].last


async def test_pace(xtts: XttsSynthesizer) -> None:
    plain, slow, slowest = [len(await said(xtts, "", LONG[:30], speed)) for speed in (1.0, 0.8, 0.1)]
    assert 1.15 < slow / plain < 1.35
    assert 1.8 < slowest / plain < 2.2  # no slower than half


async def test_every_language_can_be_read(xtts: XttsSynthesizer) -> None:
    texts = {
        "en": "It costs $20.", "es": "Cuesta 20 euros.", "fr": "Bonjour à tous.", "de": "Guten Tag.", "it": "Ciao.",
        "pt": "Olá.", "pl": "Dzień dobry.", "tr": "Merhaba.", "ru": "Привет, 5 раз.", "nl": "Goedendag.",
        "cs": "Dobrý den.", "ar": "مرحبا", "zh-CN": "你好，12个", "hu": "Jó napot.", "ko": "안녕하세요", "ja": "世界。",
        "hi": "नमस्ते",
    }  # fmt: skip
    assert set(texts) == set(LANGUAGES)
    model = model_of(xtts)
    for language, text in texts.items():
        assert model._tokens(text, language.lower()).shape[1] > 3
    for voice in ("ja", "zh-CN", "ar"):
        assert level(await said(xtts, voice, texts[voice])) > 500


async def test_long_texts_are_cut_to_what_the_model_takes(xtts: XttsSynthesizer) -> None:
    model = model_of(xtts)
    for text, language in (("你好世界。" * 30, "zh-cn"), ("1234567 " * 30, "en"), ("9" * 120, "de"), ("x" * 900, "en")):
        cut = list(model.pieces(text, language))
        assert "".join(cut) == text
        assert all(len(piece) <= model._model.tokenizer.char_limits[language[:2]] for piece in cut)
        assert all(model._tokens(piece, language).shape[1] < model._model.args.gpt_max_text_tokens for piece in cut)
    assert list(model.pieces("Hello, you.", "en")) == ["Hello, you."]


async def test_packs_are_replaced_and_removed(xtts: XttsSynthesizer, files: Path) -> None:
    plain = await said(xtts, "Ana")
    await xtts.add_pack(pack(files, "mine"))
    old = await said(xtts, "mine")
    async with aclosing(xtts.speak(pieces("Yes."), Voice("mine"))) as chunks:
        begun = [await anext(chunks)]
        await xtts.add_pack(pack(files, "mine", "high.wav"))
        begun += [chunk async for chunk in chunks]
    assert same(sound_of(begun), old)
    assert not same(await said(xtts, "mine"), old)
    await xtts.remove_pack("mine")
    await xtts.remove_pack("mine")
    assert same(await said(xtts, "mine"), plain)


async def test_packs_of_no_use_are_refused(xtts: XttsSynthesizer, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for wrong, told in (
        (pack(files, "x", reference_audio=None), "reference_audio: .*recording"),
        (pack(files, "x", language="sv-SE"), "languages: XTTS does not speak sv-SE"),
        (pack(files, "x", pitch=2.0), "pitch:"),
        (pack(files, "x", lora=files), "lora:"),
        (pack(files, "x", options={"mood": 1}), r"options\.mood:"),
    ):
        with pytest.raises(EngineError, match=told):
            xtts.pack_voice(wrong)
    with pytest.raises(EngineError, match=r"none\.wav"):
        await xtts.add_pack(pack(files, "x", "none.wav"))
    assert xtts.pack_voice(pack(files, "x", language="pt-BR")).language == "pt-BR"
    monkeypatch.setattr("antiphon.engines.xtts._NEEDED", {"ja": "no_such_package"})
    with pytest.raises(EngineError, match="languages: ja-JP needs no_such_package: run `pip install"):
        xtts.pack_voice(pack(files, "x", language="ja-JP"))
    assert set(LANGUAGES) - set(xtts.capabilities.languages) == {"ja"}


async def test_what_is_wrong_with_a_model_is_told(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        XttsSynthesizer("v2", device="gpu")
    tiny = files / "tiny"
    broken, dumb = tmp_path / "broken", tmp_path / "dumb"
    for folder, names in ((broken, ("config.json", "vocab.json")), (dumb, ("config.json", "vocab.json", "model.pth"))):
        folder.mkdir()
        for name in names:
            (folder / name).symlink_to(tiny / name)
    (broken / "model.pth").write_bytes(b"no model")
    with small_sizes():
        for name, told in (
            ("v2", "antiphon models pull xtts:v2"),
            (f"{tmp_path}/nowhere", r"there is no .*nowhere/config\.json"),
            (str(broken), "cannot be read"),
            (str(dumb), r"no speakers_xtts\.pth"),
            (f"{tiny}:Nobody", "no speaker 'Nobody': it has Ana, Bo"),
        ):
            with pytest.raises(EngineError, match=told):
                await XttsSynthesizer(name, device="cpu").load()
        with pytest.raises(EngineError, match=r"no device cuda:9.*--device"):
            await XttsSynthesizer(str(tiny), device="cuda:9").load()
        monkeypatch.setitem(sys.modules, "antiphon.engines.xtts_model", None)
        with pytest.raises(EngineError, match=r"antiphon\[xtts\]"):
            await XttsSynthesizer(str(tiny)).load()


async def test_the_first_speaker_can_be_chosen(files: Path, xtts: XttsSynthesizer) -> None:
    engine = XttsSynthesizer(f"{files / 'tiny'}:Bo", device="cpu")
    assert engine.voices[0].name == "Bo"
    with small_sizes():
        await engine.load()
    assert [voice.name for voice in engine.voices[:2]] == ["Bo", "Ana"]
    assert same(await said(engine, ""), await said(xtts, "Bo"))
    await engine.close()


async def test_what_is_said_is_not_logged(xtts: XttsSynthesizer, caplog: pytest.LogCaptureFixture, capfd: Any) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await said(xtts, "", "Secret, ")).size
    assert "ecret" not in caplog.text
    assert "ecret" not in "".join(capfd.readouterr())


async def test_a_closed_engine_says_so(xtts: XttsSynthesizer, files: Path) -> None:
    await xtts.close()
    await xtts.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(xtts, "Hello.")
    with pytest.raises(EngineError, match="closed"):
        await xtts.add_pack(pack(files, "x"))


@pytest.mark.timeout(240)
async def test_in_a_worker(tmp_path: Path) -> None:
    model = f"xtts:{write_xtts_model(tmp_path / 'whole', most_steps=40)}"
    assert 0.8 < await cut_one_and_hear_another(model, "Hello there, world. " * 9, "Hallo.", voice="de") < 2.5
