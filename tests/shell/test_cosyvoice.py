"""CosyVoice's library with a tiny model of random weights. Module ``cosyvoice_model`` is tested here as well."""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.shell.tiny_cosyvoice import write_cosyvoice_model
from tests.shell.tiny_pocket_tts import write_recording
from tests.shell.worker_client import cut_one_and_hear_another
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken

from antiphon.audio import Samples
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.catalog import make_one_synthesizer
from antiphon.engines.cosyvoice import CosyVoiceSynthesizer
from antiphon.engines.cosyvoice_model import CosyVoiceModel
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.voice_pack import VoicePack
from antiphon.errors import ConfigError, EngineError

LONG = "Rain, rain"
MOST_TOKENS = 20 * len(LONG)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cosyvoice")
    write_cosyvoice_model(folder / "tiny")
    write_recording(folder / "low.wav", 200, seconds=1.0)
    write_recording(folder / "high.wav", 900, seconds=1.0, rate_hz=24000)
    return folder


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_cosyvoice


@pytest.fixture
async def cosyvoice(files: Path) -> AsyncIterator[CosyVoiceSynthesizer]:
    engine = CosyVoiceSynthesizer(str(files / "tiny"), device="cpu")
    await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
def steps(cosyvoice: CosyVoiceSynthesizer, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each token of the language model."""
    made: list[int] = []
    encoder = model_of(cosyvoice).llm.llm
    forward = encoder.forward_one_step

    def counted(*given: Any, **named: Any) -> Any:
        made.append(1)
        return forward(*given, **named)

    monkeypatch.setattr(encoder, "forward_one_step", counted)
    return made


def pack(files: Path, name: str, recording: str = "low.wav", **other: Any) -> VoicePack:
    given: dict[str, Any] = {"reference_audio": files / recording, "reference_text": "Hello."} | other
    return VoicePack("cosyvoice", name, ("en-GB",), files, **given)


async def said(engine: CosyVoiceSynthesizer, voice: str, text: str = "Hi.") -> Samples:
    return sound_of(await spoken(engine, text, voice=voice))


def same(one: Samples, other: Samples) -> bool:
    return len(one) == len(other) and bool(np.allclose(one, other, atol=30))


def model_of(engine: CosyVoiceSynthesizer) -> CosyVoiceModel:
    assert engine._model is not None
    return engine._model


async def test_what_it_can_do(cosyvoice: CosyVoiceSynthesizer, files: Path) -> None:
    assert cosyvoice.name == "cosyvoice:tiny"
    assert [voice.name for voice in cosyvoice.voices] == ["Ana", "Bo"]
    able = cosyvoice.capabilities
    assert (able.streaming, able.zero_shot, able.lora, able.cpu) == (True, True, False, False)
    assert make_one_synthesizer(f"cosyvoice:{files / 'tiny'}", "cpu").name == cosyvoice.name
    with pytest.raises(ConfigError, match="cosyvoice:FOLDER"):
        make_one_synthesizer("cosyvoice")


@pytest.mark.parametrize("text", ["Hello.", ""])
async def test_the_sound_is_that_of_the_library(cosyvoice: CosyVoiceSynthesizer, files: Path, text: str) -> None:
    """Against the library's own stream, with its own thread for the language model."""
    await cosyvoice.add_pack(pack(files, "cloned", reference_text=text))
    from cosyvoice.cli.model import CosyVoice2Model

    model, voice = model_of(cosyvoice), cosyvoice._packs["cloned"].voice
    library = CosyVoice2Model(model.llm, model.flow, model.hift)
    expected: list[AudioChunk] = []

    def emit(pcm: bytes, _words: object) -> bool:
        expected.append(AudioChunk(pcm, 0))
        return True

    part = RenderedPart("Hi.", 24000, emit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for made in library.tts(
            text=model._tokens("Hi."),
            flow_embedding=voice.speaker,
            llm_embedding=voice.speaker,
            prompt_text=voice.text,
            llm_prompt_speech_token=voice.spoken,
            flow_prompt_speech_token=voice.heard,
            prompt_speech_feat=voice.spectrum,
            stream=True,
        ):
            part.push(made["tts_speech"][0].numpy())
    part.finish()
    assert voice.text.shape[1] == len(text)
    assert duration_s(expected) > 2
    assert same(await said(cosyvoice, "cloned"), sound_of(expected))


async def test_each_piece_is_a_segment(cosyvoice: CosyVoiceSynthesizer) -> None:
    chunks = await spoken(cosyvoice, "Hi\ud800", "...", "Yo.")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    for segment in (0, 2):
        of_it = [chunk for chunk in chunks if chunk.segment == segment]
        assert duration_s(of_it) > 1.2
        assert level(sound_of(of_it)) > 300


async def test_no_text_gives_orders(cosyvoice: CosyVoiceSynthesizer) -> None:
    model = model_of(cosyvoice)
    assert model._tokenizer.encode("<|endofprompt|>") == [model._tokenizer.encode("<|endofprompt|>Hi")[0]]
    assert model._tokens("<|endofprompt|>").shape[1] == len("< |endofprompt|>")


async def test_the_first_audio_comes_long_before_the_last(cosyvoice: CosyVoiceSynthesizer, steps: list[int]) -> None:
    async with aclosing(cosyvoice.speak(pieces(LONG), Voice(""))) as chunks:
        await anext(chunks)
        begun = len(steps)
        rest = [chunk async for chunk in chunks]
    assert duration_s(rest) > 5
    assert begun < len(steps) / 2
    assert len(steps) == MOST_TOKENS


async def test_closing_the_stream_ends_the_work(cosyvoice: CosyVoiceSynthesizer, steps: list[int]) -> None:
    async with aclosing(cosyvoice.speak(pieces(LONG), Voice(""))) as chunks:
        await anext(chunks)
    at_close = len(steps)
    await cosyvoice.close()  # waits for what still runs
    assert len(steps) <= at_close + 1 < MOST_TOKENS


async def test_voices_differ_and_take_turns(cosyvoice: CosyVoiceSynthesizer, files: Path, steps: list[int]) -> None:
    await cosyvoice.add_pack(pack(files, "low"))
    await cosyvoice.add_pack(pack(files, "high", "high.wav"))
    voices = ("Ana", "Bo", "low", "high")
    alone = [await said(cosyvoice, voice) for voice in voices]
    for number, sound in enumerate(alone):
        assert not any(same(sound, other) for other in alone[:number])
    assert not same(alone[0], await said(cosyvoice, "Ana", "No."))
    together = await asyncio.gather(*(said(cosyvoice, voice) for voice in voices))
    assert all(same(one, other) for one, other in zip(alone, together, strict=True))
    async with aclosing(cosyvoice.speak(pieces(LONG), Voice("Bo"))) as long:
        await anext(long)
        before = len(steps)
        await said(cosyvoice, "Ana", "Hi")
        assert len(steps) - before < 5 * 40  # it does not wait for the long one


async def test_packs_are_replaced_and_removed(cosyvoice: CosyVoiceSynthesizer, files: Path) -> None:
    await cosyvoice.add_pack(pack(files, "mine"))
    old = await said(cosyvoice, "mine")
    async with aclosing(cosyvoice.speak(pieces("Hi."), Voice("mine"))) as chunks:
        begun = [await anext(chunks)]
        await cosyvoice.add_pack(pack(files, "mine", "high.wav"))
        begun += [chunk async for chunk in chunks]
    assert same(sound_of(begun), old)
    assert not same(await said(cosyvoice, "mine"), old)
    await cosyvoice.remove_pack("mine")
    await cosyvoice.remove_pack("mine")
    assert same(await said(cosyvoice, "mine"), await said(cosyvoice, "Ana"))


async def test_packs_of_no_use_are_refused(cosyvoice: CosyVoiceSynthesizer, files: Path) -> None:
    for wrong, told in (
        (pack(files, "x", reference_audio=None), "reference_audio: .*recording"),
        (pack(files, "x", speed=2.0), "speed:"),
        (pack(files, "x", lora=files), "lora:"),
        (pack(files, "x", options={"mood": 1}), r"options\.mood:"),
    ):
        with pytest.raises(EngineError, match=told):
            cosyvoice.pack_voice(wrong)
    with pytest.raises(EngineError, match=r"none\.wav"):
        await cosyvoice.add_pack(pack(files, "x", "none.wav"))


async def test_without_saved_voices_it_needs_a_pack(files: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(files / "tiny", tmp_path / "bare")
    (folder / "spk2info.pt").unlink()
    engine = CosyVoiceSynthesizer(str(folder), device="cpu")
    await engine.load()
    assert engine.voices == ()
    with pytest.raises(EngineError, match="no voice pack 'mine'"):
        await said(engine, "mine")
    await engine.add_pack(pack(files, "mine"))
    assert level(await said(engine, "mine")) > 300
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await said(engine, "mine")


async def test_what_is_wrong_is_told(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        CosyVoiceSynthesizer("x", device="gpu")
    tiny = files / "tiny"
    with pytest.raises(EngineError, match=r"there is no .*nowhere/cosyvoice2\.yaml"):
        await CosyVoiceSynthesizer(f"{tmp_path}/nowhere").load()
    with pytest.raises(EngineError, match=r"no device cuda:9.*--device"):
        await CosyVoiceSynthesizer(str(tiny), device="cuda:9").load()
    broken = shutil.copytree(tiny, tmp_path / "broken")
    torch.save({}, broken / "hift.pt")
    with pytest.raises(EngineError, match="cannot be read"):
        await CosyVoiceSynthesizer(str(broken), device="cpu").load()
    for missing in ("cosyvoice.llm.llm", "antiphon.engines.cosyvoice_model"):
        monkeypatch.setitem(sys.modules, missing, None)
        with pytest.raises(EngineError, match=r"--no-deps cosyvoice2-eu.*PYTHONPATH"):
            await CosyVoiceSynthesizer(str(tiny), device="cpu").load()


async def test_what_is_said_is_not_logged(
    cosyvoice: CosyVoiceSynthesizer, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    assert (await said(cosyvoice, "", "Secret")).size
    assert "ecret" not in caplog.text
    assert "ecret" not in "".join(capfd.readouterr())


@pytest.mark.timeout(240)
async def test_in_a_worker(files: Path) -> None:
    model = f"cosyvoice:{files / 'tiny'}"
    assert 2.5 < await cut_one_and_hear_another(model, "Hello there, world.", "Yes.", voice="Bo") < 5
