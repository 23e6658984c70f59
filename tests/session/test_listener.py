"""Conversations with a brain that listens, on virtual time: when it reads, when it speaks, what it takes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from antiphon.core.actions import State
from antiphon.core.commands import CommitBuffer, Configure, CreateItem
from antiphon.core.conversation import Item
from antiphon.core.settings import (
    Answers,
    Detection,
    ListeningSettings,
    ReplySettings,
    SessionSettings,
    TurnSettings,
)
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message
from antiphon.engines.suite import Suite
from antiphon.errors import EngineError
from antiphon.session.recording import Archive
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.replay import replay
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual

Rule = Callable[[str, Sequence[Message]], str]

TURN = TurnSettings(paced=True, answers=Answers.LISTENING, silence_duration_ms=500)


def settings_of(turn: TurnSettings = TURN, **listening: object) -> SessionSettings:
    chosen = ListeningSettings(**({"wait_k": 2, "speak_tool": True} | listening))  # type: ignore[arg-type]
    return SessionSettings(turn, ReplySettings(), chosen, transcription=True)


def suite_of(rule: Rule, **speeds: float) -> tuple[Suite, RuleBrain]:
    """``rule`` gets what was heard since the brain wrote last, and the whole context but for what it was told."""

    def write(messages: Sequence[Message]) -> str:
        known = [message for message in messages if message.role != "system"]
        return rule(known[-1].text if known and known[-1].role == "user" else "", known)

    brain = RuleBrain(write, **speeds)
    return replace(scripted_suite(), brain=brain), brain


def when(**answers: str) -> Rule:
    """Writes an answer where the words that were heard last end so; ``_`` stands for a space. Else it yields."""

    def rule(heard: str, _: Sequence[Message]) -> str:
        found = (text for words, text in answers.items() if heard.endswith(words.replace("_", " ")))
        return next(found, "")

    return rule


def spoken(caller: Caller) -> list[str]:
    return [reply.transcript for reply in caller.outlet]


def told(caller: Caller, name: str) -> list[str]:
    return [each.args[0] for each in caller.outlet.named(name)]


def test_it_answers_when_it_wants_to_and_is_ready_before_the_turn_ends() -> None:
    async def main() -> None:
        suite, brain = suite_of(when(time_is_it="<speak>It is noon.</speak>"))
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me what time is it")
            ended_at = caller.now
            answer = await caller.answer()
            assert answer.status == "completed"
            assert answer.first_audio_at is not None
            assert 0.2 <= answer.first_audio_at - ended_at < 0.35  # the shorter silence, and nothing else
            assert caller.context() == [("user", "tell me what time is it"), ("assistant", "It is noon.")]
            await caller.rest()
            assert brain.running == 0

    run_virtual(main())


def test_who_is_not_addressed_stays_silent() -> None:
    async def main() -> None:
        suite, brain = suite_of(lambda heard, _: "Not for me. " if heard.endswith("[silence]") else "")
        async with call(suite, settings_of(thoughts=True)) as caller:
            await caller.say("honey have you seen my keys anywhere")
            await caller.until(lambda: caller.outlet.named("thought"))
            await caller.pause(3000)
            assert not caller.outlet.replies
            assert caller.outlet.current_state is State.IDLE
            assert "".join(told(caller, "thought")) == "Not for me. "
            assert brain.requests < 8

    run_virtual(main())


def test_what_it_wanted_to_say_is_void_when_the_user_goes_on() -> None:
    contexts: list[str] = []

    def rule(heard: str, messages: Sequence[Message]) -> str:
        contexts.append(" | ".join(message.text for message in messages))
        return "<speak>Very well.</speak>" if heard.endswith(("ticket", "evening", "morning")) else ""

    async def main() -> None:
        suite, _ = suite_of(rule)
        async with call(suite, settings_of()) as caller:
            await caller.say("book me a ticket")
            await caller.say("for this evening", after_ms=150)
            await caller.say("no for tomorrow morning", after_ms=150)
            answer = await caller.answer()
            await caller.rest()
            assert answer.status == "completed"
            assert list(caller.outlet.replies) == [answer.id]
            assert caller.context()[0] == ("user", "book me a ticket for this evening no for tomorrow morning")
        assert not any("Very well" in context for context in contexts)  # it was taken back each time

    run_virtual(main())


def test_a_sound_without_words_puts_the_answer_off_and_no_more() -> None:
    async def main() -> None:
        suite, _ = suite_of(when(time_is_it="<speak>It is noon.</speak>"))
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me what time is it")
            await caller.pause(120)
            await caller.cough(250)
            await caller.answer()
            assert spoken(caller) == ["It is noon."]

    run_virtual(main())


def test_thoughts_are_private_and_stay_in_its_mind() -> None:
    contexts: list[Sequence[Message]] = []

    def rule(heard: str, messages: Sequence[Message]) -> str:
        contexts.append(messages)
        return "She asks me. <speak>It is noon.</speak> Done." if "time" in heard else ""

    async def main() -> None:
        suite, _ = suite_of(rule)
        async with call(suite, settings_of()) as caller:
            await caller.say("what is the time")
            await caller.answer()
            await caller.say("thank you so much", after_ms=300)
            await caller.pause(2000)
            assert spoken(caller) == ["It is noon."]
            assert told(caller, "thought") == []
            assert [(m.role, m.text) for m in contexts[-1][:2]] == [
                ("user", "what is the time"),
                ("assistant", "She asks me. <speak>It is noon.</speak> Done."),
            ]

    run_virtual(main())


LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"


def test_after_an_interruption_its_mind_holds_the_words_that_were_heard() -> None:
    contexts: list[Sequence[Message]] = []

    def rule(heard: str, messages: Sequence[Message]) -> str:
        contexts.append(messages)
        return f"<speak>{LONG}</speak> So." if heard.endswith("a story") else ""

    async def main() -> None:
        suite, _ = suite_of(rule)
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me a story")
            await caller.hears("six")
            await caller.say("no stop that please")
            cut = await caller.answer()
            await caller.pause(2000)
            assert (cut.status, cut.reason) == ("cancelled", "turn_detected")
            heard = caller.context()[1][1]
            assert LONG.startswith(heard)
            assert 5 <= len(heard.split()) <= 7
            said = contexts[-1][1]
            assert said == Message("assistant", f"<speak>{heard}</speak> So.")
            assert contexts[-1][2] == Message("user", "no stop that please [silence]")

    run_virtual(main())


def test_it_stops_itself_when_it_hears_that_it_should() -> None:
    async def main() -> None:
        suite, _ = suite_of(when(a_story=f"<speak>{LONG}</speak>", to_stop="</speak>"))
        turn = replace(TURN, interrupt_response=False)
        async with call(suite, settings_of(turn)) as caller:
            await caller.say("tell me a story")
            await caller.hears("four")
            await caller.say("now i want you to stop")
            ended_at = caller.now
            cut = await caller.answer()
            assert cut.status == "cancelled"
            assert cut.last_audio_at is not None
            assert cut.last_audio_at - ended_at < 0.4
            assert caller.context()[1][1] != LONG

    run_virtual(main())


def test_on_a_change_of_topic_it_stops_and_speaks_again() -> None:
    async def main() -> None:
        answers = when(a_story=f"<speak>{LONG}</speak>", the_weather="<stop_speaking><speak>It rains.</speak>")
        suite, _ = suite_of(answers)
        turn = replace(TURN, interrupt_response=False)
        async with call(suite, settings_of(turn)) as caller:
            await caller.say("tell me a story")
            await caller.hears("four")
            await caller.say("forget it how is the weather")
            first, second = await caller.answer(), await caller.answer()
            assert (first.status, second.status) == ("cancelled", "completed")
            assert second.transcript == "It rains."

    run_virtual(main())


def test_a_second_thing_to_say_waits_for_the_first() -> None:
    async def main() -> None:
        both = "<speak>one two three.</speak> And <speak>four five.</speak></speak> <speak>six.</speak>"
        suite, _ = suite_of(when(a_story=both))
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me a story")
            answers = [await caller.answer() for _ in range(3)]
            assert [answer.status for answer in answers] == ["completed"] * 3
            assert spoken(caller) == ["one two three.", "four five.", "six."]
            ends = [answer.last_audio_at for answer in answers]
            begins = [answer.first_audio_at for answer in answers]
            assert all(end and begin and end < begin for end, begin in zip(ends, begins[1:], strict=False))

    run_virtual(main())


def test_what_it_says_against_the_user_ends_with_its_sentence() -> None:
    async def main() -> None:
        story = " ".join(f"this is sentence number {n}." for n in range(30))
        suite, _ = suite_of(when(a_story=f"<speak>{story}</speak>"), token_ms=60.0)
        turn = replace(TURN, interrupt_response=False)
        async with call(suite, settings_of(turn)) as caller:
            await caller.say("tell me a story")
            await caller.hears("number 1")
            await caller.say("oh i know that one already")
            answer = await caller.answer()
            assert answer.status == "completed"
            assert answer.transcript.endswith(".")
            assert len(answer.transcript) < len(story) / 2

    run_virtual(main())


def test_a_nod_lets_it_go_on_and_is_not_heard() -> None:
    async def main() -> None:
        suite, brain = suite_of(when(a_story=f"<speak>{LONG}</speak>"))
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me a story")
            await caller.hears("four")
            asked = brain.requests
            await caller.say("yeah")
            answer = await caller.answer()
            await caller.pause(1000)
            assert answer.status == "completed"
            assert brain.requests == asked

    run_virtual(main())


def test_a_nod_does_not_shorten_what_is_still_being_written() -> None:
    async def main() -> None:
        story = " ".join(f"this is sentence number {n}." for n in range(12))
        suite, brain = suite_of(when(a_story=f"<speak>{story}</speak>"), token_ms=60.0)
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me a story")
            await caller.hears("number 1")
            assert brain.running == 1
            await caller.say("yeah")
            answer = await caller.answer()
            assert (answer.status, answer.transcript) == ("completed", story)

    run_virtual(main())


def test_a_recorded_session_decides_the_same_again(tmp_path: Path) -> None:
    async def main() -> None:
        suite, _ = suite_of(when(a_story=f"<speak>{LONG}</speak>", weather="Hm. <speak>It rains.</speak>"))
        archive = Archive(tmp_path)
        async with call(suite, settings_of(), recorder=archive.recorder("one")) as caller:
            await caller.say("tell me a story")
            await caller.hears("four")
            await caller.say("no stop how is the weather")
            await caller.answer()
            await caller.answer()
        archive.close()

    run_virtual(main())
    report = replay(tmp_path / "one.jsonl")
    assert report.identical
    assert report.complete
    assert report.broken_rule is None


def test_without_the_tool_all_that_it_writes_is_let_out_at_the_end_of_the_turn() -> None:
    async def main() -> None:
        suite, brain = suite_of(lambda heard, _: f"You said {len(heard.split())} words.")
        async with call(suite, settings_of(speak_tool=False, wait_k=3)) as caller:
            await caller.say("tell me how many words this is")
            ended_at = caller.now
            answer = await caller.answer()
            assert answer.transcript == "You said 7 words."
            assert answer.first_audio_at is not None
            assert answer.first_audio_at - ended_at < 0.35
            assert brain.requests >= 5  # it wrote to each word from the third on, and threw that away
            assert len(caller.outlet.replies) == 1

    run_virtual(main())


def test_who_yields_at_the_end_too_is_asked_once_more_and_left_in_peace() -> None:
    async def main() -> None:
        suite, brain = suite_of(lambda heard, _: "")
        async with call(suite, settings_of(speak_tool=False, wait_k=3)) as caller:
            await caller.say("tell me how many words this is")
            await caller.pause(3000)
            assert not caller.outlet.replies
            assert brain.requests <= 5

    run_virtual(main())


@pytest.mark.parametrize("speak_tool", [False, True])
def test_a_noise_over_an_answer_that_nobody_has_heard_puts_it_off_and_no_more(speak_tool: bool) -> None:
    """The answer was let out in a pause, and cut before its first sound by what the recognizer found no words in."""
    text = "<speak>It is noon.</speak>" if speak_tool else "It is noon."

    async def main() -> None:
        brain = RuleBrain(lambda messages: text if "time" in str(messages[1:] or messages) else "")
        suite = replace(scripted_suite(tts="first_audio_ms=1200"), brain=brain)
        async with call(suite, settings_of(speak_tool=speak_tool, wait_k=3)) as caller:
            await caller.say("tell me the time")
            await caller.until(lambda: caller.outlet.replies)
            await caller.cough(2500)
            async with asyncio.timeout(10):
                cut, answer = await caller.answer(), await caller.answer()
            assert (cut.status, cut.reason, cut.first_audio_at) == ("cancelled", "turn_detected", None)
            assert (answer.status, answer.transcript) == ("completed", "It is noon.")
            await caller.pause(3000)
            assert len(caller.outlet.replies) == 2
            said = caller.session.brain
            assert said is not None
            assert [message.role for message in said.mind.messages()] == ["user", "assistant"]

    run_virtual(main())


def test_what_the_client_has_cancelled_is_not_said_again() -> None:
    async def main() -> None:
        brain = RuleBrain(lambda messages: "It is noon." if "time" in messages[-1].text else "")
        suite = replace(scripted_suite(tts="first_audio_ms=1200"), brain=brain)
        async with call(suite, settings_of(speak_tool=False, wait_k=3)) as caller:
            await caller.say("tell me the time")
            await caller.until(lambda: caller.outlet.replies)
            caller.cancel()
            await caller.cough(2500)
            await caller.pause(3000)
            (only,) = caller.outlet
            assert (only.status, only.reason) == ("cancelled", "client_cancelled")

    run_virtual(main())


WEATHER = '<tool_call>{"name": "weather", "arguments": {"at": "home"}}</tool_call>'


def test_a_function_is_called_when_the_turn_is_certain_and_its_result_is_spoken() -> None:
    contexts: list[Sequence[Message]] = []

    def rule(heard: str, messages: Sequence[Message]) -> str:
        contexts.append(messages)
        if messages[-1].role == "tool":
            return f"Good. <speak>It is {messages[-1].text}.</speak>"
        return f"<speak>One moment.</speak>{WEATHER}" if heard.endswith("the weather") else ""

    async def main() -> None:
        suite, _ = suite_of(rule)
        async with call(suite, settings_of()) as caller:
            await caller.say("how is the weather")
            ended_at = caller.now
            said, called = await caller.answer(), await caller.answer()
            assert said.transcript == "One moment."
            ((call_id, (name, arguments)),) = called.calls.items()
            assert (name, arguments) == ("weather", '{"at": "home"}')
            assert called.created_at >= ended_at
            item = Item(caller.session.ids.item(), "function_call_output", call_id=call_id, output="sunny")
            caller.session.post(CreateItem(item))
            caller.ask()
            answer = await caller.answer()
            assert answer.transcript == "It is sunny."
            await caller.say("thank you so much")
            await caller.pause(2000)
            roles = [(m.role, m.text or m.name) for m in contexts[-1]]
            assert roles[1:4] == [
                ("assistant", "<speak>One moment.</speak>"),
                ("assistant", "weather"),
                ("tool", "sunny"),
            ]
            assert roles[4] == ("assistant", "It is sunny.")

    run_virtual(main())


class Failing(RuleBrain):
    """Fails as often as it is told, and then no more."""

    failures = 100

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        async with aclosing(super().respond(request)) as deltas:
            async for delta in deltas:
                if self.failures:
                    self.failures -= 1
                    raise EngineError("the model is out of order")
                yield delta


def test_a_failure_is_told_and_the_next_turn_is_answered() -> None:
    async def main() -> None:
        brain = Failing(lambda messages: "<speak>It is noon.</speak>" if "time" in messages[-1].text else "")
        async with call(replace(scripted_suite(), brain=brain), settings_of()) as caller:
            await caller.say("what time is it")
            failed = await caller.answer()
            assert (failed.status, failed.error) == ("failed", "the model is out of order")
            brain.failures = 0
            await caller.say("so what is the time", after_ms=1000)
            assert (await caller.answer()).status == "completed"

    run_virtual(main())


@pytest.mark.parametrize("detection", [Detection.MANUAL, Detection.SERVER])
def test_where_the_client_decides_it_does_not_speak_by_itself(detection: Detection) -> None:
    async def main() -> None:
        suite, _ = suite_of(lambda heard, _: "Hm. <speak>It is noon.</speak> So.")
        turn = replace(TURN, detection=detection, create_response=False)
        async with call(suite, settings_of(turn)) as caller:
            await caller.say("what time is it")
            if detection is Detection.MANUAL:
                caller.session.post(CommitBuffer())
            await caller.until(lambda: caller.outlet.transcripts)
            await caller.pause(2000)
            assert not caller.outlet.replies
            caller.ask()
            answer = await caller.answer()
            assert answer.transcript == "It is noon."
            await caller.rest()

    run_virtual(main())


class Attentive(RuleBrain):
    """Reads ahead."""

    reads = 0

    async def read(self, request: BrainRequest) -> Finish:
        self.reads += 1
        return Finish("stop", 10, 0, 5)


def test_a_brain_that_can_reads_each_word_as_it_comes() -> None:
    async def main() -> None:
        brain = Attentive(lambda messages: "<speak>Well.</speak>" if messages[-1].text.endswith("[silence]") else "")
        async with call(replace(scripted_suite(), brain=brain), settings_of(wait_k=7)) as caller:
            await caller.say("listen carefully because there will be")
            await caller.answer()
            assert 3 <= brain.reads <= 6
            assert brain.requests == 2
            listening = caller.session.brain
            assert listening is not None
            assert listening.heard_words == 6
            assert listening.usage.cached_tokens >= 5 * brain.reads

    run_virtual(main())


def test_it_can_begin_and_cease_to_listen_in_mid_session() -> None:
    async def main() -> None:
        suite, _ = suite_of(lambda heard, messages: f"<speak>I know {len(messages)} messages.</speak>")
        async with call(suite, settings_of(replace(TURN, answers=Answers.TURN))) as caller:
            await caller.say("first question")
            assert (await caller.answer()).transcript == "<speak>I know 1 messages.</speak>"
            caller.session.post(Configure(settings_of()))
            await caller.say("second question", after_ms=500)
            assert (await caller.answer()).transcript == "I know 3 messages."
            caller.session.post(Configure(settings_of(replace(TURN, answers=Answers.TURN))))
            await caller.say("third question", after_ms=500)
            assert (await caller.answer()).transcript == "<speak>I know 5 messages.</speak>"

    run_virtual(main())


@pytest.mark.parametrize("after_ms", [0, 60, 150, 250, 600])
def test_hanging_up_ends_its_writing(after_ms: int) -> None:
    async def main() -> None:
        suite, brain = suite_of(when(a_story=f"<speak>{LONG}</speak>"))
        async with call(suite, settings_of()) as caller:
            await caller.say("tell me a story")
            await caller.pause(after_ms)
        assert brain.running == 0
        assert not caller.outlet.live

    run_virtual(main())
