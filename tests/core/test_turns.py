"""Turn-taking in plain words: what happens, and what is done about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, CancelReason, State
from antiphon.core.events import Event, Outcome
from antiphon.core.settings import Answers, Detection, TurnSettings
from antiphon.core.turns import TABLE, Turns
from antiphon.errors import IllegalEventError
from antiphon.ids import IdSource, ReplyId, TurnId
from antiphon.sim.turn_rules import TurnRules

PACED = TurnSettings(paced=True)
BURST = TurnSettings(paced=False)
HEARING = TurnSettings(paced=True, hears_audio=True)


class Talk:
    """A turn table with a clock. Media time is the clock's; edges are seen ``LATE_MS`` after they were."""

    LATE_MS = 60

    def __init__(self, settings: TurnSettings = PACED) -> None:
        self.turns = Turns(settings, IdSource(1))
        self.rules = TurnRules(settings)
        self.now_ms = 0
        self.last: list[Action] = []

    def send(self, event: Event) -> list[Action]:
        self.rules.before(event, self.now_ms / 1000)
        self.last = self.turns.handle(event, self.now_ms / 1000)
        self.rules.after(event, self.last, self.turns)
        return self.last

    def wait(self, ms: int) -> list[Action]:
        """Time passes; deadlines are served. Returns all that was done."""
        end_ms, done = self.now_ms + ms, []
        while (deadline := self.turns.deadline()) is not None and deadline * 1000 <= end_ms + 0.001:
            self.now_ms = max(self.now_ms, round(deadline * 1000))
            done += self.send(on.Timeout(self.now_ms))
        self.now_ms = end_ms
        return done

    def speech(self) -> list[Action]:
        return self.send(on.SpeechStarted(max(0, self.now_ms - self.LATE_MS), self.now_ms))

    def silence(self) -> list[Action]:
        return self.send(on.SpeechPaused(self.now_ms - self.LATE_MS, self.now_ms))

    def partial(self, text: str) -> list[Action]:
        return self.send(on.PartialHeard(self.turn, text))

    def final(self, text: str | None, turn: TurnId | None = None) -> list[Action]:
        """The recognizer answers the newest question it was asked, of the named turn or of any."""
        asked = [each for each in self.rules.unanswered if turn is None or each[0] == turn]
        return self.send(on.FinalHeard(*max(asked, key=lambda each: each[1]), text))

    def says(self, text: str, *, for_ms: int = 600) -> list[Action]:
        """A whole utterance up to the recognizer's final."""
        self.speech()
        self.wait(for_ms)
        self.silence()
        return self.final(text)

    def asks(self, text: str = "what is it") -> ReplyId:
        """A whole turn, up to the start of its reply."""
        self.says(text)
        done = self.wait(1000)
        started: do.StartReply = the(done, do.StartReply)
        return started.reply

    def speaks(self) -> ReplyId:
        """A whole turn, up to the agent's voice."""
        reply = self.asks()
        self.send(on.ReplyAudible(reply))
        return reply

    @property
    def turn(self) -> TurnId:
        assert self.rules.turn is not None
        return self.rules.turn.id

    @property
    def state(self) -> State:
        return self.turns.state


def the(actions: Sequence[Action], kind: type[Any]) -> Any:
    """The one action of its kind."""
    found = [action for action in actions if isinstance(action, kind)]
    assert len(found) == 1, actions
    return found[0]


def kinds(actions: Sequence[Action]) -> list[str]:
    return [type(action).__name__ for action in actions if not isinstance(action, do.ShowState)]


# A turn, from its first sound to its reply.


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


@pytest.mark.parametrize("text", ["", None])
def test_a_sound_without_words_gets_no_reply(text: str | None) -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    talk.wait(600)
    talk.silence()
    talk.final(text)
    assert "StartReply" not in kinds(talk.wait(1000))
    assert talk.state is State.IDLE


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


# The user speaks over the agent.


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


# The client decides.


def test_a_commit_ends_the_turn_and_starts_nothing() -> None:
    talk = Talk(replace(PACED, detection=Detection.MANUAL))
    done = talk.send(on.BufferCommitted(0, 1500))
    assert kinds(done) == ["OpenTurn", "Transcribe", "CommitTurn"]
    talk.final("what is it")
    assert talk.wait(5000) == []
    assert talk.state is State.IDLE


def test_a_clear_takes_the_turn_back() -> None:
    talk = Talk()
    talk.wait(500)
    talk.speech()
    assert kinds(talk.send(on.BufferCleared())) == ["TellSpeechStopped", "DropTurn"]
    assert talk.send(on.BufferCleared()) == []


