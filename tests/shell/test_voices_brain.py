"""The language models of a fleet: an answer begins anew elsewhere until its first word, and never after it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from tests.shell.fleet_client import WAIT_S, Stage, staged
from tests.shell.tiny_llm import WORDS, write_model

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines import tone_code
from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.optional import hears_audio, hears_now
from antiphon.errors import EngineError
from antiphon.v1 import models_pb2
from antiphon.voices.brain import FleetBrain

QUICK = "scripted:first_token_ms=1,token_ms=1"
SLOW = "scripted:first_token_ms=300,token_ms=100"


async def answer(brain: FleetBrain, *messages: Message, limit: int | None = None, model: str = "") -> list[BrainDelta]:
    tools = (Tool("lights", "Switches the lights", {"type": "object"}),)
    request = BrainRequest(messages, tools, max_output_tokens=limit, model=model)
    async with asyncio.timeout(WAIT_S):
        return [delta async for delta in brain.respond(request)]


def text_of(deltas: list[BrainDelta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


async def test_an_answer_with_its_end(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK) as stage:
        brain = FleetBrain(stage.fleet)
        deltas = await answer(brain, Message("user", "count to 12"))
        assert text_of(deltas).startswith("one two three")
        assert [type(delta) for delta in deltas].count(Finish) == 1
        assert deltas[-1] == Finish("stop", 3, 12)
        assert isinstance((await answer(brain, Message("user", "count to 12"), limit=3))[-1], Finish)
        await stage.idle()
        assert stage.workers[0].host.sessions.running == 0
        assert brain.name == QUICK
        assert "1 worker" in brain.description


async def test_a_worker_that_leaves_ends_its_answer_first(tmp_path: Path) -> None:
    """It takes no new connections from then on, which is not to be taken for its death."""
    async with staged(tmp_path, "llm", SLOW) as stage:
        request = BrainRequest((Message("user", "count to 12"),))
        async with asyncio.timeout(WAIT_S), aclosing(FleetBrain(stage.fleet).respond(request)) as deltas:
            got = [await anext(deltas)]
            leaving = asyncio.create_task(stage.workers[0].drain(WAIT_S))
            got += [delta async for delta in deltas]
            await leaving
            assert isinstance(got[-1], Finish)
            assert text_of(got).endswith("eleven twelve")
            while stage.fleet.workers[0].health.value != "down":
                await stage.fleet.changed()


async def test_calls_and_their_results(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK) as stage:
        brain = FleetBrain(stage.fleet)
        deltas = await answer(brain, Message("user", 'call lights {"on": true}'))
        calls = [delta for delta in deltas if isinstance(delta, ToolCallDelta)]
        assert {call.name for call in calls} == {"lights"}
        assert "".join(call.arguments for call in calls) == '{"on": true}'
        assert deltas[-1] == Finish("tool_calls", 4, 2)
        called = Message("assistant", call_id=calls[0].call_id, name="lights", arguments='{"on": true}')
        result = Message("tool", "done", call_id=calls[0].call_id)
        assert text_of(await answer(brain, Message("user", "call lights"), called, result)) == "lights says done"


async def test_what_was_said_goes_to_workers_that_hear(tmp_path: Path) -> None:
    said = Message("user", "not this", audio=tone_code.encode("echo good morning", EAR_RATE_HZ))
    async with staged(tmp_path, "llm", QUICK + ",hears=1") as stage:
        brain = FleetBrain(stage.fleet)
        assert hears_audio(brain)
        assert hears_audio(brain.of_session("s"))
        assert text_of(await answer(brain, said)) == "good morning"
        request = BrainRequest((said,), transcribe=True)
        assert text_of([delta async for delta in brain.respond(request)]) == "echo good morning"
    async with staged(tmp_path, "llm", QUICK) as stage:
        assert not hears_audio(FleetBrain(stage.fleet))


async def test_of_several_models_those_hear_that_can(tmp_path: Path) -> None:
    said = Message("user", "not this", audio=tone_code.encode("echo good morning", EAR_RATE_HZ))
    hearing = QUICK + ",hears=1"
    async with staged(tmp_path, "llm", f"{QUICK}+{hearing}") as stage:
        brain = FleetBrain(stage.fleet)
        assert [hears_audio(brain, model) for model in ("", QUICK, hearing, "nobody")] == [False, False, True, False]
        assert not hears_now(brain, hearing), "it is not in memory, and the other stands in for it"
        assert text_of(await answer(brain, said, model=hearing)) == "good morning"
        async with asyncio.timeout(WAIT_S):
            while not hears_now(brain, hearing):
                await stage.fleet.changed()
        assert text_of(await answer(brain, said)) == "good morning", "what is audio goes to none that reads"
        assert text_of(await answer(brain, Message("user", "echo words"))) == "words"


async def test_a_word_is_read_when_it_comes(tmp_path: Path) -> None:
    """By a model that keeps what it has read, over the wire, for a conversation that is known there and then is not."""
    model = f"transformers:{write_model(tmp_path / 'tiny')}#temperature=0"
    async with staged(tmp_path, "llm", model) as stage:
        brain = FleetBrain(stage.fleet).of_session("a")
        with brain.attending():
            async with asyncio.timeout(WAIT_S):
                while not stage.workers[0].host.sessions.known("a"):
                    await stage.fleet.changed(0.02)
            said = "hello"
            await brain.read(BrainRequest((Message("user", said),)))
            for word in WORDS[:5]:
                said += f" {word}"
                finish = await brain.read(BrainRequest((Message("user", said),)))
                assert finish.input_tokens - finish.cached_tokens == 1
            asked = BrainRequest((Message("user", said),), max_output_tokens=4)
            end = [delta async for delta in brain.respond(asked)][-1]
            assert isinstance(end, Finish)
            assert end.cached_tokens >= finish.input_tokens
            assert end.output_tokens == 4
        engine = stage.workers[0].host.models.info()[0].engine
        assert isinstance(engine, CachedBrain)
        async with asyncio.timeout(WAIT_S):
            while engine._mind is not None and engine._mind.contexts.tokens:
                await stage.fleet.changed(0.02)


async def test_what_cannot_be_read_ahead_is_asked_for_once(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK) as stage:
        brain = FleetBrain(stage.fleet).of_session("a")
        request = BrainRequest((Message("user", "count to 12"),))
        assert await brain.read(request) == Finish()
        stage.wires[0].cut()
        assert await brain.read(request) == Finish(), "nobody is asked"


async def test_a_worker_that_is_lost_while_it_reads_is_no_failure(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK) as stage:
        brain = FleetBrain(stage.fleet).of_session("a")
        reading = asyncio.create_task(brain.read(BrainRequest((Message("user", "hello"),))))
        stage.wires[0].cut()
        async with asyncio.timeout(WAIT_S):
            with suppress(EngineError):  # where it was lost before it was asked
                assert await reading == Finish()


async def test_closing_stops_the_work(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", SLOW) as stage:
        deltas = FleetBrain(stage.fleet).respond(BrainRequest((Message("user", "count to 90"),)))
        assert await anext(deltas) == TextDelta("one")
        assert stage.workers[0].host.sessions.running == 1
        await deltas.aclose()
        await stage.idle()
        async with asyncio.timeout(WAIT_S):
            while stage.workers[0].host.sessions.running:
                await stage.fleet.changed(0.02)


async def test_a_worker_that_dies_before_its_first_word_is_replaced(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", SLOW, SLOW) as stage:
        answering = asyncio.create_task(answer(FleetBrain(stage.fleet), Message("user", "echo hello")))
        async with asyncio.timeout(WAIT_S):
            while not any(worker.host.sessions.running for worker in stage.workers):
                await stage.fleet.changed(0.02)
        stage.wires[next(n for n, worker in enumerate(stage.workers) if worker.host.sessions.running)].cut()
        assert text_of(await answering) == "hello"


async def test_a_worker_that_dies_after_it_is_told_of(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", SLOW, SLOW) as stage:
        deltas = FleetBrain(stage.fleet).respond(BrainRequest((Message("user", "count to 90"),)))
        async with aclosing(deltas):
            await anext(deltas)
            for wire in stage.wires:
                wire.cut()
            with pytest.raises(EngineError, match="mid-answer") as told:
                async for _ in deltas:
                    pass
        assert told.value.retryable


async def test_the_model_s_own_failure_is_told(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK + ",fail_on=1") as stage:
        with pytest.raises(EngineError, match="as it was told to"):
            await answer(FleetBrain(stage.fleet), Message("user", "hello"))


async def test_without_workers_it_says_when_to_come_back(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK) as stage:
        stage.wires[0].cut()
        await stage.serving(0)
        with pytest.raises(EngineError, match="try again in 5") as told:
            await answer(FleetBrain(stage.fleet), Message("user", "hello"))
        assert told.value.retry_after_s == 5.0


async def test_a_conversation_stays_where_its_context_is(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", QUICK, QUICK, QUICK) as stage:
        brain = FleetBrain(stage.fleet).of_session("the session")
        for _ in range(6):
            assert text_of(await answer(brain, Message("user", "echo hello"))) == "hello"
            await stage.idle()
        await brain.close()  # which is its owner's to do
        assert sum(connection.worker.latency_ms > 0 for connection in stage.fleet.connections) == 1


# Several models.

THREE = "scripted:first_token_ms=1,token_ms=1,tokens=3"
FIVE = "scripted:first_token_ms=1,token_ms=1,tokens=5"
NAMES = {THREE: "three", FIVE: "five"}
ANYTHING = Message("user", "tell me something")


async def words_by(brain: FleetBrain, model: str = "") -> int:
    return len(text_of(await answer(brain, ANYTHING, model=model)).split())


async def unload(stage: Stage, model: str) -> None:
    [connection] = stage.fleet.connections
    await connection.stub.UnloadModel(models_pb2.UnloadModelRequest(model=model, force=True))
    await connection.ask()


async def test_a_request_names_the_model_that_answers(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", f"{THREE}+{FIVE}", preload=(THREE, FIVE)) as stage:
        brain = FleetBrain(stage.fleet, names=NAMES).of_session("the session")
        assert brain.models == ("three", "five")
        assert [await words_by(brain, model) for model in ("", "five", "three", "nobody")] == [3, 5, 3, 3]
        assert [brain.answering(model) for model in ("", "five", "nobody")] == ["three", "five", "three"]
        assert FleetBrain(stage.fleet).models == (THREE, FIVE)


async def test_one_that_is_not_in_memory_is_stood_in_for_until_it_is(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", f"{THREE}+{FIVE}") as stage:
        brain = FleetBrain(stage.fleet, names=NAMES).of_session("the session")
        assert brain.answering("five") == "three"
        assert await words_by(brain, "five") == 3
        await brain.prepare("five")
        assert brain.answering("five") == "five"
        assert await words_by(brain, "five") == 5
        await brain.prepare("nobody")


async def test_a_conversation_that_wants_a_model_has_it_loaded_from_its_beginning(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", f"{THREE}+{FIVE}") as stage:
        brain = FleetBrain(stage.fleet, names=NAMES).of_session("the session")
        with brain.attending("five"):
            async with asyncio.timeout(WAIT_S):
                while FIVE not in stage.fleet.workers[0].resident:
                    await stage.fleet.changed()
            assert await words_by(brain, "five") == 5


async def test_what_was_unloaded_comes_back_only_when_it_is_chosen(tmp_path: Path) -> None:
    async with staged(tmp_path, "llm", f"{THREE}+{FIVE}", preload=(THREE, FIVE)) as stage:
        brain = FleetBrain(stage.fleet, names=NAMES)
        await unload(stage, THREE)
        assert [await words_by(brain, model) for model in ("", "three")] == [5, 5]
        assert brain.answering("three") == "five"
        await unload(stage, FIVE)
        assert await words_by(brain) == 3, "the last one is loaded again, or nobody would answer"
        await brain.prepare("five")
        assert await words_by(brain, "five") == 5
