"""Two real workers with real voices that find their server by a real Redis, and lose it, and each other."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from tests.shell.fleet_client import WAIT_S, Notes, Stage, pieces
from tests.shell.redis_server import RedisServer
from tests.shell.worker_client import WorkerProcess, worker_process

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.catalog import make_one_synthesizer
from antiphon.v1 import models_pb2
from antiphon.voices.channel import Connection
from antiphon.voices.fleet import Fleet
from antiphon.voices.registry import open_registry
from antiphon.voices.synthesizer import FleetSynthesizer, SessionVoice

PICO, ESPEAK = "pico:en-US", "espeak:en-US"
TEXT = "The first worker begins this sentence, and the second one brings it to its end, as if nothing had been."
DISCOVERY_LIMIT_S = 3.0
"""It is some tens of milliseconds. The keys are listed every five seconds, so that this shows the wake-up at work."""

WINDOW_SAMPLES = MOUTH_RATE_HZ // 10
LENGTH_LIMIT_S = 0.06
"""The same text takes a few hundredths of a second more or less each time; the shortest word takes a tenth."""
LEAST_LIKENESS = 0.78
"""Measured between repetitions: from 0.88 (eSpeak NG) and 0.98 (Pico); with a word more or less: up to 0.61."""


class Place:
    """A Redis, workers that announce themselves there, and the fleet of somebody who looks for them there."""

    def __init__(self, folder: Path, redis: RedisServer, stage: Stage, stack: AsyncExitStack) -> None:
        self.redis = redis
        self.stage = stage
        self.workers: list[WorkerProcess] = []
        self.synthesizer = FleetSynthesizer(stage.fleet)
        self._folder = folder
        self._stack = stack

    async def add(self, *options: str) -> WorkerProcess:
        """One more worker: the first on a Unix socket, the others on TCP."""
        listen = f"unix://{self._folder}/tts.sock" if not self.workers else "127.0.0.1:0"
        arguments = ("tts", "--models", "pico,espeak", "--registry", self.redis.url, *options)
        worker = await self._stack.enter_async_context(worker_process(*arguments, listen=listen))
        self.workers.append(worker)
        return worker

    def worker_of(self, session: SessionVoice) -> WorkerProcess:
        return next(worker for worker in self.workers if worker.address == session.address)

    def connection(self, address: str | None) -> Connection:
        return next(one for one in self.stage.fleet.connections if one.address == address)

    def resident(self, address: str | None) -> frozenset[str]:
        return self.connection(address).worker.resident

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():
                await self.stage.fleet.changed()


@asynccontextmanager
async def place(folder: Path, *workers: tuple[str, ...]) -> AsyncIterator[Place]:
    """With a worker for each tuple of further options, all found."""
    async with AsyncExitStack() as stack:
        redis = RedisServer(folder)
        await redis.start()
        stack.push_async_callback(redis.kill)
        notes = Notes()
        fleet = Fleet("tts", open_registry(redis.url), seed=1, watcher=notes)
        stack.push_async_callback(fleet.close)
        found = Place(folder, redis, Stage(fleet, [], [], notes), stack)
        starting = asyncio.create_task(fleet.start())
        for options in workers:
            await found.add(*options)
        await starting
        await found.stage.serving(len(workers))
        yield found


async def said(session: SessionVoice | FleetSynthesizer, text: str, voice: str) -> list[AudioChunk]:
    async with asyncio.timeout(WAIT_S):
        return [chunk async for chunk in session.speak(pieces(text), Voice(voice))]


async def said_until(
    session: SessionVoice, text: str, voice: str, sample: int, then: Callable[[], object]
) -> list[AudioChunk]:
    """Does ``then`` as soon as so much of the reply was received; gives the whole reply."""
    got: list[AudioChunk] = []
    samples, done = 0, False
    async with asyncio.timeout(WAIT_S), aclosing(session.speak(pieces(text), Voice(voice))) as chunks:
        async for chunk in chunks:
            got.append(chunk)
            samples += len(chunk.pcm) // 2
            if samples >= sample and not done:
                done = True
                then()
    assert done
    return got


async def in_process(text: str, voice: str) -> bytes:
    """The same text by the engine itself."""
    name, _, own = voice.partition(":")
    engine = make_one_synthesizer(name)
    await engine.load()
    try:
        return pcm_of([chunk async for chunk in engine.speak(pieces(text), Voice(own))])
    finally:
        await engine.close()


def pcm_of(chunks: list[AudioChunk]) -> bytes:
    return b"".join(chunk.pcm for chunk in chunks)


def likeness(pcm: bytes, other: bytes) -> float:
    """The correlation of the loudness over time. The samples differ each time; when they are loud does not.

    A word that is lost or doubled moves all that comes after it, and with it the correlation.
    """
    loudness = [_loudness(pcm), _loudness(other)]
    count = min(map(len, loudness))
    return float(np.corrcoef(loudness[0][:count], loudness[1][:count])[0, 1])


def _loudness(pcm: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    samples = samples_of(pcm).astype(np.float64)
    count = len(samples) // WINDOW_SAMPLES
    windows = samples[: count * WINDOW_SAMPLES].reshape(count, WINDOW_SAMPLES)
    return np.asarray(np.sqrt(np.mean(windows**2, axis=1)))


def check_same_words(pcm: bytes, whole: bytes) -> None:
    """The same text in the same voice, each word once."""
    length_s, expected_s = (len(audio) / 2 / MOUTH_RATE_HZ for audio in (pcm, whole))
    assert length_s == pytest.approx(expected_s, abs=LENGTH_LIMIT_S)
    assert likeness(pcm, whole) > LEAST_LIKENESS


@pytest.mark.parametrize("voice", [PICO, ESPEAK])
async def test_a_word_more_or_less_is_told(voice: str) -> None:
    whole = await in_process(TEXT, voice)
    check_same_words(await in_process(TEXT, voice), whole)
    for old, new in (
        ("second one", "second"),
        ("begins", "begins begins"),
        ("and the", "the"),
        ("to its end", "to end"),
    ):
        with pytest.raises(AssertionError):
            check_same_words(await in_process(TEXT.replace(old, new), voice), whole)


async def test_workers_are_found_when_they_come_and_a_session_stays_with_its_own(tmp_path: Path) -> None:
    async with place(tmp_path, ()) as fleet:
        await fleet.add()
        began_at = time.monotonic()
        await fleet.stage.serving(2)
        assert time.monotonic() - began_at < DISCOVERY_LIMIT_S

        first, second = (fleet.synthesizer.of_session(name) for name in ("first", "second"))
        speaking = first.speak(pieces(TEXT), Voice(PICO))
        await anext(speaking)
        await said(second, "Hello.", PICO)
        assert {first.address, second.address} == {worker.address for worker in fleet.workers}
        await speaking.aclose()
        homes = (first.address, second.address)
        for _ in range(4):
            for session in (first, second):
                await said(session, "So.", PICO)
            assert (first.address, second.address) == homes


async def test_a_preloaded_model_goes_when_it_is_asked_to_and_when_another_needs_its_place(tmp_path: Path) -> None:
    async with place(tmp_path, ("--preload", "pico,espeak"), ("--preload", "pico", "--resident-cap", "1")) as fleet:
        roomy, tight = (worker.address for worker in fleet.workers)
        assert fleet.resident(roomy) == {"pico", "espeak"}
        assert fleet.resident(tight) == {"pico"}

        await fleet.connection(roomy).stub.UnloadModel(models_pb2.UnloadModelRequest(model="pico"), timeout=WAIT_S)
        await fleet.until(lambda: fleet.resident(roomy) == {"espeak"})
        for number in range(3):  # where it is in memory goes before everything
            session = fleet.synthesizer.of_session(str(number))
            session.address = roomy
            await said(session, "Here.", PICO)
            assert session.address == tight

        await fleet.stage.idle()  # what is in use is not for others to send away
        await fleet.connection(tight).stub.LoadModel(models_pb2.LoadModelRequest(model="espeak"), timeout=WAIT_S)
        await fleet.until(lambda: fleet.resident(tight) == {"espeak"})
        check_same_words(pcm_of(await said(fleet.synthesizer, TEXT, PICO)), await in_process(TEXT, PICO))


async def test_the_model_changes_between_replies(tmp_path: Path) -> None:
    async with place(tmp_path, (), ()) as fleet:
        session = fleet.synthesizer.of_session("the session")
        for voice in (PICO, ESPEAK, PICO):  # eSpeak is not in memory at first
            check_same_words(pcm_of(await said(session, TEXT, voice)), await in_process(TEXT, voice))
        assert not fleet.stage.notes.handovers


async def test_a_model_that_is_taken_away_in_mid_reply_goes_on_elsewhere_at_the_sample(tmp_path: Path) -> None:
    async with place(tmp_path, (), ()) as fleet:
        session = fleet.synthesizer.of_session("the session")

        def take_away() -> None:
            request = models_pb2.UnloadModelRequest(model="pico", force=True)
            unloading.append(asyncio.ensure_future(fleet.connection(session.address).stub.UnloadModel(request)))

        unloading: list[asyncio.Future[models_pb2.UnloadModelResponse]] = []
        got = await said_until(session, TEXT, PICO, MOUTH_RATE_HZ, take_away)
        await asyncio.gather(*unloading)
        check_same_words(pcm_of(got), await in_process(TEXT, PICO))
        [handover] = fleet.stage.notes.handovers
        assert handover.exact
        assert handover.to_address == session.address != handover.from_address


@pytest.mark.parametrize("voice", [PICO, ESPEAK])
async def test_a_worker_killed_in_mid_word_is_not_heard(tmp_path: Path, voice: str) -> None:
    preload = ("--preload", "pico,espeak")
    async with place(tmp_path, preload, preload) as fleet:
        whole = await in_process(TEXT, voice)
        for part in (0.3, 0.7):
            session = fleet.synthesizer.of_session("the session")
            killed = len(fleet.stage.notes.handovers)
            got = await said_until(
                session,
                TEXT,
                voice,
                round(len(whole) / 2 * part),
                lambda: fleet.worker_of(session).process.send_signal(signal.SIGKILL),  # noqa: B023
            )
            check_same_words(pcm_of(got), whole)
            assert got[-1].last
            assert len(fleet.stage.notes.handovers) == killed + 1
            await fleet.add(*preload)
            await fleet.stage.serving(2)
        assert all(handover.exact for handover in fleet.stage.notes.handovers)


async def test_without_redis_the_known_workers_serve_and_with_it_new_ones_come(tmp_path: Path) -> None:
    async with place(tmp_path, (), ()) as fleet:
        await fleet.redis.kill()
        whole = await in_process(TEXT, PICO)
        for worker in fleet.workers:
            session = fleet.synthesizer.of_session(worker.address)
            session.address = worker.address
            check_same_words(pcm_of(await said(session, TEXT, PICO)), whole)
            assert session.address == worker.address
        fleet.workers[0].process.kill()  # nobody takes its word back
        await fleet.stage.serving(1)
        await said(fleet.synthesizer, "Still here.", PICO)

        await fleet.redis.start()  # empty, as after a crash
        newcomer = await fleet.add()
        await fleet.until(lambda: newcomer.address in {one.address for one in fleet.stage.fleet.workers})
        await fleet.stage.serving(2)
        await said(fleet.synthesizer, "All here.", PICO)
        for worker in fleet.workers[1:]:
            worker.process.terminate()
            assert (await worker.ended())[0] == 0
