"""Turn-taking in plain words: what the client decides, silence, and the end."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.core.turn_talk import BURST, PACED, Talk, kinds, the

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import CancelReason, State
from antiphon.core.events import Event, Outcome
from antiphon.core.settings import Detection
from antiphon.core.turns import TABLE
from antiphon.errors import IllegalEventError
from antiphon.ids import IdSource, ReplyId, TurnId


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
