from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from antiphon.agents.turn import AgentTurn, Wish
from antiphon.core.actions import State
from antiphon.ids import ReplyId

ONE, TWO = ReplyId("resp_1"), ReplyId("resp_2")


def test_what_is_wanted_is_taken_when_nobody_speaks() -> None:
    turn = AgentTurn()
    assert not turn.has_come
    turn.want(Wish("hello"))
    turn.state(State.LISTENING)
    assert not turn.has_come
    turn.state(State.IDLE)
    assert turn.has_come
    assert turn.take(ONE) == Wish("hello")
    assert not turn.has_come


def test_a_reply_must_be_told_to_its_end_first() -> None:
    turn = AgentTurn()
    turn.began(ONE)
    turn.want(Wish())
    assert turn.is_answered and not turn.has_come
    turn.over(ONE)
    assert turn.has_come


def test_audio_that_still_plays_at_the_client_does_not_hold_it_back() -> None:
    turn = AgentTurn()
    turn.state(State.SPEAKING)
    turn.want(Wish())
    assert turn.has_come


def test_an_answer_goes_before_a_text() -> None:
    turn = AgentTurn()
    turn.want(Wish("wait"))
    turn.want(Wish())
    turn.want(Wish("wait longer"))
    assert turn.take(ONE).answers


def test_whoever_begins_to_speak_says_all_there_is_to_say() -> None:
    turn = AgentTurn()
    turn.want(Wish())
    turn.began(TWO)
    turn.over(TWO)
    assert not turn.has_come


def test_ones_own_text_does_not_take_the_answer_away() -> None:
    turn = AgentTurn()
    turn.want(Wish("wait"))
    turn.take(ONE)
    turn.want(Wish())
    turn.began(ONE)
    turn.over(ONE)
    assert turn.take(TWO) == Wish()


def test_what_was_refused_is_wanted_again_unless_there_is_more_to_say_now() -> None:
    turn = AgentTurn()
    turn.want(Wish("wait"))
    turn.take(ONE)
    turn.refused(TWO)
    assert not turn.has_come, "another one was refused"
    turn.refused(ONE)
    assert turn.take(ONE) == Wish("wait")
    turn.want(Wish())
    turn.refused(ONE)
    assert turn.take(TWO) == Wish()


STEPS = st.lists(
    st.one_of(
        st.sampled_from(State),
        st.tuples(st.sampled_from(["began", "over", "refused"]), st.sampled_from([ONE, TWO])),
        st.sampled_from([Wish(), Wish("a")]),
    )
)


@given(STEPS)
def test_it_never_speaks_over_anybody_and_asks_for_one_thing_at_a_time(steps: list[Any]) -> None:
    turn = AgentTurn()
    state, speaking, asked = State.IDLE, set[ReplyId](), None
    for count, step in enumerate(steps):
        match step:
            case State():
                state = step
                turn.state(step)
            case Wish():
                turn.want(step)
            case ("began", reply):
                speaking.add(reply)
                turn.began(reply)
                asked = None if reply == asked else asked
            case ("over", reply):
                speaking.discard(reply)
                turn.over(reply)
            case ("refused", reply):
                turn.refused(reply)
                asked = None if reply == asked else asked
        if turn.has_come:
            assert not speaking and asked is None
            assert state in (State.IDLE, State.SPEAKING)
            asked = ONE if count % 2 else TWO
            turn.take(asked)
