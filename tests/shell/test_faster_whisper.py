"""faster-whisper and CTranslate2 with a tiny model that says one sentence."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tests.shell.tiny_whisper import SAID, write_whisper

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.faster_whisper import FasterWhisper
from antiphon.engines.model_files import FOLDER_VARIABLE
from antiphon.errors import EngineError

SENTENCE = " ".join(SAID)


def noise(seconds: float) -> bytes:
    return np.random.default_rng(1).normal(0, 2000, int(seconds * EAR_RATE_HZ)).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_whisper(tmp_path_factory.mktemp("whisper") / "tiny")


@pytest.fixture
async def whisper(model: Path) -> AsyncIterator[FasterWhisper]:
    engine = FasterWhisper(str(model), device="cpu")
    await engine.load()
    yield engine
    await engine.close()


async def test_a_final_has_words_and_their_times(whisper: FasterWhisper) -> None:
    with closing(whisper.open(lambda _text: None, "en-US")) as stream:
        for _ in range(30):
            stream.feed(noise(0.1))
        transcript = await stream.final()
        assert transcript.text == SENTENCE
        assert [word.text for word in transcript.words] == list(SAID)
        edges = [edge for word in transcript.words for edge in (word.start_ms, word.end_ms)]
        assert edges == sorted(edges)
        assert edges[0] >= 0
        assert edges[-1] <= 3000
        assert await stream.final() is transcript


async def test_more_may_be_fed_after_a_final(whisper: FasterWhisper) -> None:
    with closing(whisper.open(lambda _text: None, "xx")) as stream:
        stream.feed(noise(1))
        first = await stream.final()
        stream.feed(noise(1))
        assert await stream.final() is not first


async def test_a_long_turn_is_heard_window_by_window(whisper: FasterWhisper) -> None:
    with closing(whisper.open(lambda _text: None)) as stream:
        stream.feed(noise(40))
        text = (await stream.final()).text
    assert set(SAID[1:]) <= set(text.split()) <= set(SAID)
    assert len(text.split()) > len(SAID)


async def test_partials_come_while_audio_is_fed(whisper: FasterWhisper) -> None:
    partials: asyncio.Queue[str] = asyncio.Queue()
    with closing(whisper.open(partials.put_nowait)) as stream:
        stream.feed(noise(1.2))
        assert await asyncio.wait_for(partials.get(), 60) == SENTENCE


async def test_nothing_is_heard_in_nothing(whisper: FasterWhisper) -> None:
    with closing(whisper.open(lambda _text: None)) as stream:
        stream.feed(bytes(320))
        assert (await stream.final()).text == ""


async def test_sessions_are_heard_side_by_side(whisper: FasterWhisper) -> None:
    streams = [whisper.open(lambda _text: None) for _ in range(6)]
    for stream in streams:
        stream.feed(noise(0.9))
    assert {transcript.text for transcript in await asyncio.gather(*(stream.final() for stream in streams))} == {
        SENTENCE
    }
    for stream in streams:
        stream.close()


async def test_a_closed_stream_ends_its_work(whisper: FasterWhisper) -> None:
    stream = whisper.open(lambda _text: None)
    stream.feed(noise(590))
    final = asyncio.ensure_future(stream.final())
    done, _ = await asyncio.wait([final], timeout=0.05)
    assert not done
    stream.close()
    with pytest.raises(asyncio.CancelledError):
        await final
    with pytest.raises(EngineError, match="closed"):
        await stream.final()
    begun = time.perf_counter()
    with closing(whisper.open(lambda _text: None)) as other:
        other.feed(noise(0.9))
        assert (await other.final()).text == SENTENCE
    assert time.perf_counter() - begun < 20


async def test_the_model_is_found_among_the_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    engine = FasterWhisper("tiny.en")
    assert engine.name == "faster-whisper:tiny.en"
    with pytest.raises(EngineError, match=r"antiphon models pull faster-whisper:tiny\.en"):
        await engine.load()
    write_whisper(tmp_path / "faster-whisper" / "tiny.en")
    await engine.load()
    assert engine.capabilities.languages == ("en",)
    await engine.close()


async def test_nothing_is_downloaded_behind_the_users_back(tmp_path: Path) -> None:
    folder = write_whisper(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EngineError, match=r"has no tokenizer\.json"):
        await FasterWhisper(str(folder)).load()


async def test_a_broken_model_is_told(tmp_path: Path) -> None:
    folder = write_whisper(tmp_path / "model")
    (folder / "model.bin").write_bytes(b"no model")
    with pytest.raises(EngineError, match="pull it again"):
        await FasterWhisper(str(folder)).load()


async def test_without_the_package(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(EngineError, match=r"antiphon\[whisper\]"):
        await FasterWhisper(str(model)).load()


async def test_a_closed_engine_says_so(whisper: FasterWhisper) -> None:
    stream = whisper.open(lambda _text: None)
    stream.feed(noise(1))
    await whisper.close()
    await whisper.close()
    with pytest.raises(EngineError, match="closed"):
        await stream.final()
    with pytest.raises(EngineError, match="not loaded"):
        whisper.open(lambda _text: None)
