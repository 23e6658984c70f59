"""Turn-taking in plain words: a brain that listens."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.turn_talk import PACED, Talk, kinds, the

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import CancelReason, State
from antiphon.core.events import Outcome
from antiphon.core.settings import Answers, Detection, TurnSettings
from antiphon.ids import ReplyId

LISTENING = replace(PACED, answers=Answers.LISTENING, silence_duration_ms=500, wished_silence_ms=200)
WISH, OTHER_WISH = ReplyId("wish"), ReplyId("other_wish")


def test_at_the_end_of_a_turn_no_reply_is_owed_to_who_listens() -> None:
    talk = Talk(LISTENING)
    talk.wait(500)
    talk.says("what is it")
    assert kinds(talk.wait(3000)) == ["TellSpeechStopped", "CommitTurn"]
    assert talk.state is State.IDLE


def test_where_the_floor_is_free_the_brain_speaks_at_once() -> None:
    talk = Talk(LISTENING)
    assert the(talk.send(on.BrainSpeaks(WISH)), do.StartReply) == do.StartReply(WISH)


def test_while_the_user_speaks_it_is_prepared_and_let_out_after_the_shorter_silence() -> None:
    talk = Talk(LISTENING)
    talk.wait(500)
    talk.speech()
    talk.wait(400)
    prepared = the(talk.send(on.BrainSpeaks(WISH)), do.PrepareReply)
    assert prepared == do.PrepareReply(WISH, talk.turn)
    talk.silence()
    talk.final("what is it")
    assert kinds(talk.wait(130)) == []  # 60 ms of the silence were over at the edge
    assert kinds(talk.wait(20)) == ["TellSpeechStopped", "CommitTurn", "StartReply"]
    assert the(talk.last, do.StartReply) == do.StartReply(WISH, prepared=True)


def test_a_wish_does_not_shorten_a_silence_whose_words_are_not_known() -> None:
    talk = Talk(LISTENING)
    talk.wait(500)
    talk.speech()
    talk.wait(400)
    talk.silence()
    talk.send(on.BrainSpeaks(WISH))
    assert kinds(talk.wait(300)) == []
    assert kinds(talk.wait(300)) == ["TellSpeechStopped", "CommitTurn", "DiscardReply"]  # there may be more words


def test_a_sound_without_words_does_not_void_what_the_brain_wants_to_say() -> None:
    talk = Talk(LISTENING)
    talk.wait(500)
    talk.says("")
    assert the(talk.send(on.BrainSpeaks(WISH)), do.PrepareReply) == do.PrepareReply(WISH, talk.turn)
    assert kinds(talk.wait(300)) == ["TellSpeechStopped", "CommitTurn", "StartReply"]


def test_the_user_who_goes_on_voids_what_was_prepared() -> None:
    talk = Talk(LISTENING)
    talk.wait(500)
    talk.says("what is it")
    talk.send(on.BrainSpeaks(WISH))
    talk.wait(100)
    assert kinds(talk.speech()) == ["DiscardReply"]


def test_what_the_brain_takes_back_is_gone_however_far_it_has_come() -> None:
    talk = Talk(LISTENING)
    talk.wait(500)
    talk.speech()
    talk.send(on.BrainSpeaks(WISH))
    assert kinds(talk.send(on.BrainStops(WISH))) == ["DiscardReply"]
    talk.silence()
    talk.final("")
    talk.wait(3000)
    talk.send(on.BrainSpeaks(OTHER_WISH))
    talk.send(on.ReplyAudible(OTHER_WISH))
    cancelled = the(talk.send(on.BrainStops(OTHER_WISH)), do.CancelReply)
    assert cancelled == do.CancelReply(OTHER_WISH, CancelReason.BRAIN_STOPPED)
    assert talk.send(on.BrainStops(OTHER_WISH)) == []


def test_a_second_wish_waits_for_what_sounds_and_a_third_is_refused() -> None:
    talk = Talk(LISTENING)
    talk.send(on.BrainSpeaks(WISH))
    talk.send(on.ReplyAudible(WISH))
    assert talk.send(on.BrainSpeaks(OTHER_WISH)) == []
    third = ReplyId("third")
    assert talk.send(on.BrainSpeaks(third)) == [do.DiscardReply(third)]
    talk.send(on.ReplyMade(WISH, Outcome.COMPLETED, audible=True))
    assert the(talk.send(on.PlayoutDrained(WISH)), do.StartReply) == do.StartReply(OTHER_WISH)


def test_an_interruption_refuses_what_was_to_be_said_next() -> None:
    talk = Talk(LISTENING)
    talk.send(on.BrainSpeaks(WISH))
    talk.send(on.ReplyAudible(WISH))
    talk.send(on.BrainSpeaks(OTHER_WISH))
    talk.wait(500)
    talk.speech()
    done = talk.wait(1000)
    assert kinds(done) == ["TellSpeechStarted", "CancelReply", "DiscardReply"]


@pytest.mark.parametrize(
    "settings",
    [
        PACED,
        replace(LISTENING, create_response=False),
        replace(LISTENING, detection=Detection.MANUAL),
    ],
)
def test_where_the_brain_is_not_to_speak_by_itself_its_wish_is_refused(settings: TurnSettings) -> None:
    talk = Talk(settings)
    assert talk.send(on.BrainSpeaks(WISH)) == [do.DiscardReply(WISH)]
    talk = Talk(LISTENING)
    talk.send(on.BrainSpeaks(WISH))
    talk.send(on.BrainSpeaks(OTHER_WISH))
    assert kinds(talk.send(on.Configured(settings))) == ["DiscardReply"]
