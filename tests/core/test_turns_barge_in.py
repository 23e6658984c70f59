"""Turn-taking in plain words: the user speaks over the agent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.turn_talk import BURST, PACED, Talk, kinds, the

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import CancelReason, State
from antiphon.core.events import Outcome
from antiphon.core.settings import TurnSettings


def test_the_sound_of_speech_pauses_the_agent_at_once_and_the_client_hears_nothing_of_it_yet() -> None:
    talk = Talk()
    reply = talk.speaks()
    talk.wait(2000)
    done = talk.speech()
    assert do.PausePlayout(reply) in done
    assert "TellSpeechStarted" not in kinds(done)
    assert talk.state is State.BARGED_IN


def test_words_take_the_floor() -> None:
    talk = Talk()
    reply = talk.speaks()
    talk.wait(2000)
    talk.speech()
    assert kinds(talk.wait(200)) == []
    assert kinds(talk.partial("no wait")) == ["TellSpeechStarted", "CancelReply"]
    assert do.CancelReply(reply, CancelReason.TURN_DETECTED) in talk.last
    assert talk.state is State.LISTENING


def test_speech_that_goes_on_takes_the_floor_without_words() -> None:
    talk = Talk()
    talk.speaks()
    talk.wait(2000)
    talk.speech()
    done = talk.wait(PACED.barge_in.cancel_after_ms)
    assert kinds(done) == ["TellSpeechStarted", "CancelReply"]


def test_a_listeners_yeah_lets_the_agent_go_on() -> None:
    talk = Talk()
    reply = talk.speaks()
    talk.wait(2000)
    talk.speech()
    talk.wait(200)
    talk.partial("yeah")
    talk.wait(100)
    talk.silence()
    turn = talk.turn
    assert kinds(talk.final("Yeah.")) == ["DropTurn", "ResumePlayout"]
    assert talk.last[:2] == [do.DropTurn(turn), do.ResumePlayout(reply)]
    assert talk.state is State.SPEAKING


def test_a_cough_lets_the_agent_go_on_even_if_the_recognizer_never_answers() -> None:
    talk = Talk()
    talk.speaks()
    talk.wait(2000)
    talk.speech()
    talk.wait(150)
    talk.silence()
    assert kinds(talk.wait(PACED.barge_in.resume_after_ms)) == ["DropTurn", "ResumePlayout"]


def test_after_an_interruption_the_next_answer_comes() -> None:
    talk = Talk()
    first = talk.speaks()
    talk.wait(2000)
    talk.speech()
    talk.partial("no wait")
    talk.wait(600)
    talk.silence()
    talk.final("no wait tell me")
    second = the(talk.wait(1000), do.StartReply).reply
    assert second != first
    assert talk.rules.over >= {first}


def test_in_burst_mode_speech_cancels_at_once() -> None:
    talk = Talk(BURST)
    reply = talk.speaks()
    talk.wait(500)
    done = talk.speech()
    assert kinds(done) == ["OpenTurn", "TellSpeechStarted", "CancelReply"]
    assert do.CancelReply(reply, CancelReason.TURN_DETECTED) in done


@pytest.mark.parametrize("settings", [PACED, BURST])
def test_without_interrupt_response_the_agent_speaks_on_and_answers_afterwards(settings: TurnSettings) -> None:
    talk = Talk(replace(settings, interrupt_response=False))
    reply = talk.speaks()
    talk.wait(500)
    assert kinds(talk.speech()) == ["OpenTurn", "TellSpeechStarted"]
    talk.wait(600)
    talk.silence()
    talk.final("and what is that")
    assert "StartReply" not in kinds(talk.wait(1000))
    talk.send(on.ReplyMade(reply, Outcome.COMPLETED, True))
    assert kinds(talk.send(on.PlayoutDrained(reply))) == ["StartReply"]


def test_a_reply_that_ends_while_held_gives_the_floor_to_the_user() -> None:
    talk = Talk()
    reply = talk.asks()
    assert do.PausePlayout(reply) in talk.speech()
    done = talk.send(on.ReplyMade(reply, Outcome.FAILED, False))
    assert kinds(done) == ["TellSpeechStarted"]
    assert talk.state is State.LISTENING
