"""The times of turns and barge-ins, exact on virtual time, and what goes with them."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from antiphon.core.commands import CommitBuffer, Configure
from antiphon.core.settings import Detection, ReplySettings, SessionSettings, TurnSettings
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.scripted import ScriptedSynthesizer, count_to
from antiphon.session.meter import NoMeter
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual
from antiphon.transport.base import AnsweredTurn, BargeIn

LLM = "first_token_ms=40,token_ms=20,tokens=60"
TTS = "first_audio_ms=15,speed=10"


class Figures(NoMeter):
    def __init__(self) -> None:
        self.turns: list[dict[str, float]] = []
        self.barge_ins: list[dict[str, float]] = []

    def turn(self, figures: dict[str, float]) -> None:
        self.turns.append(figures)

    def barge_in(self, figures: dict[str, float]) -> None:
        self.barge_ins.append(figures)


def turns(caller: Caller) -> list[AnsweredTurn]:
    return [each.args[0] for each in caller.outlet.named("answered")]


def barge_ins(caller: Caller) -> list[BargeIn]:
    return [each.args[0] for each in caller.outlet.named("barge_in")]


@pytest.mark.parametrize("paced", [True, False])
def test_each_stage_of_an_answer_that_was_prepared_ahead(paced: bool) -> None:
    """The final is asked for when the pause is seen, 64 ms into it; the reply is prepared after 100 ms of it.

    The detector hears the speech end with a window, 25 ms after its last sound.
    """

    async def main() -> None:
        meter = Figures()
        suite = scripted_suite(asr="final_ms=30", llm=LLM, tts=TTS)
        async with call(suite, paced=paced, meter=meter) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            (turn,) = turns(caller)
            assert turn.marks == {
                "speech_end": 0.0,
                "recognizer_final": 119.0,
                "brain_started": 125.0,
                "brain_first_token": 165.0,
                "turn_ended": 225.0,
                "first_clause": 265.0,  # the sixth token shows where the first clause ends
                "voice_started": 265.0,
                "voice_first_audio": 280.0,
                "first_sample": 280.0,
                "first_sound": 280.021,  # the tone begins with a zero
            }
            assert turn.figures == {
                "end_of_turn_ms": 225.0,
                "recognizer_ms": 0.0,
                "brain_ms": 0.0,
                "voice_ms": 55.0,
                "server_ms": 0.021,
                "response_ms": 280.021,
            }
            assert meter.turns == [turn.figures]
            assert (turn.turn, turn.reply) == (next(iter(caller.outlet.items)), caller.outlet.latest.id)
            assert turn.ahead
            assert turn.served_by == {"asr": "server", "llm": "server", "tts": "server"}

    run_virtual(main())


def test_an_answer_for_which_there_was_no_time_to_prepare() -> None:
    async def main() -> None:
        async with call(scripted_suite(asr="final_ms=300", llm=LLM, tts=TTS)) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            (turn,) = turns(caller)
            assert (turn.marks["turn_ended"], turn.marks["recognizer_final"]) == (225.0, 389.0)
            assert (turn.marks["brain_started"], turn.marks["first_sample"]) == (389.0, 544.0)
            assert turn.figures["recognizer_ms"] == 164.0
            assert turn.figures["response_ms"] == 544.021
            assert not turn.ahead

    run_virtual(main())


class LateSound(ScriptedSynthesizer):
    """45 ms of silence before what it says."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        lead = bytes(45 * 48 * 2)
        async with aclosing(super().speak(text, voice)) as chunks:
            async for chunk in chunks:
                yield dataclasses.replace(chunk, pcm=lead + chunk.pcm)
                lead = b""


@pytest.mark.parametrize("paced", [True, False])
def test_silence_at_the_beginning_of_an_answer_counts(paced: bool) -> None:
    async def main() -> None:
        meter = Figures()
        suite = scripted_suite(asr="final_ms=30", llm=LLM)
        suite = dataclasses.replace(suite, synthesizer=LateSound.from_options(TTS))
        async with call(suite, paced=paced, meter=meter) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            (turn,) = turns(caller)
            assert turn.marks["first_sample"] == 280.0
            assert turn.marks["first_sound"] == 325.021
            assert meter.turns[0]["server_ms"] == 45.021
            assert meter.turns[0]["response_ms"] == 325.021

    run_virtual(main())


