"""Several language models in one conversation: which of them answers, and when another does."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from antiphon.core.commands import Configure
from antiphon.core.settings import ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta
from antiphon.engines.brains import MultiBrain
from antiphon.engines.optional import Leaving, brain_of_session, models_of, read_ahead
from antiphon.engines.scripted import ScriptedBrain
from antiphon.engines.suite import Suite
from antiphon.errors import EngineError
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual


class Brain(ScriptedBrain):
    """A scripted brain with a name and one answer, which takes time to load, or cannot be."""

    def __init__(self, name: str, answers: Sequence[str], *, load_s: float = 0.0, broken: bool = False) -> None:
        super().__init__(answers=answers)
        self._name = name
        self._load_s = load_s
        self.broken = broken
        self.loads = 0

    @property
    def name(self) -> str:
        return self._name

    async def load(self) -> None:
        self.loads += 1
        await asyncio.sleep(self._load_s)
        if self.broken:
            raise EngineError("there is no such file")


def brains(*, load_s: float = 0.0, broken: bool = False) -> MultiBrain:
    two = Brain("two", ["second thoughts"], load_s=load_s, broken=broken)
    return MultiBrain({"one": Brain("one", ["first things first"]), "two": two})


def suite_of(brain: MultiBrain) -> Suite:
    return replace(scripted_suite(), brain=brain)


def wanting(model: str) -> SessionSettings:
    return SessionSettings(TurnSettings(paced=True), ReplySettings(model=model), transcription=True)


async def answer_to(caller: Caller, words: str) -> tuple[str | None, str]:
    """Who answers, and what."""
    await caller.say(words)
    answer = await caller.answer()
    await caller.rest()
    return answer.brain, answer.transcript


def test_a_change_counts_from_the_next_reply_on() -> None:
    async def main() -> None:
        brain = brains()
        await brain.load()
        async with call(suite_of(brain), wanting("")) as caller:
            await caller.say("hello")
            await caller.hears("first")
            caller.session.post(Configure(wanting("two")))
            answer = await caller.answer()
            assert (answer.brain, answer.transcript) == ("one", "first things first")
            await caller.rest()
            assert await answer_to(caller, "and now") == ("two", "second thoughts")
            caller.session.post(Configure(wanting("")))
            assert await answer_to(caller, "once more") == ("one", "first things first")

    run_virtual(main())


def test_the_context_goes_with_the_conversation() -> None:
    async def main() -> None:
        brain = brains()
        await brain.load()
        await brain.prepare("two")
        async with call(suite_of(brain), wanting("")) as caller:
            await answer_to(caller, "hello")
            caller.session.post(Configure(wanting("two")))
            await caller.say("repeat")
            assert (await caller.answer()).transcript == "first things first"

    run_virtual(main())


def test_until_it_is_loaded_the_default_answers() -> None:
    async def main() -> None:
        brain = brains(load_s=8.0)
        await brain.prepare("one")
        async with call(suite_of(brain), wanting("")) as caller:
            caller.session.post(Configure(wanting("two")))
            assert await answer_to(caller, "hello") == ("one", "first things first")
            assert brain.is_loading("two")
            await caller.pause(8000)
            assert brain.is_ready("two")
            assert await answer_to(caller, "hello again") == ("two", "second thoughts")

    run_virtual(main())


def test_one_that_cannot_be_loaded_leaves_the_conversation_as_it_is() -> None:
    async def main() -> None:
        brain = brains(broken=True)
        await brain.load()
        async with call(suite_of(brain), wanting("")) as caller:
            caller.session.post(Configure(wanting("two")))
            assert await answer_to(caller, "hello") == ("one", "first things first")
            assert brain.reason("two") == "there is no such file"

    run_virtual(main())


def test_one_reply_may_have_a_brain_of_its_own() -> None:
    async def main() -> None:
        brain = brains()
        await brain.load()
        await brain.prepare("two")
        async with call(suite_of(brain), wanting("")) as caller:
            caller.ask(ReplySettings(model="two"))
            assert (await caller.answer()).brain == "two"
            caller.ask()
            assert (await caller.answer()).brain == "one"

    run_virtual(main())


def test_a_single_brain_is_told_too() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=3")) as caller:
            caller.ask(ReplySettings(model="two"))
            assert (await caller.answer()).brain == "scripted:"

    run_virtual(main())


# The engine.


def test_it_is_loaded_once_however_many_ask() -> None:
    async def main() -> None:
        two = Brain("two", ["yes"], load_s=1.0)
        brain = MultiBrain({"one": Brain("one", ["no"]), "two": two})
        await asyncio.gather(*(brain.prepare("two") for _ in range(3)))
        assert two.loads == 1
        two.broken = True
        await brain.prepare("two")

    run_virtual(main())


def test_only_the_default_must_be_loaded() -> None:
    async def main() -> None:
        two = Brain("two", ["yes"], broken=True)
        brain = MultiBrain({"one": Brain("one", ["no"]), "two": two})
        await brain.load()
        assert (brain.is_ready("one"), brain.is_ready("two")) == (True, False)
        with pytest.raises(EngineError, match="no such file"):
            await MultiBrain({"two": two, "one": Brain("one", ["no"])}).load()

    run_virtual(main())


def test_a_load_that_failed_is_tried_again() -> None:
    async def main() -> None:
        two = Brain("two", ["yes"], broken=True)
        brain = MultiBrain({"one": Brain("one", ["no"]), "two": two})
        with pytest.raises(EngineError, match="no such file"):
            await brain.prepare("two")
        two.broken = False
        await brain.prepare("two")
        assert brain.reason("two") == ""
        deltas = brain.respond(BrainRequest((Message("user", "well"),), model="two"))
        assert [delta.text async for delta in deltas if isinstance(delta, TextDelta)] == ["yes"]

    run_virtual(main())


def test_brains_of_the_same_name_go_by_what_they_were_given_as() -> None:
    names = {"http://a/v1#m": "openai:m", "http://b/v1#m": "openai:m", "c": "c"}
    brain = MultiBrain({given: Brain(name, []) for given, name in names.items()})
    assert brain.models == ("http://a/v1#m", "http://b/v1#m", "c")
    assert brain.name == "http://a/v1#m"
    assert "to choose from" in brain.description
    assert brain.answering("nobody") == "http://a/v1#m"


class Keeping(Brain):
    """Keeps what it reads, for each conversation."""

    def __init__(self, name: str) -> None:
        super().__init__(name, [name])
        self.opened: list[str] = []
        self.forgotten: list[str] = []
        self.read_by: list[str] = []

    def of_session(self, session: str) -> Kept:
        self.opened.append(session)
        return Kept(self, session)

    def forget(self, session: str) -> None:
        self.forgotten.append(session)


class Kept(Brain):
    """One conversation of a ``Keeping``."""

    def __init__(self, owner: Keeping, session: str) -> None:
        super().__init__(owner.name, [f"{owner.name} of {session}"])
        self._owner = owner
        self._session = session

    async def read(self, request: BrainRequest) -> Finish:
        self._owner.read_by.append(self._session)
        return Finish(input_tokens=1)


def test_each_keeps_what_it_has_read_of_a_conversation_and_forgets_it_with_it() -> None:
    async def main() -> None:
        one, two = Keeping("one"), Keeping("two")
        brain = MultiBrain({"one": one, "two": two, "three": Brain("three", ["no"])})
        await brain.load()
        session = brain_of_session(brain, "s")
        assert models_of(session) == ("one", "two", "three")
        for _ in range(2):
            request = BrainRequest((Message("user", "well"),), model="two")
            said = [delta.text async for delta in session.respond(request) if isinstance(delta, TextDelta)]
            assert "".join(said) == "two of s"
            assert (await read_ahead(session, request)).input_tokens == 1
        assert (one.opened, two.opened, two.read_by) == ([], ["s"], ["s", "s"])
        assert await read_ahead(session, BrainRequest((), model="three")) == Finish()
        assert isinstance(session, Leaving)
        session.leave()
        assert two.forgotten == ["s"]

    run_virtual(main())
