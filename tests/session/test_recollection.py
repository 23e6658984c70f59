"""A long conversation: what its language model is given, and the notes that are made between replies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from antiphon.core.commands import Configure
from antiphon.core.memory import Memory, tokens_of
from antiphon.core.settings import Answers, ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta
from antiphon.engines.scripted import ScriptedBrain, count_to
from antiphon.errors import EngineError
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual

BUDGET = 200
NOTES = "The user counts things."


class Brain(ScriptedBrain):
    """Answers in thirty words, and keeps notes when it is asked to."""

    def __init__(self, *, notes: str = NOTES, notes_s: float = 0.5, fails: bool = False) -> None:
        super().__init__(answers=[count_to(30)])
        self.asked: list[BrainRequest] = []
        self.asked_for_notes: list[BrainRequest] = []
        self.written = 0
        self._notes = notes
        self._notes_s = notes_s
        self._fails = fails

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        if not request.messages[0].text.startswith("You keep the notes"):
            self.asked.append(request)
            async for delta in super().respond(request):
                # How it counts is of no interest here.
                yield Finish() if isinstance(delta, Finish) else delta
            return
        self.asked_for_notes.append(request)
        await asyncio.sleep(self._notes_s)
        if self._fails:
            raise EngineError("no room for notes")
        self.written += 1
        yield TextDelta(self._notes)
        yield Finish()


@asynccontextmanager
async def conversing(
    brain: ScriptedBrain, memory: Memory, can_summarize: Callable[[str], bool] = lambda model: True
) -> AsyncIterator[Caller]:
    suite = replace(scripted_suite(tts="speed=50"), brain=brain)
    async with call(suite, memory=memory, can_summarize=can_summarize) as caller:
        yield caller


async def typed_turns(caller: Caller, count: int) -> None:
    for turn in range(count):
        await caller.type(f"Here is number {turn} of what I wanted to say to you today.")
        await caller.answer()
        await caller.rest()


def test_the_context_stays_within_the_budget_and_the_notes_stand_for_the_rest() -> None:
    async def main() -> None:
        brain, memory = Brain(), Memory(BUDGET)
        async with conversing(brain, memory) as caller:
            await typed_turns(caller, 12)
            await caller.pause(1000)
            for request in brain.asked:
                assert sum(map(tokens_of, request.messages)) <= BUDGET + 30, "and what was just said"
            assert brain.written >= 3
            assert memory.notes == NOTES
            assert brain.asked[-1].messages[0].text.endswith(NOTES)
            newest = [message.text for message in brain.asked[-1].messages if message.role == "user"]
            assert newest[-1].startswith("Here is number 11")
            assert len(caller.context()) == 24, "the conversation itself is whole"
            again = brain.asked_for_notes[1].messages[1].text
            assert again.startswith(f"Notes so far:\n{NOTES}\n\nConversation:\nUser: Here is number")
            assert brain.asked_for_notes[0].max_output_tokens

    run_virtual(main())


def test_no_reply_waits_for_notes_and_they_are_made_later() -> None:
    async def main() -> None:
        brain, memory = Brain(notes_s=30.0), Memory(BUDGET)
        async with conversing(brain, memory) as caller:
            await typed_turns(caller, 3)
            assert len(brain.asked_for_notes) == 1
            asked_at = caller.now
            caller.ask()
            await caller.until(lambda: caller.outlet.latest.first_audio_at and caller.outlet.latest.status is None)
            assert caller.now - asked_at < 1
            assert brain.written == 0
            await caller.answer()
            await caller.pause(40_000)
            assert (len(brain.asked_for_notes), brain.written) == (2, 1)

    run_virtual(main())


@pytest.mark.parametrize(
    "brain", [Brain(fails=True), Brain(notes="  "), Brain(notes_s=1000.0)], ids=["failed", "empty", "slow"]
)
def test_without_notes_the_oldest_turns_are_let_go(brain: Brain) -> None:
    async def main() -> None:
        memory = Memory(BUDGET)
        async with conversing(brain, memory) as caller:
            await typed_turns(caller, 4)
            await caller.pause(100_000)
            assert memory.notes == ""
            assert memory.covered
            await typed_turns(caller, 1)
            told = [message.text for message in brain.asked[-1].messages if message.role == "user"]
            assert not any(text.startswith("Here is number 0") for text in told[:-1])
            assert sum(map(tokens_of, brain.asked[-1].messages)) <= BUDGET

    run_virtual(main())


def test_a_client_may_want_everything_given() -> None:
    async def main() -> None:
        brain = Brain()
        async with conversing(brain, Memory(BUDGET)) as caller:
            caller.session.post(Configure(SessionSettings(reply=ReplySettings(whole_context=True))))
            for number in range(6):
                await caller.type(f"Here is number {number} of what I wanted to say to you today.", respond=False)
                caller.ask(ReplySettings(whole_context=True))
                await caller.answer()
                await caller.rest()
            assert len(brain.asked[-1].messages) == 11
            assert not brain.asked_for_notes

    run_virtual(main())


def test_a_brain_that_listens_is_asked_for_no_notes() -> None:
    async def main() -> None:
        brain = Brain()
        suite = replace(scripted_suite(tts="speed=50"), brain=brain)
        listening = SessionSettings(TurnSettings(paced=True, answers=Answers.LISTENING), transcription=True)
        async with call(suite, listening, memory=Memory(20)) as caller:
            for words in ("hello there", "and now", "once more"):
                await caller.say(words)
                await caller.answer()
                await caller.rest()
            await caller.pause(2000)
            assert len(caller.context()) == 6
            assert not brain.asked_for_notes

    run_virtual(main())


def test_one_that_cannot_summarize_is_not_asked_to() -> None:
    async def main() -> None:
        brain, memory, names = Brain(), Memory(BUDGET), []

        def never(model: str) -> bool:
            names.append(model)
            return False

        async with conversing(brain, memory, never) as caller:
            await typed_turns(caller, 5)
            assert not brain.asked_for_notes
            assert memory.covered
            assert set(names) == {"scripted:"}

    run_virtual(main())


def test_a_model_that_counts_is_believed() -> None:
    async def main() -> None:
        memory = Memory(100_000)
        brain = ScriptedBrain(answers=[count_to(5)])
        async with conversing(brain, memory) as caller:
            await typed_turns(caller, 1)
            request = brain.requests[-1]
            counted = sum(len(message.text.split()) for message in request.messages)
            estimated = sum(map(tokens_of, request.messages))
            assert memory.scale == pytest.approx(counted / estimated)

    run_virtual(main())


def test_a_session_that_ends_waits_for_no_notes() -> None:
    async def main() -> None:
        brain = Brain(notes_s=500.0)
        async with conversing(brain, Memory(BUDGET)) as caller:
            await typed_turns(caller, 4)
            assert brain.asked_for_notes
            ended_at = caller.now
        assert asyncio.get_running_loop().time() - ended_at < 1

    run_virtual(main())