def test_a_client_may_ask_for_a_reply_and_not_for_a_second_at_once() -> None:
    talk = Talk()
    assert kinds(talk.send(on.ReplyRequested(ReplyId("a")))) == ["StartReply"]
    refused = the(talk.send(on.ReplyRequested(ReplyId("b"), client_event_id="e1")), do.Refuse)
    assert (refused.code, refused.client_event_id) == ("conversation_already_has_active_response", "e1")
    assert kinds(talk.send(on.ReplyRequested(ReplyId("c"), side=True))) == ["StartReply"]


def test_a_client_may_cancel_what_is_live_and_nothing_else() -> None:
    talk = Talk()
    refused = the(talk.send(on.CancelRequested(client_event_id="e1")), do.Refuse)
    assert refused.code == "response_cancel_not_active"
    assert refused.message.startswith("Cancellation failed")
    talk.send(on.ReplyRequested(ReplyId("a")))
    talk.send(on.ReplyRequested(ReplyId("s"), side=True))
    assert kinds(talk.send(on.CancelRequested(ReplyId("s")))) == ["CancelReply"]
    assert kinds(talk.send(on.CancelRequested())) == ["CancelReply"]
    assert kinds(talk.send(on.CancelRequested(ReplyId("a")))) == ["Refuse"]


def test_in_burst_mode_a_reply_that_is_made_is_over_for_the_client() -> None:
    talk = Talk(BURST)
    talk.send(on.ReplyRequested(ReplyId("a")))
    talk.send(on.ReplyAudible(ReplyId("a")))
    talk.send(on.ReplyMade(ReplyId("a"), Outcome.COMPLETED, True))
    assert kinds(talk.send(on.CancelRequested())) == ["Refuse"]
    assert kinds(talk.send(on.ReplyRequested(ReplyId("b")))) == ["StartReply"]


def test_switching_interruption_off_lets_a_held_reply_go_on() -> None:
    talk = Talk()
    talk.speaks()
    talk.wait(2000)
    talk.speech()
    done = talk.send(on.Configured(replace(PACED, interrupt_response=False)))
    assert kinds(done) == ["ResumePlayout", "TellSpeechStarted"]


# Silence, and the end.


def test_when_nobody_speaks_after_a_reply_the_agent_does() -> None:
    talk = Talk(replace(PACED, idle_timeout_ms=5000))
    reply = talk.speaks()
    talk.send(on.ReplyMade(reply, Outcome.COMPLETED, True))
    talk.wait(3000)
    talk.send(on.PlayoutDrained(reply))
    assert talk.wait(4999) == []
    done = talk.wait(1)
    assert kinds(done) == ["TellTimeout", "OpenTurn", "Transcribe", "CommitTurn", "StartReply"]
    told = the(done, do.TellTimeout)
    assert told.end_ms - told.start_ms == 5000


def test_after_a_sound_without_words_the_silence_counts_anew() -> None:
    talk = Talk(replace(PACED, idle_timeout_ms=5000))
    reply = talk.speaks()
    talk.send(on.ReplyMade(reply, Outcome.COMPLETED, True))
    talk.send(on.PlayoutDrained(reply))
    talk.wait(4000)
    talk.says("")
    talk.wait(200)
    assert talk.wait(4900) == []
    assert "TellTimeout" in kinds(talk.wait(200))


@pytest.mark.parametrize("idle_timeout_ms", [None, 5000])
def test_before_the_first_reply_silence_is_just_silence(idle_timeout_ms: int | None) -> None:
    talk = Talk(replace(PACED, idle_timeout_ms=idle_timeout_ms))
    assert talk.turns.deadline() is None


def test_the_end_ends_all_that_was_begun() -> None:
    talk = Talk()
    talk.send(on.ReplyRequested(ReplyId("s"), side=True))
    reply = talk.speaks()
    talk.wait(2000)
    talk.speech()
    turn = talk.turn
    done = talk.send(on.Closed())
    assert do.CancelReply(reply, CancelReason.CLOSED) in done
    assert do.CancelReply(ReplyId("s"), CancelReason.CLOSED) in done
    assert do.DropTurn(turn) in done
    assert talk.turns.deadline() is None
    with pytest.raises(IllegalEventError):
        talk.turns.handle(on.Timeout(0), 9.0)


def test_stragglers_are_ignored() -> None:
    talk = Talk()
    for event in (
        on.PartialHeard(TurnId(IdSource(2).item()), "hello"),
        on.FinalHeard(TurnId(IdSource(2).item()), 1, "hello"),
        on.ReplyAudible(ReplyId("gone")),
        on.ReplyMade(ReplyId("gone"), Outcome.COMPLETED, True),
        on.PlayoutDrained(ReplyId("gone")),
    ):
        assert talk.send(event) == []


def test_every_event_has_its_row() -> None:
    assert set(TABLE) == set(Event.__args__)
    for event, row in TABLE.items():
        assert set(row) == set(State), event


# A brain that listens.

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
