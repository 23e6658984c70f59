"""What an agent says by itself, and what it leaves."""

from __future__ import annotations

from antiphon.agents.initiative import Initiative
from antiphon.core.actions import State
from antiphon.core.commands import CancelResponse, Command, CreateReply
from antiphon.core.settings import ReplySettings
from antiphon.ids import IdSource, ReplyId


class Desk:
    def __init__(self) -> None:
        self.asked: list[Command] = []
        self.initiative = Initiative(IdSource(1), self.asked.append, ReplySettings)

    def last(self) -> CreateReply:
        command = self.asked[-1]
        assert isinstance(command, CreateReply)
        return command


def test_it_greets_once_when_enough_of_the_user_was_heard() -> None:
    initiative = Desk().initiative
    assert not initiative.greets_after(31_998)
    assert initiative.greets_after(2)
    assert not initiative.greets_after(32_000)
    assert not initiative.greets_now()
    other = Desk().initiative
    assert other.greets_now()
    assert not other.greets_now()
    third = Desk().initiative
    third.begun()
    assert not third.greets_now()


def test_it_waits_until_nobody_speaks() -> None:
    desk = Desk()
    desk.initiative.state(State.LISTENING)
    desk.initiative.want("One moment.")
    desk.initiative.want("")
    assert desk.asked == []
    desk.initiative.state(State.IDLE)
    asked = desk.last()
    assert (asked.text, asked.when_free) == ("One moment.", True)
    assert desk.initiative.is_given(asked.reply)


def test_given_words_are_left_for_something_better() -> None:
    desk = Desk()
    desk.initiative.want("One moment.")
    given = desk.last().reply
    desk.initiative.reply_began(given)
    assert desk.initiative.is_answered
    desk.initiative.leave_texts()
    left = desk.asked[-1]
    assert isinstance(left, CancelResponse)
    assert (left.reply, left.at_pause) == (given, True)
    desk.initiative.forget(given)
    assert not desk.initiative.is_given(given)
    desk.initiative.want(None)
    desk.initiative.reply_over(given)
    desk.initiative.state(State.IDLE)
    assert desk.last().text is None


def test_what_was_refused_is_tried_again_and_what_others_asked_for_is_theirs() -> None:
    desk = Desk()
    desk.initiative.want("Hello.")
    first = desk.last()
    assert not desk.initiative.refused(None)
    assert not desk.initiative.refused("a client's")
    assert desk.initiative.refused(first.client_event_id)
    assert not desk.initiative.is_given(first.reply)
    desk.initiative.reply_over(ReplyId("resp_other"))
    desk.initiative.state(State.IDLE)
    assert desk.last().text == "Hello."
    assert desk.last().reply != first.reply
