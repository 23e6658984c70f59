"""parakeet-mlx with a tiny model of random weights, which babbles, on MLX's build for the CPU."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from parakeet_mlx.parakeet import ParakeetTDT, StreamingParakeet
from tests.shell.tiny_mlx import write_parakeet

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import Transcript
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.engines.parakeet_mlx import Parakeet, ParakeetStream
from antiphon.errors import EngineError


def noise(seconds: float, seed: int = 1) -> bytes:
    """Sound whose loudness changes every tenth of a second, without a pause."""
    random = np.random.default_rng(seed)
    samples = int(seconds * EAR_RATE_HZ)
    loudness = np.repeat(random.uniform(0.2, 1.0, int(seconds * 10) + 1), EAR_RATE_HZ // 10)[:samples]
    return (random.normal(0, 3000, samples) * loudness).astype("<i2").tobytes()


def check_words(transcript: Transcript, length_ms: int) -> None:
    assert " ".join(word.text for word in transcript.words) == transcript.text
    assert transcript.words[0].start_ms >= 0
    assert transcript.words[-1].end_ms <= length_ms
    assert all(word.start_ms <= word.end_ms for word in transcript.words)
    assert all(before.end_ms <= after.start_ms for before, after in pairwise(transcript.words))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parakeet(tmp_path_factory.mktemp("parakeet") / "tiny")


@pytest.fixture
async def parakeet(folder: Path) -> AsyncIterator[Parakeet]:
    engine = Parakeet(str(folder))
    await engine.load()
    yield engine
    await engine.close()


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the model was asked: "whole" for a pass over all of a piece, "step" for a second of a stream."""
    made: list[str] = []

    def counted(owner: Any, method: str, name: str) -> None:
        make = getattr(owner, method)

        def call(*args: Any, **options: Any) -> Any:
            made.append(name)
            return make(*args, **options)

        monkeypatch.setattr(owner, method, call)

    counted(ParakeetTDT, "generate", "whole")
    counted(StreamingParakeet, "add_audio", "step")
    return made


def ignore(_text: str) -> None:
    pass


async def heard(engine: Parakeet, pcm: bytes) -> Transcript:
    with closing(engine.open(ignore)) as stream:
        stream.feed(pcm)
        return await stream.final()


async def test_a_final_has_words_and_their_times(parakeet: Parakeet) -> None:
    assert parakeet.name == "parakeet:tiny"
    with closing(parakeet.open(ignore, "en-US")) as stream:
        for _ in range(30):
            stream.feed(noise(0.1))
        transcript = await stream.final()
        assert len(transcript.words) > 3
        check_words(transcript, 3000)
        assert await stream.final() is transcript


async def test_captions_come_while_audio_is_fed(parakeet: Parakeet, passes: list[str]) -> None:
    partials: asyncio.Queue[str] = asyncio.Queue()
    with closing(parakeet.open(partials.put_nowait)) as stream:
        stream.feed(noise(0.4))
        assert await asyncio.wait_for(partials.get(), 60)
        assert passes == ["whole"]
        for second in range(1, 4):
            stream.feed(noise(1.0, seed=second))
            assert await asyncio.wait_for(partials.get(), 60)
            assert passes == ["whole", *["step"] * second]
        await stream.final()
    assert passes == ["whole", *["step"] * 3, "whole"]


async def test_long_turns_are_cut_and_their_words_stay_where_they_were(parakeet: Parakeet, passes: list[str]) -> None:
    with closing(parakeet.open(ignore)) as stream:
        stream.feed(noise(30))
        first = await stream.final()
        check_words(first, 30_000)
        assert passes == ["whole", "whole"]
        stream.feed(noise(10, seed=2))
        second = await stream.final()
        check_words(second, 40_000)
        assert passes.count("whole") <= 4
    cut = next(number for number, (a, b) in enumerate(zip(first.words, second.words, strict=False)) if a != b)
    assert first.words[cut].start_ms > 1_000


async def test_nothing_is_heard_in_nothing(parakeet: Parakeet, passes: list[str]) -> None:
    assert (await heard(parakeet, bytes(320))).text == ""
    assert passes == []


async def test_turns_are_heard_side_by_side(parakeet: Parakeet) -> None:
    sounds = [noise(1 + number / 2, seed=number) for number in range(6)]
    alone = [await heard(parakeet, sound) for sound in sounds]
    streams = [parakeet.open(ignore) for _ in sounds]
    for at in range(0, len(sounds[-1]), 6400):
        for stream, sound in zip(streams, sounds, strict=True):
            stream.feed(sound[at : at + 6400])
        await asyncio.sleep(0)
    together = await asyncio.gather(*(stream.final() for stream in streams))
    assert together == alone
    assert len({transcript.text for transcript in together}) == len(sounds)
    for stream in streams:
        stream.close()


