"""CSM's libraries with a tiny model of random weights. Module ``csm_model`` is tested here as well."""

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
from tests.shell.tiny_csm import CODES, write_csm_model, write_lora
from tests.shell.tiny_pocket_tts import write_recording
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken
from transformers import AutoProcessor, CsmForConditionalGeneration
from transformers.models.csm.modeling_csm import CsmDepthDecoderForCausalLM

from antiphon.audio import MOUTH_RATE_HZ, Samples
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines import csm_model
from antiphon.engines.csm import CsmSynthesizer
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.reference_sound import read_reference
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.voice_pack import VoicePack
from antiphon.errors import ConfigError, EngineError

FRAME_S = 0.08
SAID = "What was said in it."
LONG = "The rain in Spain stays mainly in the plain."
SPARE_S = 0.4
"""The tiny model finds no end: it speaks for so long, and for each character of the text."""


@pytest.fixture(autouse=True)
def _brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csm_model, "SPARE_S", SPARE_S)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_csm


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("csm")
    write_csm_model(folder / "tiny")
    for seed in (3, 4):
        write_lora(folder / f"lora{seed}", seed)
    write_recording(folder / "voice.wav", 300)
    return folder


@pytest.fixture
async def csm(files: Path) -> AsyncIterator[CsmSynthesizer]:
    engine = CsmSynthesizer(str(files / "tiny"), device="cpu")
    await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each frame that the model makes."""
    made: list[int] = []
    generate = CsmDepthDecoderForCausalLM.generate

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        made.append(1)
        return generate(self, *given, **named)

    monkeypatch.setattr(CsmDepthDecoderForCausalLM, "generate", counted)
    return made


def pack(files: Path, name: str, *, audio: bool = False, lora: int = 0, **other: Any) -> VoicePack:
    if audio:
        other = {"reference_audio": files / "voice.wav", "reference_text": SAID} | other
    return VoicePack("csm", name, ("en-US",), files, lora=files / f"lora{lora}" if lora else None, **other)


async def said(engine: CsmSynthesizer, voice: str, text: str = "Yes.") -> Samples:
    return sound_of(await spoken(engine, text, voice=voice))


def same(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, atol=30))


async def test_what_it_can_do(csm: CsmSynthesizer) -> None:
    assert csm.name == "csm:tiny"
    assert [(voice.name, voice.language) for voice in csm.voices] == [("speaker-0", "en"), ("speaker-1", "en")]
    able = csm.capabilities
    assert (able.streaming, able.zero_shot, able.lora, able.cpu) == (True, True, True, False)


async def test_the_sound_is_that_of_the_library(csm: CsmSynthesizer, files: Path) -> None:
    """Frame by frame and from a cache, against the library's own way in one piece."""
    await csm.add_pack(pack(files, "cloned", audio=True))
    processor: Any = AutoProcessor.from_pretrained(files / "tiny")
    model: Any = CsmForConditionalGeneration.from_pretrained(files / "tiny")
    written = f"<|begin_of_text|>[0]{SAID}<|end_of_text|><|AUDIO|><|audio_eos|><|begin_of_text|>[0]Yes.<|end_of_text|>"
    inputs = processor(text=written, audio=[read_reference(files / "voice.wav", 24000)])
    limit = int((SPARE_S + csm_model.SLOWEST_S_PER_CHARACTER * len("Yes.")) / FRAME_S)
    codes = model.generate(**inputs, max_new_tokens=limit).clamp(max=CODES - 1)
    with torch.inference_mode():
        whole = model.codec_model.decode(codes.transpose(1, 2)).audio_values[0, 0].numpy()
    expected: list[AudioChunk] = []

    def emit(pcm: bytes, _words: object) -> bool:
        expected.append(AudioChunk(pcm, 0))
        return True

    part = RenderedPart("Yes.", 24000, emit)
    part.push(whole)
    part.finish()
    assert same(await said(csm, "cloned"), sound_of(expected))


async def test_each_piece_is_a_segment(csm: CsmSynthesizer) -> None:
    chunks = await spoken(csm, "Good \ud800 morning, ", "...", "my <|AUDIO|>.")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    for segment in (0, 2):
        of_it = [chunk for chunk in chunks if chunk.segment == segment]
        assert 1.5 < duration_s(of_it) < 4.0
        assert level(sound_of(of_it)) > 500


async def test_the_first_audio_comes_long_before_the_last(csm: CsmSynthesizer, frames: list[int]) -> None:
    async with aclosing(csm.speak(pieces(LONG), Voice(""))) as chunks:
        first = await anext(chunks)
        begun = len(frames)
        rest = [chunk async for chunk in chunks]
    assert len(first.pcm) / 2 / MOUTH_RATE_HZ < 2 * FRAME_S
    assert duration_s(rest) > 80 * FRAME_S
    assert begun < len(frames) / 2


async def test_closing_the_stream_ends_the_work(csm: CsmSynthesizer, frames: list[int]) -> None:
    async with aclosing(csm.speak(pieces(LONG), Voice(""))) as chunks:
        await anext(chunks)
    at_close = len(frames)
    await csm.close()  # waits for what still runs
    assert len(frames) <= at_close + 1 < 60


