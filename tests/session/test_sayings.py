"""What becomes of what a listening brain says, in whole sessions: cut, and forgotten."""

from __future__ import annotations

from dataclasses import replace

from antiphon.core.commands import DeleteItem
from antiphon.core.settings import Answers, ListeningSettings, ReplySettings, SessionSettings, TurnSettings
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual

STORY = "one two three four five six seven eight nine ten eleven twelve"
SETTINGS = SessionSettings(
    TurnSettings(paced=True, answers=Answers.LISTENING, silence_duration_ms=500),
    ReplySettings(),
    ListeningSettings(wait_k=2),
    transcription=True,
)


def said_by_it(caller: Caller) -> list[str]:
    """As its mind has it."""
    brain = caller.session.brain
    assert brain is not None
    return [message.text for message in brain.mind.messages() if message.role == "assistant"]


def test_a_cut_leaves_the_words_that_were_heard_and_a_deleted_item_none() -> None:
    async def main() -> None:
        suite = replace(scripted_suite(), brain=RuleBrain(lambda messages: STORY if len(messages) == 1 else ""))
        async with call(suite, SETTINGS) as caller:
            await caller.say("tell me a story")
            await caller.hears("five")
            await caller.say("stop that now please")
            cut = await caller.answer()
            await caller.pause(1000)
            assert cut.status == "cancelled"
            (heard,) = said_by_it(caller)
            assert "four" in heard
            assert STORY.startswith(heard)
            item = next(item for item in caller.session.conversation if item.role == "assistant")
            caller.session.post(DeleteItem(item.id))
            await caller.pause(20)
            assert said_by_it(caller) == []

    run_virtual(main())