async def test_a_final_does_not_wait_for_a_turn_that_has_much_to_catch_up_with(
    parakeet: Parakeet, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    generate = ParakeetTDT.generate

    def noted(self: ParakeetTDT, mel: Any, **options: Any) -> Any:
        lengths.append(mel.shape[1])
        return generate(self, mel, **options)

    monkeypatch.setattr(ParakeetTDT, "generate", noted)
    with closing(parakeet.open(ignore)) as behind:
        behind.feed(noise(590))  # fifty passes for its caption
        assert (await heard(parakeet, noise(0.5))).text
    short = next(place for place, length in enumerate(lengths) if length < 100)
    assert short < 5
    await heard(parakeet, noise(0.5))
    assert len(lengths) < 40


async def test_a_closed_stream_ends_its_work(parakeet: Parakeet, passes: list[str]) -> None:
    stream = parakeet.open(ignore)
    stream.feed(noise(590))
    final = asyncio.ensure_future(stream.final())
    done, _ = await asyncio.wait([final], timeout=0.05)
    assert not done
    stream.close()
    stream.close()
    with pytest.raises(asyncio.CancelledError):
        await final
    with pytest.raises(EngineError, match="closed"):
        await stream.final()
    stopped_at = len(passes)
    assert (await heard(parakeet, noise(1))).text
    assert len(passes) <= stopped_at + 2


async def test_a_newer_final_takes_the_place_of_an_older_one(parakeet: Parakeet) -> None:
    with closing(parakeet.open(ignore)) as stream:
        stream.feed(noise(20))
        older = asyncio.ensure_future(stream.final())
        await asyncio.sleep(0)
        stream.feed(noise(1))
        newer = await stream.final()
        check_words(newer, 21_000)
        with pytest.raises(asyncio.CancelledError):
            await older


async def test_a_failure_is_told_and_the_turn_goes_on(parakeet: Parakeet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any, **_options: Any) -> Iterator[None]:
        raise ValueError("out of memory")

    with closing(parakeet.open(ignore)) as stream:
        stream.feed(noise(0.2))
        with monkeypatch.context() as patch:
            patch.setattr(ParakeetTDT, "generate", fails)
            with pytest.raises(EngineError, match="out of memory") as failure:
                await stream.final()
            assert failure.value.retryable
        assert (await stream.final()).text


async def test_a_caption_that_fails_is_reported(parakeet: Parakeet, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_args: Any, **_options: Any) -> None:
        raise ValueError("out of memory")

    reports: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    asyncio.get_running_loop().set_exception_handler(lambda _loop, report: reports.put_nowait(report))
    monkeypatch.setattr(ParakeetTDT, "generate", fails)
    with closing(parakeet.open(ignore)) as stream:
        stream.feed(noise(0.5))
        report = await asyncio.wait_for(reports.get(), 60)
    assert report["message"] == "a partial of parakeet:tiny failed"


async def test_the_model_is_found_among_the_models(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    engine = Parakeet("tdt-0.6b-v3")
    with pytest.raises(EngineError, match=r"antiphon models pull parakeet:tdt-0\.6b-v3"):
        await engine.load()
    (tmp_path / "parakeet").mkdir()
    (tmp_path / "parakeet" / "tdt-0.6b-v3").symlink_to(folder)
    await engine.load()
    assert engine.capabilities.streaming
    await engine.close()


async def test_what_is_wrong_with_a_model_is_told(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(model: Path, match: str) -> None:
        engine = Parakeet(str(model))
        with pytest.raises(EngineError, match=match):
            await engine.load()
        await engine.close()

    await fails(tmp_path / "nowhere", "there is no folder")
    await fails(tmp_path, r"no config\.json")
    (tmp_path / "config.json").write_text(json.dumps({"target": "a whistle"}))
    await fails(tmp_path, r"no model\.safetensors")
    (tmp_path / "model.safetensors").symlink_to(folder / "model.safetensors")
    await fails(tmp_path, "none that parakeet-mlx can load")
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"no model")
    await fails(tmp_path, "none that parakeet-mlx can load")
    await fails(write_parakeet(tmp_path / "slow", rate_hz=8_000), "hears 8000 Hz")
    monkeypatch.setitem(sys.modules, "parakeet_mlx.utils", None)
    await fails(folder, r"antiphon\[parakeet\]")


async def test_a_closed_engine_says_so(parakeet: Parakeet) -> None:
    stream: ParakeetStream = parakeet.open(ignore)
    stream.feed(noise(0.2))
    begun = time.perf_counter()
    await parakeet.close()
    await parakeet.close()
    assert time.perf_counter() - begun < 20
    stream.feed(noise(1))
    with pytest.raises(EngineError, match="closed"):
        await stream.final()
    with pytest.raises(EngineError, match="not loaded"):
        parakeet.open(ignore)
    stream.close()
