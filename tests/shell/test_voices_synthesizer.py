"""The voices of a fleet, on scripted workers: what is heard is what was said, whatever happens to them."""

from __future__ import annotations

import asyncio
import random
from contextlib import aclosing
from pathlib import Path
from typing import cast

import pytest
from tests.shell.fleet_client import WAIT_S, Stage, heard, pieces, staged

from antiphon.audio import FRAME_BYTES
from antiphon.core.fleet import Request, Shortage
from antiphon.core.speech import AudioChunk, Voice
from antiphon.errors import EngineError
from antiphon.v1 import models_pb2
from antiphon.voices.fleet import Fleet
from antiphon.voices.registry import StaticRegistry
from antiphon.voices.synthesizer import FleetSynthesizer
from antiphon.worker.speech import SpeechStream

QUICK = "scripted:first_audio_ms=1,speed=100"
OTHER = "scripted:first_audio_ms=1,speed=100,symbol_ms=44"
UNREPEATABLE = "scripted:first_audio_ms=1,speed=100,repeatable=0"
SLOW = "scripted:first_audio_ms=1,speed=2"
ALPHA = Voice("scripted:alpha")
WORDS = ["one", "two,", "three.", "a", "well-known", "seventeen", "and", "So"]


async def said(synthesizer: FleetSynthesizer, *texts: str, voice: Voice = ALPHA) -> list[AudioChunk]:
    async with asyncio.timeout(WAIT_S):
        return [chunk async for chunk in synthesizer.speak(pieces(*texts), voice)]


async def test_a_reply_is_spoken_segment_by_segment(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK) as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        chunks = await said(synthesizer, "one two", "three.", "four five six")
        assert heard(chunks) == "one two three. four five six"
        assert [chunk.segment for chunk in chunks if chunk.last] == [0, 1, 2]
        assert [chunk.segment for chunk in chunks] == sorted(chunk.segment for chunk in chunks)
        words = [(chunk.segment, word.start_char, word.end_char) for chunk in chunks for word in chunk.words]
        assert words == [(0, 0, 3), (0, 4, 7), (1, 0, 6), (2, 0, 4), (2, 5, 9), (2, 10, 13)]
        await stage.idle()
        assert not stage.notes.handovers


async def test_a_worker_that_leaves_says_its_reply_to_the_end(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW, QUICK) as stage:
        speaking, other = (worker.host.sessions for worker in stage.workers)
        text = "one two three four five six seven eight nine ten."
        async with (
            asyncio.timeout(WAIT_S),
            aclosing(FleetSynthesizer(stage.fleet).speak(pieces(text), ALPHA)) as chunks,
        ):
            got = [await anext(chunks)]
            assert (speaking.running, other.running) == (1, 0)
            leaving = asyncio.create_task(stage.workers[0].drain(WAIT_S))
            got += [chunk async for chunk in chunks]
            await leaving
        assert heard(got) == text
        assert not stage.notes.handovers


async def test_all_voices_of_all_workers_have_names(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK, "pico+espeak") as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        names = [voice.name for voice in synthesizer.voices]
        assert names[:2] == ["scripted:alpha", "scripted:beta"]
        assert {"pico:en-US", "espeak:de-DE"} <= set(names)
        assert len(names) == len(set(names))
        assert synthesizer.find("de") == "pico:de-DE"
        assert synthesizer.find("nobody") is None
        assert all(voice.repeatable for voice in synthesizer.voices)
        assert synthesizer.name == "scripted:alpha"
        assert "2 workers" in synthesizer.description


