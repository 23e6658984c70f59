from __future__ import annotations

from collections.abc import AsyncGenerator

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta
from antiphon.engines.counted_brain import counted
from antiphon.engines.optional import IN_PROCESS, Attentive, answering, hears_audio, models_of, place_of, prepare_brain
from antiphon.engines.scripted import ScriptedBrain

REQUEST = BrainRequest(())


class Plain:
    name = "plain"
    description = "a brain"
    closed = 0

    async def load(self) -> None:
        raise AssertionError("whose it is has done it")

    async def close(self) -> None:
        raise AssertionError("whose it is does it")

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        try:
            yield TextDelta("hello ")
            yield TextDelta("there")
            yield Finish("stop", 10, 2, 7)
        finally:
            self.closed += 1


class Reader(Plain):
    place = "worker"

    async def read(self, request: BrainRequest) -> Finish:
        return Finish("stop", 9, 0, 8)


async def test_answers_and_readings_are_counted() -> None:
    told: list[tuple[int, int, int]] = []
    inner = Reader()
    brain = counted(inner, lambda *tokens: told.append(tokens))
    assert (brain.name, brain.description, place_of(brain)) == ("plain", "a brain", "worker")
    assert isinstance(brain, Attentive)
    await brain.load()
    assert await brain.read(REQUEST) == Finish("stop", 9, 0, 8)
    deltas = [delta async for delta in brain.respond(REQUEST)]
    assert deltas == [TextDelta("hello "), TextDelta("there"), Finish("stop", 10, 2, 7)]
    assert told == [(1, 8, 0), (3, 7, 2)]
    answer = brain.respond(REQUEST)
    await anext(answer)
    await answer.aclose()
    assert inner.closed == 2, "closing reaches the brain"
    await brain.close()


class Several(Plain):
    models = ("one", "two")

    def __init__(self) -> None:
        self.prepared: list[str] = []

    def answering(self, model: str) -> str:
        return model if model in self.models else "one"

    async def prepare(self, model: str) -> None:
        self.prepared.append(model)

    def hears_as(self, model: str) -> bool:
        return model == "two"


async def test_what_it_can_do_besides_stays() -> None:
    inner = Several()
    brain = counted(inner, lambda *tokens: None)
    assert (models_of(brain), answering(brain, "two")) == (("one", "two"), "two")
    assert [hears_audio(brain, model) for model in ("one", "two")] == [False, True]
    await prepare_brain(brain, "two")
    assert inner.prepared == ["two"]
    plain = counted(Plain(), lambda *tokens: None)
    assert (models_of(plain), answering(plain, "two"), hears_audio(plain)) == (("plain",), "plain", False)
    await prepare_brain(plain, "two")


async def test_who_cannot_read_ahead_is_not_said_to() -> None:
    brain = counted(Plain(), lambda *tokens: None)
    assert not isinstance(brain, Attentive)
    assert place_of(brain) == IN_PROCESS
    assert place_of(counted(ScriptedBrain(), lambda *tokens: None)) == IN_PROCESS
