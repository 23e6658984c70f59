"""Turn-taking in plain words: a turn, from its first sound to its reply."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.turn_talk import BURST, HEARING, PACED, Talk, kinds, the

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import State
from antiphon.core.settings import Detection
from antiphon.ids import TurnId


def test_the_sound_of_speech_opens_a_turn_and_the_client_is_told() -> None:
    talk = Talk()
    talk.wait(500)
    assert kinds(talk.speech()) == ["OpenTurn", "TellSpeechStarted"]
    assert talk.state is State.LISTENING


def test_at_a_pause_the_recognizer_is_asked_for_its_final() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(700)
    assert kinds(talk.silence()) == ["Transcribe"]


def test_a_reply_is_prepared_in_the_silence_and_started_when_the_turn_is_over() -> None:
    talk = Talk(replace(PACED, silence_duration_ms=500, prepare_after_ms=120))
    talk.wait(500)
    assert kinds(talk.says("what is it")) == []
    prepared = the(talk.wait(100), do.PrepareReply)
    assert prepared.turn == talk.turn
    done = talk.wait(400)
    assert kinds(done) == ["TellSpeechStopped", "CommitTurn", "StartReply"]
    assert the(done, do.StartReply) == do.StartReply(prepared.reply, prepared=True)
    assert talk.state is State.THINKING


def test_the_silence_counts_from_the_end_of_speech_and_not_from_the_edge() -> None:
    talk = Talk(replace(PACED, silence_duration_ms=200))
    talk.wait(500)
    talk.says("what is it")
    assert talk.turns.deadline() is not None
    assert kinds(talk.wait(200 - talk.LATE_MS - 1)) == ["PrepareReply"]
    assert "CommitTurn" in kinds(talk.wait(1))


def test_what_was_prepared_is_thrown_away_when_the_user_goes_on() -> None:
    talk = Talk(replace(PACED, silence_duration_ms=500))
    talk.wait(500)
    talk.says("what")
    prepared = the(talk.wait(200), do.PrepareReply).reply
    assert talk.speech() == [do.DiscardReply(prepared)]
    talk.wait(500)
    talk.silence()
    talk.final("what is it")
    again = the(talk.wait(200), do.PrepareReply).reply
    assert again != prepared


def test_a_late_final_of_an_earlier_pause_changes_nothing() -> None:
    talk = Talk(replace(PACED, silence_duration_ms=500))
    talk.wait(500)
    talk.speech()
    talk.wait(300)
    talk.silence()
    talk.wait(100)
    talk.speech()
    talk.wait(300)
    talk.silence()
    assert talk.send(on.FinalHeard(talk.turn, 1, "what")) == []
    assert kinds(talk.wait(300)) == []  # nothing is prepared to words that are out of date


def test_a_reply_waits_for_the_words_when_the_recognizer_is_slow() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    assert kinds(talk.wait(1000)) == ["TellSpeechStopped", "CommitTurn"]
    assert talk.state is State.THINKING
    assert kinds(talk.final("what is it")) == ["StartReply"]


def test_a_sound_without_words_gets_no_reply() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    talk.final("")
    assert "StartReply" not in kinds(talk.wait(1000))
    assert talk.state is State.IDLE


@pytest.mark.parametrize("early", [True, False])
def test_a_turn_that_nobody_can_write_down_gets_a_reply_that_tells_so(early: bool) -> None:
    """Which is not prepared."""
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    if early:
        talk.final(None)
        assert kinds(talk.wait(1000)) == ["TellSpeechStopped", "CommitTurn", "StartReply"]
    else:
        talk.wait(1000)
        assert kinds(talk.final(None)) == ["StartReply"]


def test_a_turn_that_goes_on_is_not_lost_with_its_beginning() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    talk.final(None)
    talk.wait(100)
    talk.speech()
    talk.wait(300)
    talk.silence()
    talk.final("")
    assert "StartReply" not in kinds(talk.wait(1000))


def test_a_brain_that_hears_is_asked_before_there_are_words() -> None:
    talk = Talk(HEARING)
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    assert kinds(talk.wait(100)) == ["PrepareReply"]
    assert kinds(talk.wait(200)) == ["TellSpeechStopped", "CommitTurn", "StartReply"]
    assert talk.send(on.FinalHeard(the_committed(talk), 1, "what is it")) == []


def test_a_brain_that_hears_is_not_asked_about_a_sound_that_is_known_to_have_no_words() -> None:
    talk = Talk(HEARING)
    talk.wait(500)
    talk.says("")
    assert kinds(talk.wait(1000)) == ["TellSpeechStopped", "CommitTurn"]
    assert talk.state is State.IDLE


def test_a_brain_that_hears_needs_no_recognizer() -> None:
    talk = Talk(HEARING)
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    talk.final(None)
    assert "StartReply" in kinds(talk.wait(1000))


def test_what_was_prepared_to_a_cough_is_dropped_when_the_recognizer_finds_no_words_in_time() -> None:
    talk = Talk(HEARING)
    talk.wait(500)
    talk.speech()
    talk.wait(200)
    talk.silence()
    talk.wait(100)
    talk.final("")
    done = kinds(talk.wait(1000))
    assert "DiscardReply" in done
    assert "StartReply" not in done


def test_a_question_whose_words_are_late_is_answered_though_a_cough_comes_between() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    talk.wait(300)
    question = the_committed(talk)
    talk.speech()
    talk.final("what is it", question)
    talk.wait(200)
    talk.silence()
    talk.final("")
    talk.wait(1000)
    assert talk.rules.main is not None


def test_a_user_who_goes_on_before_the_reply_began_gets_one_reply_to_both() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    talk.wait(300)
    question = the_committed(talk)
    talk.speech()
    assert "StartReply" not in kinds(talk.final("what is it", question))
    talk.wait(400)
    talk.silence()
    talk.final("tell me")
    done = talk.wait(1000)
    assert kinds(done).count("StartReply") == 1


def the_committed(talk: Talk) -> TurnId:
    (turn,) = talk.rules.turns_over
    return turn


def test_a_finished_sentence_ends_the_turn_sooner_than_an_unfinished_one() -> None:
    semantic = replace(PACED, detection=Detection.SEMANTIC)

    def wait_after(text: str) -> float:
        talk = Talk(semantic)
        talk.wait(500)
        talk.says(text)
        said_at_ms = talk.now_ms
        deadline = None
        while talk.state is State.LISTENING:
            deadline = talk.turns.deadline()
            assert deadline is not None
            talk.wait(max(1, round(deadline * 1000) - talk.now_ms))
        assert deadline is not None
        return deadline * 1000 - said_at_ms

    assert wait_after("what is it?") < wait_after("tell me a story") < wait_after("what i want is to")


def test_without_create_response_a_turn_is_committed_and_no_more() -> None:
    talk = Talk(replace(PACED, create_response=False))
    talk.wait(500)
    talk.says("what is it")
    assert kinds(talk.wait(1000)) == ["TellSpeechStopped", "CommitTurn"]
    assert talk.state is State.IDLE


def test_audio_that_comes_in_one_piece_is_cut_into_turns_by_media_time() -> None:
    talk = Talk(BURST)
    talk.send(on.SpeechStarted(0, 100))
    talk.send(on.SpeechPaused(1000, 1060))
    done = talk.send(on.SpeechStarted(3000, 3060))
    assert kinds(done)[:2] == ["TellSpeechStopped", "CommitTurn"]
    assert the(done, do.CommitTurn).end_ms == 1000
    assert the(done, do.OpenTurn).at_ms == 3000
