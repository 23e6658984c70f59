"""A brain made to listen: what it is asked, and when it may write."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace

from antiphon.core.settings import ListeningSettings, ReplySettings, Tool
from antiphon.core.speech import Message
from antiphon.core.writing import HOW_TO_SPEAK, Event, Said, SpeakBegan, SpeakEnded, Thought
from antiphon.ids import ItemId, TurnId
from antiphon.session.listening import ListeningBrain
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual

TURN = TurnId(ItemId("turn_1"))
REPLY = ReplySettings(instructions="Be brief.", tools=(Tool("weather"),))


def brain_that_writes(text: str, **settings: object) -> ListeningBrain:
    chosen = ListeningSettings(**({"wait_k": 3} | settings))  # type: ignore[arg-type]
    return ListeningBrain(RuleBrain(lambda messages: text), chosen)


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def test_it_is_asked_about_all_that_it_knows() -> None:
    brain = brain_that_writes("")
    brain.begin()
    brain.hear(TURN, words("how is it"), "Ada")
    request = brain.request(REPLY)
    assert request.messages == (Message("system", "Be brief."), Message("user", "[Ada]: how is it"))
    assert [tool.name for tool in request.tools] == ["weather"]
    assert brain.request(replace(REPLY, model="large")).model == "large"
    assert brain.name(REPLY) == "rule:"
    brain = brain_that_writes("", speak_tool=True)
    assert [tool.name for tool in brain.request(REPLY).tools] == ["speak", "stop_speaking", "weather"]
    silent = brain.request(replace(REPLY, tool_choice="none"))
    assert [tool.name for tool in silent.tools] == ["speak", "stop_speaking"]
    assert silent.tool_choice == "auto"
    assert silent.messages == (Message("system", "Be brief.\n\n" + HOW_TO_SPEAK),)
    assert brain.request(ReplySettings()).messages == (Message("system", HOW_TO_SPEAK),)


def test_it_writes_k_words_behind_and_to_the_end_when_the_source_is_closed() -> None:
    async def main() -> None:
        brain = brain_that_writes("one two three four five six")
        brain.begin()
        brain.hear(TURN, words("a b c d"))
        written: list[Event] = []

        async def write() -> None:
            async with aclosing(brain.write(ReplySettings())) as events:
                async for event in events:
                    written.append(event)  # noqa: PERF401 (they are looked at in between)

        def said() -> str:
            return "".join(event.text for event in written if isinstance(event, Said))

        writing = asyncio.ensure_future(write())
        await asyncio.sleep(10)
        assert said().split() == ["one", "two"]
        brain.hear(TURN, words("e"))
        await asyncio.sleep(10)
        assert said().split() == ["one", "two", "three"]
        brain.close()
        await writing
        assert said() == "one two three four five six"
        assert (type(written[0]), type(written[-1])) == (SpeakBegan, SpeakEnded)

    run_virtual(main())


def test_what_it_begins_in_silence_runs_to_its_end() -> None:
    async def main() -> None:
        brain = brain_that_writes("one two three four five six")
        brain.hear(TURN, words("a b c d"))
        async with aclosing(brain.write(ReplySettings())) as events:
            await anext(events)
            brain.begin()
            written = [event async for event in events]
        assert "".join(event.text for event in written if isinstance(event, Said)) == "one two three four five six"

    run_virtual(main())


def test_it_waits_for_k_more_words_where_it_had_nothing_to_say() -> None:
    brain = brain_that_writes("")
    brain.begin()
    brain.hear(TURN, words("a b c"))
    assert brain.policy.may_write()
    brain.ended()
    brain.hear(TURN, words("d e"))
    assert not brain.policy.may_write()
    brain.hear(TURN, words("f"))
    assert brain.policy.may_write()
    brain.retract(TURN, 1)
    assert not brain.policy.may_write()
    assert (brain.heard_words, brain.retracted_words) == (6, 1)


def test_what_is_broken_off_is_closed() -> None:
    async def main() -> None:
        brain = brain_that_writes("He asks. <speak>one two three", speak_tool=True)
        brain.close()
        events: list[Event] = []
        async with aclosing(brain.write(REPLY)) as writing:
            async for event in writing:
                events.append(event)
                if isinstance(event, Said):
                    break
        assert brain.break_off() == [SpeakEnded("")]
        assert "".join(event.text for event in events if isinstance(event, Thought)) == "He asks. "

    run_virtual(main())


def test_it_counts_what_was_read_and_written() -> None:
    async def main() -> None:
        brain = brain_that_writes("one two")
        for _ in range(2):
            brain.hear(TURN, words("a b c"))
            async with aclosing(brain.write(ReplySettings())) as events:
                _ = [event async for event in events]
        assert brain.usage.output_tokens == 4
        assert brain.usage.input_tokens > brain.usage.cached_tokens > 0

    run_virtual(main())