async def test_a_model_that_is_not_in_memory_is_loaded_when_its_voice_is_asked_for(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", f"{QUICK}+pico") as stage:
        assert stage.fleet.workers[0].resident == {QUICK}
        chunks = await said(FleetSynthesizer(stage.fleet), "Hello.", voice=Voice("pico:en-GB"))
        assert sum(len(chunk.pcm) for chunk in chunks) > 40_000
        async with asyncio.timeout(WAIT_S):
            while "pico" not in stage.fleet.workers[0].resident:
                await stage.fleet.changed()


async def test_a_reader_that_stops_stops_the_worker_within_half_a_second_of_audio(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK, poll_s=60) as stage:
        long = " ".join(["seventeen"] * 60)
        async with aclosing(FleetSynthesizer(stage.fleet).speak(pieces(long), ALPHA)) as chunks:
            before = stage.wires[0].down_bytes
            await anext(chunks)
            await asyncio.sleep(1.0)
            assert stage.wires[0].down_bytes - before < 27 * (FRAME_BYTES + 100)
            rest = [chunk async for chunk in chunks]
            assert rest[-1].last


async def test_closing_cancels_in_band_and_frees_the_worker(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW) as stage:
        chunks = FleetSynthesizer(stage.fleet).speak(pieces("one two three four five six"), ALPHA)
        await anext(chunks)
        assert stage.workers[0].host.sessions.running == 1
        began = asyncio.get_running_loop().time()
        await chunks.aclose()
        assert asyncio.get_running_loop().time() - began < 0.2  # it does not wait for the worker
        await stage.idle()
        assert stage.workers[0].host.sessions.running == 0


async def test_a_cancelled_reader_frees_the_worker_too(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW) as stage:
        task = asyncio.create_task(said(FleetSynthesizer(stage.fleet), "one two three four five six"))
        async with asyncio.timeout(WAIT_S):
            while not stage.workers[0].host.sessions.running:
                await stage.fleet.changed(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stage.idle()
        assert stage.workers[0].host.sessions.running == 0


async def chaos(stage: Stage, synthesizer: FleetSynthesizer, dice: random.Random) -> None:
    """Says a random reply while both workers are cut off at random bytes, and come back a little later."""
    texts = [" ".join(dice.choices(WORDS, k=dice.randint(1, 8))) for _ in range(dice.randint(1, 3))]
    for wire in stage.wires:
        wire.cut_after(dice.randint(1, 250_000))

    async def mend(number: int) -> None:
        wire = stage.wires[number]
        while True:
            await wire.broken.wait()
            await asyncio.sleep(0.02 * (1 + number))
            await wire.mend()

    menders = [asyncio.create_task(mend(number)) for number in range(len(stage.wires))]
    try:
        chunks = await said(synthesizer, *texts)
    finally:
        for mender in menders:
            mender.cancel()
        await asyncio.gather(*menders, return_exceptions=True)
    assert heard(chunks) == " ".join(texts)
    assert [chunk.segment for chunk in chunks if chunk.last] == list(range(len(texts)))
    spoken = [(chunk.segment, texts[chunk.segment][w.start_char : w.end_char]) for chunk in chunks for w in chunk.words]
    assert spoken == [(number, word) for number, text in enumerate(texts) for word in text.split()]
    for wire in stage.wires:
        await wire.mend()
    await stage.serving(len(stage.wires))


@pytest.mark.parametrize("model", [QUICK, UNREPEATABLE], ids=["repeatable", "unrepeatable"])
@pytest.mark.parametrize("seed", range(4))
async def test_over_random_kills_each_word_is_heard_once(tmp_path: Path, model: str, seed: int) -> None:
    dice = random.Random(seed)
    async with staged(tmp_path, "tts", model, model) as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        for _ in range(12):
            await chaos(stage, synthesizer, dice)
        await stage.idle()
        assert len(stage.notes.handovers) > 2
        assert all(handover.exact == (model == QUICK) for handover in stage.notes.handovers)


async def test_another_voice_goes_on_where_nobody_has_the_same(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW + ",repeatable=0", "espeak") as stage:
        got: list[AudioChunk] = []
        async with aclosing(FleetSynthesizer(stage.fleet).speak(pieces("one two three four five."), ALPHA)) as chunks:
            async for chunk in chunks:
                got.append(chunk)
                if len(got) == 1:
                    stage.wires[0].cut()
        assert got[-1].last
        handover = stage.notes.handovers[0]
        assert (handover.from_address, handover.to_address) == (stage.wires[0].address, stage.wires[1].address)
        assert not handover.exact
        words = ["one two three four five."[w.start_char : w.end_char].strip(".") for c in got for w in c.words]
        assert words == ["one", "two", "three", "four", "five"]


async def test_a_model_is_taken_away_under_a_reply(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW, SLOW) as stage:
        text = "one two three four five."
        got: list[AudioChunk] = []
        async with aclosing(FleetSynthesizer(stage.fleet).speak(pieces(text), ALPHA)) as chunks:
            async for chunk in chunks:
                got.append(chunk)
                if len(got) == 1:
                    busy = next(c for c in stage.fleet.connections if c.in_flight)
                    await busy.stub.UnloadModel(models_pb2.UnloadModelRequest(model=SLOW, force=True))
        assert heard(got) == text
        assert stage.notes.handovers[0].from_address == busy.address
        assert stage.notes.handovers[0].to_address != busy.address


async def test_a_stop_at_the_worker_ends_the_segment(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW) as stage:
        voice = FleetSynthesizer(stage.fleet).of_session("the session")
        got: list[AudioChunk] = []
        async with aclosing(voice.speak(pieces("one two three four five."), ALPHA)) as chunks:
            async for chunk in chunks:
                got.append(chunk)
                if len(got) == 1:
                    await stage.fleet.connections[0].stub.Control(
                        models_pb2.ControlRequest(verb=models_pb2.ControlRequest.STOP, session="the session")
                    )
        assert got[-1].last
        assert len(heard(got).split()) < 5


async def test_a_loss_that_is_noticed_late_is_not_held_against_the_process_that_came_after(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK) as stage:
        [connection] = stage.fleet.connections
        connection.failed("the process before")
        assert heard(await said(FleetSynthesizer(stage.fleet), "one")) == "one"
        connection.failed(connection.worker.instance)
        assert stage.fleet.try_acquire(Request("tts")) is None


async def test_the_next_segment_is_at_the_worker_while_one_is_spoken(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW) as stage:
        texts = ["one two three four five six seven.", "eight.", "nine."]
        async with aclosing(FleetSynthesizer(stage.fleet).speak(pieces(*texts), ALPHA)) as chunks:
            await anext(chunks)
            await anext(chunks)
            (stream,) = cast("set[SpeechStream]", stage.workers[0].host.sessions._running)
            assert list(stream._open) == [0, 1]
            got = [chunk async for chunk in chunks]
        assert [chunk.segment for chunk in got if chunk.last] == [0, 1, 2]


async def test_a_session_stays_at_its_worker(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK, QUICK, QUICK) as stage:
        voice = FleetSynthesizer(stage.fleet).of_session("the session")
        addresses = set()
        for _ in range(6):
            assert [chunk async for chunk in voice.speak(pieces("one"), ALPHA)]
            addresses.add(voice.address)
        assert len(addresses) == 1


async def test_a_full_fleet_refuses_at_once_and_says_when_to_come_back(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", SLOW, max_concurrent=1) as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        async with aclosing(synthesizer.speak(pieces("one two three four"), ALPHA)) as chunks:
            await anext(chunks)
            began = asyncio.get_running_loop().time()
            with pytest.raises(EngineError, match=r"busy.*try again in 1\.0 s") as refusal:
                await said(synthesizer, "five")
            assert asyncio.get_running_loop().time() - began < 1.0
            assert refusal.value.retryable
            assert refusal.value.retry_after_s == 1.0
        assert stage.notes.refusals == [Shortage.BUSY]
        await stage.idle()
        assert heard(await said(synthesizer, "five")) == "five"


async def test_a_reply_waits_for_a_worker_that_comes_back_and_fails_where_none_does(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK) as stage:
        synthesizer = FleetSynthesizer(stage.fleet)
        stage.wires[0].cut()
        await stage.serving(0)
        speaking = asyncio.create_task(said(synthesizer, "one two"))
        await asyncio.sleep(0)
        await stage.wires[0].mend()
        assert heard(await speaking) == "one two"
        stage.wires[0].cut()
        await stage.serving(0)
        with pytest.raises(EngineError, match="no worker that could take it is up") as refusal:
            await said(synthesizer, "three")
        assert refusal.value.retry_after_s == 5.0


async def test_what_the_engine_cannot_say_is_told(tmp_path: Path) -> None:
    async with staged(tmp_path, "tts", QUICK + ",fail_on=2") as stage:  # the first job is the warm-up
        with pytest.raises(EngineError, match="as it was told to"):
            await said(FleetSynthesizer(stage.fleet), "one")
        await stage.idle()


async def test_without_any_worker_starting_says_what_to_do() -> None:
    fleet = Fleet("tts", StaticRegistry(("127.0.0.1:1",)))
    with pytest.raises(EngineError, match="antiphon worker tts"):
        await fleet.start(0.1)
    await fleet.close()
    await fleet.close()
