"""pocket-tts' library with a tiny model of random weights."""

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
from pocket_tts import TTSModel
from pocket_tts.default_parameters import get_default_voice_for_language
from pocket_tts.utils.config import CONFIGS_DIR, load_config
from pocket_tts.utils.utils import get_predefined_voice
from tests.shell.tiny_pocket_tts import write_pocket_model, write_recording
from tests.spoken_sound import duration_s, level, pieces, sound_of, spoken

from antiphon.apps.models.manifest import find_model
from antiphon.apps.models.store import address
from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.pocket_tts import PocketTtsSynthesizer
from antiphon.engines.voice_pack import VoicePack
from antiphon.errors import ConfigError, EngineError

LONG = "The rain in Spain stays mainly in the plain, and nobody there has ever complained about it. " * 2
FRAME_S = 0.08


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pocket_model(tmp_path_factory.mktemp("models") / "english")


@pytest.fixture
async def pocket(model: Path) -> AsyncIterator[PocketTtsSynthesizer]:
    engine = PocketTtsSynthesizer(str(model))
    await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each step of the model."""
    steps: list[int] = []
    step = TTSModel._run_flow_lm_and_increment_step

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        steps.append(1)
        return step(self, *given, **named)

    monkeypatch.setattr(TTSModel, "_run_flow_lm_and_increment_step", counted)
    return steps


def pack(audio: Path | None, **other: Any) -> VoicePack:
    return VoicePack("pocket-tts", "clone", ("en-GB",), Path(), reference_audio=audio, **other)


async def test_the_voices_are_those_of_the_files(pocket: PocketTtsSynthesizer, model: Path) -> None:
    assert pocket.name == "pocket-tts:english"
    assert [(voice.name, voice.language) for voice in pocket.voices] == [("alba", "en"), ("marius", "en")]
    assert pocket.capabilities.zero_shot
    assert pocket.capabilities.cpu
    other = PocketTtsSynthesizer(f"{model}:marius")
    assert other.voices[0].name == "marius"
    await other.load()
    said = [sound_of(await spoken(engine, "Yes.")) for engine in (pocket, other)]
    named = sound_of(await spoken(pocket, "Yes.", voice="marius"))
    assert np.allclose(said[1][:MOUTH_RATE_HZ], named[:MOUTH_RATE_HZ], atol=3)
    assert not np.allclose(said[0][:MOUTH_RATE_HZ], named[:MOUTH_RATE_HZ], atol=100)
    await other.close()


async def test_each_piece_is_a_segment(pocket: PocketTtsSynthesizer) -> None:
    chunks = await spoken(pocket, "Good \ud800 morning, ", "...", "my friend.")
    assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
    assert not any(chunk.pcm for chunk in chunks if chunk.segment == 1)
    for segment in (0, 2):
        of_it = [chunk for chunk in chunks if chunk.segment == segment]
        assert 2.0 < duration_s(of_it) < 8.0  # its limit, less the silence at its ends
        assert level(sound_of(of_it)) > 200


async def test_the_first_audio_comes_long_before_the_last(pocket: PocketTtsSynthesizer, frames: list[int]) -> None:
    async with aclosing(pocket.speak(pieces(LONG[:60]), Voice("alba"))) as chunks:
        first = await anext(chunks)
        begun = len(frames)
        rest = [chunk async for chunk in chunks]
    assert len(first.pcm) / 2 / MOUTH_RATE_HZ < 10 * FRAME_S
    assert duration_s(rest) > 100 * FRAME_S
    assert begun < len(frames) / 2


async def test_closing_the_stream_ends_the_work(pocket: PocketTtsSynthesizer, frames: list[int]) -> None:
    async with aclosing(pocket.speak(pieces(LONG), Voice("alba"))) as chunks:
        await anext(chunks)
    await pocket.close()  # waits for what still runs
    assert len(frames) < 400  # of some 800


async def test_two_speak_at_a_time(pocket: PocketTtsSynthesizer) -> None:
    texts = ("One of them.", "And the other one.", "A third.")
    together = await asyncio.gather(*(spoken(pocket, text, voice="marius") for text in texts))
    for text, chunks in zip(texts, together, strict=True):
        assert np.allclose(sound_of(chunks), sound_of(await spoken(pocket, text, voice="marius")), atol=3)


async def test_packs_clone_recordings(pocket: PocketTtsSynthesizer, tmp_path: Path) -> None:
    low, high = (write_recording(tmp_path / f"{pitch}.wav", pitch) for pitch in (150, 3000))
    assert pocket.pack_voice(pack(low)).language == "en-GB"
    said = [sound_of(await spoken(pocket, "Yes.", voice="clone"))]
    for audio in (low, high):
        await pocket.add_pack(pack(audio))
        said.append(sound_of(await spoken(pocket, "Yes.", voice="clone")))
    await pocket.remove_pack("clone")
    await pocket.remove_pack("clone")
    said.append(sound_of(await spoken(pocket, "Yes.", voice="clone")))
    begins = [sound[:MOUTH_RATE_HZ] for sound in said]
    assert np.allclose(begins[0], begins[3], atol=3)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not np.allclose(begins[one], begins[other], atol=100)
    assert [voice.name for voice in pocket.voices] == ["alba", "marius"]


async def test_packs_of_no_use_are_refused(pocket: PocketTtsSynthesizer, tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "voice.wav", 200)
    for wrong, key in ((pack(None), "reference_audio"), (pack(recording, pitch=1.5), "pitch")):
        with pytest.raises(EngineError, match=key):
            await pocket.add_pack(wrong)
    with pytest.raises(EngineError, match="too short"):
        await pocket.add_pack(pack(write_recording(tmp_path / "short.wav", 200, 0.2)))
    assert sound_of(await spoken(pocket, "Yes.")).size


async def test_weights_that_do_not_clone(tmp_path: Path) -> None:
    engine = PocketTtsSynthesizer(str(write_pocket_model(tmp_path / "english", ["alba"], cloning=False)))
    await engine.load()
    assert not engine.capabilities.zero_shot
    assert duration_s(await spoken(engine, "Yes.")) > 1
    with pytest.raises(EngineError, match=r"pull pocket-tts:english-cloning"):
        await engine.add_pack(pack(write_recording(tmp_path / "voice.wav", 200)))
    await engine.close()


async def test_what_is_wrong_with_a_model_is_told(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match="no device 'gpu'"):
        PocketTtsSynthesizer("english", device="gpu")
    for name, told in (
        ("english", r"antiphon models pull pocket-tts:english"),
        (f"{tmp_path}/nowhere", "there is no folder"),
        (f"{model}:javert", "no voice 'javert'.*alba"),
    ):
        with pytest.raises(EngineError, match=told):
            await PocketTtsSynthesizer(name).load()
    with pytest.raises(EngineError, match=r"no device cuda:9.*--device"):
        await PocketTtsSynthesizer(str(model), device="cuda:9").load()
    bare = tmp_path / "klingon"
    bare.mkdir()
    with pytest.raises(EngineError, match=r"its name is none of .*english"):
        await PocketTtsSynthesizer(str(bare)).load()
    (tmp_path / "pocket-tts" / "german").mkdir(parents=True)
    with pytest.raises(EngineError, match=r"needs the file .*model"):
        await PocketTtsSynthesizer("german").load()
    broken = write_pocket_model(tmp_path / "broken", ["alba"])
    (broken / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(EngineError, match="pull it again"):
        await PocketTtsSynthesizer(str(broken)).load()
    monkeypatch.setitem(sys.modules, "pocket_tts", None)
    with pytest.raises(EngineError, match=r"antiphon\[pocket-tts\]"):
        await PocketTtsSynthesizer(str(model)).load()


async def test_what_is_said_is_not_logged(pocket: PocketTtsSynthesizer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert duration_s(await spoken(pocket, "Secret " * 12)) > 0.3  # more than a chunk of the package's
    assert "ecret" not in caplog.text


async def test_a_closed_engine_says_so(pocket: PocketTtsSynthesizer) -> None:
    await pocket.close()
    await pocket.close()
    with pytest.raises(EngineError, match="closed"):
        await spoken(pocket, "Hello.")


def test_models_are_pulled_from_where_the_package_has_them() -> None:
    for language in ("english", "french", "german", "portuguese", "italian", "spanish", "dutch"):
        config = load_config(CONFIGS_DIR / f"{language}.yaml")
        voices: set[str] = set()
        for name, weights in (
            (language, config.weights_path_without_voice_cloning),
            (f"{language}-cloning", config.weights_path),
        ):
            pulled = find_model(f"pocket-tts:{name}")
            at = {file.name: address(pulled, file.path, "hub") for file in pulled.files}
            assert weights is not None
            assert {_at_hub(weights), _at_hub(config.flow_lm.lookup_table.tokenizer_path)} <= set(at.values())
            voices = {Path(file).stem for file in at if file.startswith("embeddings/")}
            for voice in voices:
                assert at[f"embeddings/{voice}.safetensors"] == _at_hub(get_predefined_voice(language, voice))
        assert get_default_voice_for_language(language) in voices


def _at_hub(path: str) -> str:
    """The address of an ``hf://`` path."""
    path, _, revision = path.removeprefix("hf://").partition("@")
    owner, repository, file = path.split("/", 2)
    return f"hub/{owner}/{repository}/resolve/{revision}/{file}"
