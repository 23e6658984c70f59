"""Conversations with a brain that takes what the user said as audio."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from antiphon.apps.metrics import Metrics
from antiphon.audio import EAR_RATE_HZ
from antiphon.core.commands import Configure, CreateItem
from antiphon.core.conversation import Item
from antiphon.core.settings import ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import BrainRequest, Message
from antiphon.engines import tone_code
from antiphon.engines.brains import MultiBrain
from antiphon.engines.scripted import BrainOptions, ScriptedBrain
from antiphon.engines.suite import Suite
from antiphon.sim.caller import call, scripted_suite
from antiphon.sim.virtual_time import run_virtual

PAIRED = SessionSettings(turn=TurnSettings(paced=True), transcription=True)


def hearing_suite(llm: str = "", asr: str = "final_ms=2000") -> Suite:
    """The recognizer beside the brain takes two seconds: an answer that waits for it is late."""
    return scripted_suite(llm=f"hears=1,first_token_ms=20,token_ms=5{llm}", asr=asr, tts="first_audio_ms=10")


def requests(suite: Suite) -> list[BrainRequest]:
    assert isinstance(suite.brain, ScriptedBrain)
    return list(suite.brain.requests)


def said_in(message: Message) -> str:
    assert message.audio is not None
    return tone_code.decode(message.audio)


def test_the_answer_waits_for_no_recognizer_and_the_words_come_later() -> None:
    async def main() -> None:
        suite = hearing_suite()
        async with call(suite) as caller:
            await caller.say("echo good morning")
            ended_at = caller.now
            answer = await caller.answer()
            assert answer.first_audio_at is not None
            assert answer.first_audio_at - ended_at < 0.3
            assert answer.transcript == "good morning"
            await caller.until(lambda: caller.outlet.transcripts)
            assert list(caller.outlet.transcripts.values()) == ["echo good morning"]
            await caller.say("repeat")
            assert (await caller.answer()).transcript == "good morning"
            await caller.rest()
        assert [said_in(message) for message in requests(suite)[-1].messages if message.role == "user"] == [
            "echo good morning",
            "repeat",
        ]

    run_virtual(main())


def test_a_brain_that_does_not_hear_gets_no_audio() -> None:
    async def main() -> None:
        suite = scripted_suite()
        async with call(suite) as caller:
            await caller.say("echo good morning")
            await caller.answer()
        assert [message.audio for request in requests(suite) for message in request.messages] == [None]

    run_virtual(main())


def test_speech_that_goes_on_throws_away_what_was_begun() -> None:
    async def main() -> None:
        suite = hearing_suite()
        async with call(suite) as caller:
            await caller.say("echo good")
            await caller.say("morning", after_ms=150)
            answer = await caller.answer()
            await caller.rest()
            assert answer.transcript == "good morning"
            assert len(caller.outlet.replies) == 1
        assert [said_in(request.messages[-1]) for request in requests(suite)] == ["echo good", "echo good morning"]

    run_virtual(main())


def test_an_interruption_cuts_to_what_was_heard() -> None:
    async def main() -> None:
        suite = hearing_suite(",tokens=60", asr="")
        async with call(suite) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await caller.say("no stop that please")
            cut = await caller.answer()
            assert (cut.status, cut.reason) == ("cancelled", "turn_detected")
            await caller.answer()
        heard = next(message.text for message in requests(suite)[-1].messages if message.role == "assistant")
        assert heard.startswith("one two three")
        assert "twenty" not in heard

    run_virtual(main())


def test_a_failing_recognizer_does_not_keep_the_brain_from_answering() -> None:
    async def main() -> None:
        async with call(hearing_suite(asr="fail_rate=1")) as caller:
            await caller.say("echo good morning")
            assert (await caller.answer()).transcript == "good morning"

    run_virtual(main())


def test_a_cough_is_not_answered_when_the_recognizer_beside_is_quick() -> None:
    async def main() -> None:
        async with call(hearing_suite(asr="")) as caller:
            await caller.cough()
            await caller.pause(2000)
            assert not caller.outlet.replies

    run_virtual(main())


def test_the_silence_of_the_user_is_not_played_to_the_brain() -> None:
    async def main() -> None:
        suite = hearing_suite(asr="")
        settings = SessionSettings(turn=TurnSettings(paced=True, idle_timeout_ms=1000))
        async with call(suite, settings) as caller:
            await caller.say("echo good morning")
            await caller.answer()
            await caller.answer()
        asked = requests(suite)[1].messages
        assert [message.role for message in asked] == ["user", "assistant"]

    run_virtual(main())


def test_older_turns_are_read_by_their_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.session.items.HEARD_S", 3.0)

    async def main() -> None:
        suite = hearing_suite(asr="")
        async with call(suite) as caller:
            for words in ("echo one", "echo two and some more words to fill the time", "echo three"):
                await caller.say(words, after_ms=500)
                await caller.answer()
                await caller.rest()
        first, *later = (message for message in requests(suite)[-1].messages if message.role == "user")
        assert (first.text, first.audio) == ("echo one", None)
        assert said_in(later[-1]) == "echo three"

    run_virtual(main())


def test_of_a_very_long_turn_the_brain_hears_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.session.utterance._HEARD_BYTES", 3 * EAR_RATE_HZ * 2)
    monkeypatch.setattr("antiphon.session.utterance.KEPT_BYTES", EAR_RATE_HZ * 2)

    async def main() -> None:
        suite = hearing_suite(asr="")
        async with call(suite) as caller:
            await caller.say("once upon a time there was a very long story and then echo the end")
            await caller.answer()
        [message] = requests(suite)[-1].messages
        assert message.audio is not None
        assert len(message.audio) <= 4 * EAR_RATE_HZ * 2
        assert said_in(message).endswith("echo the end")
        assert message.text.startswith("once upon")

    run_virtual(main())


def test_audio_that_a_client_puts_in_is_heard_at_once() -> None:
    async def main() -> None:
        suite = hearing_suite()
        async with call(suite, PAIRED) as caller:
            pcm = tone_code.encode("echo from a file", EAR_RATE_HZ)
            item = Item(caller.session.ids.item(), "message", "user", audio=True, pcm=pcm)
            began_at = caller.now
            caller.session.post(CreateItem(item))
            caller.ask()
            answer = await caller.answer()
            assert answer.transcript == "from a file"
            assert answer.first_audio_at is not None
            assert answer.first_audio_at - began_at < 0.2

    run_virtual(main())


class Slow(ScriptedBrain):
    """Takes its time to load."""

    async def load(self) -> None:
        await asyncio.sleep(5.0)


def mixed_suite(hearing: ScriptedBrain, asr: str = "final_ms=2000") -> tuple[Suite, ScriptedBrain]:
    """A default that reads, and beside it one that hears."""
    reading = ScriptedBrain.from_options("first_token_ms=20,token_ms=5")
    brain = MultiBrain({"reading": reading, "hearing": hearing})
    return replace(scripted_suite(asr=asr, tts="first_audio_ms=10"), brain=brain), reading


def by(model: str) -> SessionSettings:
    return SessionSettings(turn=TurnSettings(paced=True), reply=ReplySettings(model=model), transcription=True)


def test_of_several_the_one_that_can_hear_hears_from_the_moment_it_is_chosen() -> None:
    async def main() -> None:
        hearing = ScriptedBrain.from_options("hears=1,first_token_ms=20,token_ms=5")
        suite, reading = mixed_suite(hearing)
        assert isinstance(suite.brain, MultiBrain)
        await suite.brain.load()
        async with call(suite, by("")) as caller:
            await caller.say("echo by words")
            ended_at = caller.now
            words = await caller.answer()
            assert words.first_audio_at is not None
            assert words.first_audio_at - ended_at > 2.0, "it waits for the recognizer"
            await caller.rest()
            caller.session.post(Configure(by("hearing")))
            await caller.say("echo by ear")
            ended_at = caller.now
            heard = await caller.answer()
            assert heard.transcript == "by ear"
            assert heard.first_audio_at is not None
            assert heard.first_audio_at - ended_at < 0.3
            await caller.rest()
            caller.session.post(Configure(by("")))
            await caller.say("repeat")
            assert (await caller.answer()).transcript == "by ear"
        assert [message.audio for request in reading.requests for message in request.messages] == [None] * 6
        [request] = hearing.requests
        assert said_in(request.messages[-1]) == "echo by ear"

    run_virtual(main())


def test_while_one_that_hears_is_loaded_the_one_that_reads_gets_the_words() -> None:
    async def main() -> None:
        hearing = Slow(BrainOptions.parse("hears=1,first_token_ms=20,token_ms=5"))
        suite, reading = mixed_suite(hearing)
        assert isinstance(suite.brain, MultiBrain)
        await suite.brain.prepare("reading")
        async with call(suite, by("")) as caller:
            caller.session.post(Configure(by("hearing")))
            await caller.say("echo good morning")
            assert (await caller.answer()).transcript == "good morning"
            [request] = reading.requests
            assert [(each.text, each.audio) for each in request.messages] == [("echo good morning", None)]
            await caller.pause(5000)
            await caller.say("echo good night")
            assert (await caller.answer()).transcript == "good night"
        assert said_in(hearing.requests[-1].messages[-1]) == "echo good night"

    run_virtual(main())


def test_how_quick_it_was_is_told_as_it_was_heard() -> None:
    async def main() -> None:
        metrics = Metrics()
        suite = hearing_suite(",first_token_ms=300,tokens=40", asr="")
        async with call(suite, meter=metrics) as caller:
            await caller.say("tell me something")
            ended_at = caller.now
            await caller.hears("eight")
            began_at = await caller.say("no stop that please")
            answer = await caller.answer()
            assert answer.first_audio_at is not None
            assert answer.last_audio_at is not None
            shown = metrics.streaming.shown()
        silent_ms = (answer.last_audio_at - began_at) * 1000
        assert shown["perceived_latency"]["avg_ms"] == pytest.approx((answer.first_audio_at - ended_at) * 1000, abs=25)
        assert shown["first_word_latency"]["avg_ms"] > 150, "it was asked at some 100 ms of 200 ms of silence"
        assert 10 <= shown["word_to_audio_latency"]["avg_ms"] < 60
        assert shown["interruption_response_time"]["avg_ms"] == pytest.approx(silent_ms, abs=45)

    run_virtual(main())