async def test_voices_differ_and_take_turns_by_the_frame(csm: CsmSynthesizer, files: Path) -> None:
    await csm.add_pack(pack(files, "cloned", audio=True))
    await csm.add_pack(pack(files, "taught", lora=3))
    await csm.add_pack(pack(files, "both", audio=True, lora=4))
    voices = ("speaker-0", "speaker-1", "cloned", "taught", "both")
    alone = [await said(csm, voice) for voice in voices]
    for number, sound in enumerate(alone):
        assert not any(same(sound, other) for other in alone[:number])
    together = await asyncio.gather(*(said(csm, voice) for voice in voices))
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))


async def test_a_short_text_does_not_wait_for_a_long_one(csm: CsmSynthesizer, frames: list[int]) -> None:
    async with aclosing(csm.speak(pieces(LONG), Voice("speaker-1"))) as long:
        await anext(long)
        before = len(frames)
        short = await said(csm, "speaker-0")
        assert len(frames) - before < 3 * len(short) / MOUTH_RATE_HZ / FRAME_S
        assert [chunk async for chunk in long][-1].last


async def test_packs_are_replaced_and_removed(csm: CsmSynthesizer, files: Path) -> None:
    plain = await said(csm, "speaker-0")
    await csm.add_pack(pack(files, "taught", lora=3))
    old = await said(csm, "taught")
    async with aclosing(csm.speak(pieces("Yes."), Voice("taught"))) as chunks:
        begun = [await anext(chunks)]
        await csm.add_pack(pack(files, "taught", lora=4))
        new = await said(csm, "taught")
        begun += [chunk async for chunk in chunks]
    assert same(sound_of(begun), old)
    assert not same(new, old)
    await csm.remove_pack("taught")
    await csm.remove_pack("taught")
    assert same(await said(csm, "taught"), plain)
    await csm.add_pack(pack(files, "taught", lora=3))
    assert same(await said(csm, "taught"), old)
    assert csm._model is not None
    assert len(csm._model._model.peft_config) == 1  # the others are out of the memory


async def test_packs_of_no_use_are_refused(csm: CsmSynthesizer, files: Path, tmp_path: Path) -> None:
    for wrong, told in (
        (pack(files, "x"), "reference_audio: .*or lora"),
        (pack(files, "x", audio=True, reference_text=""), "reference_text:"),
        (pack(files, "x", lora=3, pitch=2.0), "pitch:"),
        (pack(files, "x", lora=3, options={"mood": 1}), r"options\.mood:"),
        (pack(files, "x", lora=3, options={"speaker": 12}), r"options\.speaker:.* 0 to 9"),
    ):
        with pytest.raises(EngineError, match=told):
            csm.pack_voice(wrong)
    broken = VoicePack("csm", "x", ("en",), tmp_path, lora=tmp_path)
    with pytest.raises(EngineError, match="it cannot be used with this model"):
        await csm.add_pack(broken)
    assert csm.pack_voice(pack(files, "x", lora=3)).language == "en-US"
    assert (await said(csm, "x")).size


async def test_with_half_the_bits(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU."""
    monkeypatch.setattr(csm_model, "speech_dtype", lambda _device: torch.bfloat16)
    engine = CsmSynthesizer(str(files / "tiny"), device="cpu")
    await engine.load()
    await engine.add_pack(pack(files, "both", audio=True, lora=4))
    assert level(await said(engine, "both")) > 500
    await engine.close()


async def test_it_stops_at_the_mark_of_the_end(csm: CsmSynthesizer, frames: list[int], monkeypatch: Any) -> None:
    generate = CsmDepthDecoderForCausalLM.generate

    def ending(self: Any, *given: Any, **named: Any) -> Any:
        codes = generate(self, *given, **named)
        return torch.zeros_like(codes) if len(frames) > 10 else codes

    monkeypatch.setattr(CsmDepthDecoderForCausalLM, "generate", ending)
    assert 0 < duration_s(await spoken(csm, LONG)) < 10.5 * FRAME_S + 0.2
    assert len(frames) == 11


async def test_what_is_wrong_with_a_model_is_told(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        CsmSynthesizer("1b", device="gpu")
    empty = tmp_path / "empty"
    empty.mkdir()
    for name, told in (
        ("1b", "antiphon models pull csm:1b"),
        (f"{tmp_path}/nowhere", "there is no folder"),
        ("nobody/nothing", r"not in the hub's cache.*hf download nobody/nothing"),
        (str(empty), "cannot be read"),
    ):
        with pytest.raises(EngineError, match=told):
            await CsmSynthesizer(name, device="cpu").load()
    with pytest.raises(EngineError, match=r"no device cuda:9.*--device"):
        await CsmSynthesizer(str(files / "tiny"), device="cuda:9").load()
    monkeypatch.setitem(sys.modules, "antiphon.engines.csm_model", None)
    with pytest.raises(EngineError, match=r"antiphon\[csm\]"):
        await CsmSynthesizer(str(files / "tiny")).load()


async def test_what_is_said_is_not_logged(csm: CsmSynthesizer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await said(csm, "", "Secret.")).size
    assert "ecret" not in caplog.text


async def test_a_closed_engine_says_so(csm: CsmSynthesizer, files: Path) -> None:
    await csm.close()
    await csm.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(csm, "Hello.")
    with pytest.raises(EngineError, match="closed"):
        await csm.add_pack(pack(files, "x", lora=3))
