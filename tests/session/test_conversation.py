"""Whole conversations on virtual time: a real session, scripted engines, a scripted caller."""

from __future__ import annotations

import itertools

import pytest

from antiphon.core.actions import State
from antiphon.core.commands import CreateReply
from antiphon.core.settings import ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import Message
from antiphon.engines.scripted import ScriptedBrain, count_to
from antiphon.session.reply_context import NOT_UNDERSTOOD
from antiphon.sim.caller import Caller, call, noise, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.virtual_time import run_virtual

FRAME_S = 0.02


def stripped(text: str) -> list[str]:
    return text.replace(",", "").replace(".", "").split()


def gaps_s(caller: Caller, reply: HeardReply) -> list[float]:
    """The times between the frames of a reply."""
    times = [each.at for each in caller.outlet.named("reply_audio") if each.args[0] == reply.id]
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.mark.parametrize("paced", [True, False])
def test_a_question_is_answered(paced: bool) -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=12"), paced=paced) as caller:
            await caller.say("tell me something")
            answer = await caller.answer()
            await caller.rest()
            assert answer.status == "completed"
            assert stripped(answer.transcript) == stripped(count_to(12))
            assert [word.strip(",.") for word in answer.spoken_words()] == stripped(count_to(12))
            assert caller.context() == [("user", "tell me something"), ("assistant", count_to(12))]
            assert list(caller.outlet.transcripts.values()) == ["tell me something"]

    run_virtual(main())


def test_the_answer_starts_as_soon_as_the_stated_times_allow() -> None:
    """200 ms of silence and no more: brain and voice have worked ahead in it."""

    async def main() -> None:
        async with call(scripted_suite(llm="first_token_ms=20,token_ms=5", tts="first_audio_ms=10")) as caller:
            await caller.say("tell me something")
            ended_at = caller.now
            answer = await caller.answer()
            assert answer.first_audio_at is not None
            assert 0.2 <= answer.first_audio_at - ended_at < 0.3

    run_virtual(main())


def test_paced_audio_goes_out_frame_by_frame() -> None:
    async def main() -> None:
        async with call() as caller:
            await caller.say("tell me something")
            answer = await caller.answer()
            assert max(gaps_s(caller, answer)) == pytest.approx(FRAME_S)
            assert min(gaps_s(caller, answer)[1:]) == pytest.approx(FRAME_S)

    run_virtual(main())


def test_an_interruption_leaves_the_words_that_were_played_and_no_other() -> None:
    async def main() -> None:
        async with call() as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            began_at = await caller.say("no stop that please")
            cut = await caller.answer()
            assert (cut.status, cut.reason) == ("cancelled", "turn_detected")
            assert cut.last_audio_at is not None
            assert cut.last_audio_at - began_at < 0.15  # paused within the VAD's edge and a frame
            heard = [word.strip(",.") for word in cut.spoken_words()]
            await caller.say("repeat", after_ms=3000)
            answers = [await caller.answer(), await caller.answer()]
            context = caller.context()
            said = stripped(context[1][1])
            assert context[0] == ("user", "tell me something")
            assert said == heard[: len(said)]
            assert len(heard) - len(said) <= 1  # the last word may have been cut in its midst
            assert context[2] == ("user", "no stop that please")
            assert [answer.status for answer in answers].count("cancelled") <= 1

    run_virtual(main())


@pytest.mark.parametrize("sound", ["yeah", "cough"])
def test_a_listeners_sound_holds_the_reply_and_lets_it_go_on_from_the_sample(sound: str) -> None:
    async def main() -> None:
        async with call() as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await (caller.say("yeah") if sound == "yeah" else caller.cough())
            await caller.until(lambda: caller.outlet.current_state is State.SPEAKING)
            answer = await caller.answer()
            assert answer.status == "completed"
            assert max(gaps_s(caller, answer)) > 0.1  # it was held
            assert [word.strip(",.") for word in answer.spoken_words()] == stripped(count_to(60))
            assert len(caller.outlet.named("speech_started")) == 1
            assert [role for role, _ in caller.context()] == ["user", "assistant"]

    run_virtual(main())


def test_in_burst_mode_the_sound_of_speech_cancels_at_once() -> None:
    async def main() -> None:
        suite = scripted_suite(llm="tokens=200")
        async with call(suite, paced=False) as caller:
            await caller.say("tell me something")
            await caller.hears("four")
            await caller.pause(1500)
            began_at = await caller.say("no stop")
            cut = await caller.answer()
            assert (cut.status, cut.reason) == ("cancelled", "turn_detected")
            assert cut.done_at is not None
            assert cut.done_at - began_at < 0.15
            heard = stripped(caller.context()[1][1])
            assert 3 <= len(heard) < len(stripped(cut.transcript))
            assert heard == stripped(cut.transcript)[: len(heard)]

    run_virtual(main())


