from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import jiwer
import numpy as np
import pytest
import pytest_asyncio

from antiphon.audio import Samples
from antiphon.core.text import words_of
from antiphon.engines.moonshine import Moonshine, MoonshineStream
from antiphon.errors import EngineError
from antiphon.sim.speech import Recording, recordings

pytestmark = pytest.mark.asyncio(loop_scope="module")

RATE_HZ = 16_000
CHUNK_BYTES = 640


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncIterator[Moonshine]:
    moonshine = Moonshine()
    await moonshine.load()
    yield moonshine
    await moonshine.close()


class Turn:
    """A stream and its partials."""

    def __init__(self, engine: Moonshine) -> None:
        self.partials: list[str] = []
        self._changed = asyncio.Event()
        self.stream: MoonshineStream = engine.open(self._on_partial)

    def _on_partial(self, text: str) -> None:
        self.partials.append(text)
        self._changed.set()

    async def grown(self) -> None:
        """The next partial."""
        known = len(self.partials)
        async with asyncio.timeout(20):
            while len(self.partials) == known:
                self._changed.clear()
                await self._changed.wait()

    async def partial(self) -> str:
        async with asyncio.timeout(20):
            while not self.partials:
                self._changed.clear()
                await self._changed.wait()
        return self.partials[0]


def beckett() -> Recording:
    return recordings()[0]


def two_cities() -> Recording:
    return recordings()[1]


def error_rate(expected: str, heard: str) -> float:
    return float(jiwer.wer(" ".join(words_of(expected)), " ".join(words_of(heard))))


def noise(seconds: float, rms: float) -> Samples:
    return np.random.default_rng(0).normal(0, rms, int(seconds * RATE_HZ)).round().astype(np.int16)


def first_words(seconds: float) -> Samples:
    """The opening of A Tale of Two Cities, from 300 ms before the first word."""
    start = two_cities().start_sample - 4800
    return two_cities().samples[start : start + int(seconds * RATE_HZ)]


@pytest.mark.parametrize("recording", recordings(), ids=lambda recording: recording.name)
@pytest.mark.parametrize("at_once", [True, False])
async def test_human_speech_is_understood(engine: Moonshine, recording: Recording, at_once: bool) -> None:
    turn = Turn(engine)
    for start in range(0, len(recording.pcm), CHUNK_BYTES):
        turn.stream.feed(recording.pcm[start : start + CHUNK_BYTES])
        if not at_once and start % (50 * CHUNK_BYTES) == 0:
            await asyncio.wait_for(turn.stream.final(), 20)  # as at each pause of a speaker
    transcript = await turn.stream.final()
    assert error_rate(recording.text, transcript.text) < 0.15


async def test_partials_come_early_and_grow(engine: Moonshine) -> None:
    turn = Turn(engine)
    pcm = first_words(5).tobytes()
    turn.stream.feed(pcm[: RATE_HZ // 10 * 6 * 2])
    assert words_of(await turn.partial())[0] == "it"
    while len(turn.partials) < 5:
        fed_bytes = RATE_HZ // 10 * 6 * 2 + (len(turn.partials) - 1) * RATE_HZ
        turn.stream.feed(pcm[fed_bytes : fed_bytes + RATE_HZ])
        await turn.grown()
    assert all(len(later) > len(first) for first, later in zip(turn.partials, turn.partials[2:], strict=False))


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("rms", [0, 10, 300])
async def test_noise_and_silence_have_no_words(engine: Moonshine, seconds: float, rms: float) -> None:
    turn = Turn(engine)
    turn.stream.feed(noise(seconds, rms).tobytes())
    assert (await turn.stream.final()).text == ""
    assert turn.partials == []


async def test_two_turns_at_once_do_not_mix() -> None:
    engine = Moonshine(threads=2)
    await engine.load()
    turns = [Turn(engine) for _ in range(4)]
    pcm = [beckett().pcm[: 7 * 32000], first_words(7).tobytes()] * 2
    for start in range(0, 7 * 32000, 6400):
        for turn, audio in zip(turns, pcm, strict=True):
            turn.stream.feed(audio[start : start + 6400])
        await asyncio.sleep(0)
    texts = [(await each).text for each in [asyncio.ensure_future(turn.stream.final()) for turn in turns]]
    assert texts[0].startswith("Ever") and texts[2].startswith("Ever")
    assert texts[1].startswith("It was") and texts[3].startswith("It was")
    assert not any("best" in partial for turn in turns[::2] for partial in turn.partials)
    await engine.close()


async def test_a_newer_final_supersedes_an_older_one(engine: Moonshine) -> None:
    turn = Turn(engine)
    turn.stream.feed(first_words(3).tobytes())
    older = asyncio.ensure_future(turn.stream.final())
    await asyncio.sleep(0)
    newer = await turn.stream.final()
    assert words_of(newer.text)[:5] == ["it", "was", "the", "best", "of"]
    with pytest.raises(asyncio.CancelledError):
        await older


async def test_close_cancels_the_final_and_silences_the_partials(engine: Moonshine) -> None:
    closed, other = Turn(engine), Turn(engine)
    closed.stream.feed(first_words(3).tobytes())
    running = asyncio.ensure_future(closed.stream.final())
    await asyncio.sleep(0)
    closed.stream.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    closed.stream.feed(first_words(3).tobytes())
    other.stream.feed(first_words(2).tobytes())
    await other.stream.final()
    assert closed.partials == []
    with pytest.raises(EngineError):
        await closed.stream.final()


async def test_a_final_that_is_cancelled_leaves_the_stream_usable(engine: Moonshine) -> None:
    turn = Turn(engine)
    turn.stream.feed(first_words(3).tobytes())
    task = asyncio.ensure_future(turn.stream.final())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await turn.stream.final()).text.startswith("It was")


async def test_a_turn_is_bounded() -> None:
    engine = Moonshine(max_turn_s=2)
    await engine.load()
    turn, short = Turn(engine), Turn(engine)
    turn.stream.feed(first_words(8).tobytes())
    turn.stream.feed(first_words(8).tobytes())
    short.stream.feed(first_words(2).tobytes())
    assert (await turn.stream.final()).text == (await short.stream.final()).text
    await engine.close()


async def test_it_must_be_loaded_and_close_ends_its_threads() -> None:
    before = threading.enumerate()
    engine = Moonshine(threads=2)
    await engine.close()
    with pytest.raises(EngineError):
        engine.open(lambda _: None)
    await engine.load()
    await engine.load()
    turn = Turn(engine)
    turn.stream.feed(first_words(8).tobytes())
    running = asyncio.ensure_future(turn.stream.final())
    await asyncio.sleep(0)
    await engine.close()
    await engine.close()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(thread.name.startswith("moonshine") for thread in threading.enumerate() if thread not in before)
