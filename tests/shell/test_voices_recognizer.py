"""The recognizers of a fleet: a turn is heard whole, whatever happens to its workers."""

from __future__ import annotations

import asyncio
import random
from contextlib import closing
from pathlib import Path

import pytest
from tests.shell.fleet_client import WAIT_S, staged

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.fleet import Shortage
from antiphon.engines import tone_code
from antiphon.engines.base import HeardWord, RecognizerStream, Transcript
from antiphon.errors import EngineError
from antiphon.voices.recognizer import KEPT_BYTES, FleetRecognizer, transcript_of
from antiphon.worker.recognizer import final_of as final_of_worker

QUICK = "scripted:final_ms=1"
SLOW = "scripted:final_ms=300"
TEXT = "one two three four five six seven"


def sound(text: str) -> list[bytes]:
    """Its audio in pieces of 32 ms."""
    pcm = tone_code.encode(text + " ", EAR_RATE_HZ)
    return [pcm[at : at + 1024] for at in range(0, len(pcm), 1024)]


async def final_of(stream: RecognizerStream) -> str:
    async with asyncio.timeout(WAIT_S):
        return (await stream.final()).text


async def test_a_turn_is_heard_with_its_partials(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", QUICK) as stage:
        recognizer = FleetRecognizer(stage.fleet)
        partials: list[str] = []
        with closing(recognizer.open(partials.append)) as stream:
            for piece in sound(TEXT):
                stream.feed(piece)
                await asyncio.sleep(0.001)
            assert await final_of(stream) == TEXT
            for piece in sound("eight"):
                stream.feed(piece)
            assert await final_of(stream) == TEXT + " eight"
        assert partials
        assert all(TEXT.startswith(partial) or partial == TEXT + " eight" for partial in partials)
        await stage.idle()
        assert stage.workers[0].host.sessions.running == 0
        assert recognizer.name == QUICK
        assert recognizer.description == f"{QUICK} on 1 worker"


def test_a_transcript_is_the_same_on_the_other_side() -> None:
    words = (HeardWord("yes", 100, 400, "Ann"), HeardWord("no", 600, 800), HeardWord("well", 900, 1000, "Ann"))
    transcript = Transcript("yes no well", words)
    assert transcript_of(final_of_worker(3, transcript)) == transcript
    assert transcript.speaker == "Ann"
    assert Transcript("yes", (HeardWord("yes", 0, 100),)).speaker is None


async def test_a_newer_final_makes_an_older_one_worthless(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", SLOW) as stage:
        with closing(FleetRecognizer(stage.fleet).open(lambda _: None)) as stream:
            stream.feed(b"".join(sound("one")))
            older = asyncio.create_task(final_of(stream))
            await asyncio.sleep(0)
            stream.feed(b"".join(sound("two")))
            assert await final_of(stream) == "one two"
            with pytest.raises(asyncio.CancelledError):
                await older


async def test_closing_ends_a_final_that_runs(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", SLOW) as stage:
        stream = FleetRecognizer(stage.fleet).open(lambda _: None)
        stream.feed(b"".join(sound("one")))
        running = asyncio.create_task(final_of(stream))
        await asyncio.sleep(0.05)
        stream.close()
        with pytest.raises(asyncio.CancelledError):
            await running
        await stage.idle()


@pytest.mark.parametrize("seed", range(6))
async def test_over_random_kills_the_turn_is_heard_whole(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with staged(tmp_path, "asr", QUICK, QUICK) as stage:
        recognizer = FleetRecognizer(stage.fleet)
        partials: list[str] = []
        with closing(recognizer.open(partials.append)) as stream:
            fed = sound(TEXT)
            first, second = sorted(dice.sample(range(len(fed)), 2))
            for number, piece in enumerate(fed):
                if number in (first, second):
                    wire = stage.wires[0 if number == first else 1]
                    await stage.serving(2)
                    wire.cut()
                    await asyncio.sleep(dice.choice((0, 0.03)))
                    await wire.mend()
                stream.feed(piece)
                await asyncio.sleep(0)
            assert await final_of(stream) == TEXT
        assert [len(partial) for partial in partials] == sorted(len(partial) for partial in partials)


async def test_a_final_whose_worker_dies_is_made_by_another(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", SLOW, SLOW) as stage:
        with closing(FleetRecognizer(stage.fleet).open(lambda _: None)) as stream:
            stream.feed(b"".join(sound(TEXT)))
            running = asyncio.create_task(final_of(stream))
            async with asyncio.timeout(WAIT_S):
                while not any(worker.host.sessions.running for worker in stage.workers):
                    await stage.fleet.changed(0.02)
            busy = next(n for n, worker in enumerate(stage.workers) if worker.host.sessions.running)
            stage.wires[busy].cut()
            assert await running == TEXT
        handover = stage.notes.handovers[0]
        assert handover.stage == "asr"
        assert handover.to_address == stage.wires[1 - busy].address


async def test_the_recognizer_s_own_failure_is_told_and_the_turn_goes_on(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", QUICK + ",fail_on=2") as stage:  # the first job is the warm-up
        with closing(FleetRecognizer(stage.fleet).open(lambda _: None)) as stream:
            stream.feed(b"".join(sound("one")))
            with pytest.raises(EngineError, match="as it was told to"):
                await final_of(stream)
            assert await final_of(stream) == "one"


async def test_a_turn_that_nobody_takes_fails_and_may_be_asked_again(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", QUICK, max_concurrent=1) as stage:
        recognizer = FleetRecognizer(stage.fleet)
        with closing(recognizer.open(lambda _: None)) as first, closing(recognizer.open(lambda _: None)) as second:
            first.feed(b"".join(sound("one")))
            assert await final_of(first) == "one"
            second.feed(b"".join(sound("two")))
            with pytest.raises(EngineError, match="busy"):
                await final_of(second)
            assert set(stage.notes.refusals) == {Shortage.BUSY}
            first.close()
            await stage.idle()
            assert await final_of(second) == "two"


async def test_a_turn_longer_than_what_is_kept_cannot_be_heard_again(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", QUICK, QUICK) as stage:
        with closing(FleetRecognizer(stage.fleet).open(lambda _: None)) as stream:
            stream.feed(b"".join(sound("one")))
            assert await final_of(stream) == "one"
            stream.feed(bytes(KEPT_BYTES))
            assert await final_of(stream) == "one"
            for wire in stage.wires:
                wire.cut()
            with pytest.raises(EngineError, match="two minutes"):
                await final_of(stream)


async def test_a_language_that_nobody_knows_is_left_to_the_recognizer(tmp_path: Path) -> None:
    async with staged(tmp_path, "asr", QUICK) as stage:
        with closing(FleetRecognizer(stage.fleet).open(lambda _: None, "xx")) as stream:
            stream.feed(b"".join(sound("one")))
            assert await final_of(stream) == "one"