def test_what_is_prepared_is_thrown_away_when_the_user_goes_on() -> None:
    async def main() -> None:
        suite = scripted_suite(llm="tokens=4")
        brain = suite.brain
        assert isinstance(brain, ScriptedBrain)
        settings = SessionSettings(TurnSettings(paced=True, silence_duration_ms=500, prepare_after_ms=100))
        async with call(suite, settings) as caller:
            await caller.say("one")
            await caller.say("two", after_ms=350)
            answer = await caller.answer()
            await caller.rest()
            assert [request.messages[-1].text for request in brain.requests] == ["one", "one two"]
            assert list(caller.outlet.replies) == [answer.id]
            assert caller.context()[0] == ("user", "one two")

    run_virtual(main())


def test_a_typed_turn_and_a_function_call() -> None:
    async def main() -> None:
        async with call() as caller:
            await caller.type('call weather {"at": "home"}')
            answer = await caller.answer()
            assert list(answer.calls.values()) == [("weather", '{"at": "home"}')]
            assert answer.audio == b""
            await caller.rest()

    run_virtual(main())


def test_a_reply_beside_the_conversation_leaves_no_trace_in_it() -> None:
    async def main() -> None:
        async with call() as caller:
            await caller.type("hello", respond=False)
            side = caller.ask(ReplySettings(audio=False), side=True)
            await caller.until(lambda: side in caller.outlet.replies and caller.outlet.replies[side].status)
            assert caller.outlet.replies[side].text == count_to(60)
            assert caller.context() == [("user", "hello")]

    run_virtual(main())


@pytest.mark.parametrize("stage", ["asr", "llm", "tts"])
@pytest.mark.parametrize("paced", [True, False])
def test_a_failing_engine_ends_its_turn_and_not_the_call(stage: str, paced: bool) -> None:
    async def main() -> None:
        options = {stage: "fail_on=1" if stage != "llm" else "fail_on=1,fail_after=7"}
        async with call(scripted_suite(**options), paced=paced) as caller:
            await caller.say("tell me something")
            failed = await caller.answer()
            assert failed.status == "failed"
            assert failed.error
            if stage == "asr":
                assert failed.error == NOT_UNDERSTOOD
                assert None in caller.outlet.transcripts.values()
            await caller.say("and again", after_ms=4000)
            answer = await caller.answer()
            assert answer.status == "completed"

    run_virtual(main())


def test_what_is_said_of_itself_to_a_turn_that_was_not_understood_is_said() -> None:
    """What a client asks for with a context or a text of its own does not answer the turn."""

    async def main() -> None:
        async with call(scripted_suite(asr="fail_on=1")) as caller:
            await caller.say("tell me something")
            assert (await caller.answer()).status == "failed"
            given = (Message("user", "count to 2"),)
            caller.session.post(CreateReply(caller.session.ids.reply(), ReplySettings(), messages=given))
            answer = await caller.answer()
            assert (answer.status, answer.transcript) == ("completed", count_to(2))

    run_virtual(main())


def test_a_given_text_is_said_to_a_turn_that_was_not_understood() -> None:
    async def main() -> None:
        settings = SessionSettings(TurnSettings(paced=True, create_response=False), transcription=True)
        async with call(scripted_suite(asr="fail_on=1"), settings) as caller:
            await caller.say("tell me something")
            await caller.until(lambda: None in caller.outlet.transcripts.values())
            caller.session.post(CreateReply(caller.session.ids.reply(), ReplySettings(), text="one two"))
            answer = await caller.answer()
            assert (answer.status, answer.transcript) == ("completed", "one two")

    run_virtual(main())


@pytest.mark.parametrize("after_ms", [0, 30, 250, 300, 700, 2000])
@pytest.mark.parametrize("paced", [True, False])
def test_hanging_up_ends_everything_once(after_ms: int, paced: bool) -> None:
    async def main() -> None:
        suite = scripted_suite(asr="final_ms=80")
        async with call(suite, paced=paced) as caller:
            await caller.say("tell me something")
            await caller.pause(after_ms)
        assert not caller.outlet.live
        assert len(caller.outlet.transcripts) == len(caller.outlet.named("committed"))

    run_virtual(main())


def test_a_noisy_room_gives_no_answers() -> None:
    async def main() -> None:
        async with call() as caller:
            for _ in range(3):
                await caller.utter(noise(300))
                await caller.pause(1000)
            assert not caller.outlet.replies
            assert caller.outlet.current_state is State.IDLE

    run_virtual(main())