@pytest.mark.parametrize("paced", [True, False])
def test_a_cut_is_told_with_its_times_and_words(paced: bool) -> None:
    async def main() -> None:
        meter = Figures()
        async with call(scripted_suite(llm=LLM, tts=TTS), paced=paced, meter=meter) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await caller.pause(1000)
            await caller.say("no stop that please")
            cut = await caller.answer()
            (told,) = barge_ins(caller)
            decided = 412.0 if paced else 32.0  # in bursts the edge decides
            assert told.marks == {"onset": 0.0, "edge": 32.0, "paused": 32.0, "decided": decided}
            assert (told.reply, told.outcome, told.words) == (cut.id, "cut", "no stop" if paced else "")
            (figures,) = meter.barge_ins
            assert figures == {
                "onset_to_edge_ms": 32.0,
                "edge_to_pause_ms": 0.0,
                "audible": 1.0,
                "decision_ms": decided - 32.0,
                "resumed": 0.0,
            }

    run_virtual(main())


def test_a_listeners_sound_is_told_as_none_that_counts() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm=LLM, tts=TTS)) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await caller.say("yeah")
            answer = await caller.answer()
            (told,) = barge_ins(caller)
            assert (told.reply, told.outcome, told.words) == (answer.id, "resumed", "yeah")
            assert told.marks["edge"] == told.marks["paused"] == 32.0 < told.marks["decided"]

    run_virtual(main())


def test_a_reply_that_is_cancelled_while_it_is_paused_ends_its_barge_in() -> None:
    async def main() -> None:
        meter = Figures()
        async with call(scripted_suite(llm=LLM, tts=TTS), meter=meter) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await caller.utter(b"\x00\x20" * 1000)
            caller.cancel()
            await caller.answer()
            (told,) = barge_ins(caller)
            assert (told.outcome, meter.barge_ins) == ("ended", [])

    run_virtual(main())


def test_a_turn_that_the_client_ends_counts_from_its_commit() -> None:
    """As with a key that is held while one speaks. It is told, and kept out of the server's own figures."""

    async def main() -> None:
        meter = Figures()
        settings = SessionSettings(turn=TurnSettings(Detection.MANUAL, paced=True))
        async with call(scripted_suite(llm=LLM, tts=TTS), settings, meter=meter) as caller:
            await caller.say("tell me something")
            caller.session.post(CommitBuffer())
            await caller.until(lambda: caller.outlet.named("committed"))
            await caller.pause(50)
            caller.ask()
            await caller.hears("eight")
            (turn,) = turns(caller)
            assert turn.marks["turn_ended"] == 0.0
            assert turn.marks["brain_started"] == 50.0
            assert turn.marks["first_sample"] == 205.0
            assert (turn.ahead, meter.turns) == (False, [])

    run_virtual(main())


def test_what_is_asked_for_in_writing_answers_no_turn() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm=LLM, tts=TTS)) as caller:
            await caller.say("tell me something")
            await caller.answer()
            await caller.type("and now in writing")
            await caller.answer()
            assert len(turns(caller)) == 1

    run_virtual(main())


@pytest.mark.parametrize("paced", [True, False])
def test_clauses_come_before_the_words_are_heard_and_are_the_answer(paced: bool) -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="tokens=25", tts=TTS), paced=paced) as caller:
            await caller.say("tell me something")
            answer = await caller.answer()
            assert "".join(answer.clauses) == answer.transcript == count_to(25)
            assert answer.voices == ["default"]
            told = ""
            for each in caller.outlet.named("clause", "reply_transcript"):
                if each.name == "clause":
                    told += each.args[2]
                else:
                    assert each.args[2] in told

    run_virtual(main())


def test_of_a_cut_answer_the_clauses_tell_more_than_was_heard() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm=LLM, tts=TTS)) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            await caller.say("no stop that please")
            cut = await caller.answer()
            text = "".join(cut.clauses)
            assert text.startswith(cut.transcript)
            assert len(text.split()) > len(cut.transcript.split())

    run_virtual(main())


def test_nothing_of_a_prepared_reply_is_told_that_is_thrown_away() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm="first_token_ms=1,token_ms=1,tokens=30", tts=TTS)) as caller:
            await caller.say("tell me")
            await caller.pause(150)
            assert not caller.outlet.named("clause", "voice")
            await caller.say("something else")
            answer = await caller.answer()
            assert "".join(answer.clauses) == answer.transcript

    run_virtual(main())


def test_a_change_of_voice_is_told_before_the_clause_that_it_speaks() -> None:
    async def main() -> None:
        async with call(scripted_suite(llm=LLM, tts=TTS)) as caller:
            await caller.say("tell me something")
            await caller.hears("eight")
            turn = TurnSettings(paced=True)
            caller.session.post(Configure(SessionSettings(turn, ReplySettings(speed=1.5), transcription=True)))
            caller.session.post(Configure(SessionSettings(turn, ReplySettings(voice="other"), transcription=True)))
            answer = await caller.answer()
            assert answer.voices == ["default", "other"]
            names = [each.name for each in caller.outlet.named("voice", "clause")]
            assert names[0] == "voice"
            assert names[names.index("voice", 1) + 1] == "clause"

    run_virtual(main())
