"""What is known of the user's turns: which words, and whether these are all."""

from __future__ import annotations

from antiphon.core.agreement import NOTHING, Change
from antiphon.ids import ItemId, TurnId
from antiphon.session.heard_turns import HeardTurns

FIRST, SECOND = TurnId(ItemId("first")), TurnId(ItemId("second"))


def turns_with(turn: TurnId) -> HeardTurns:
    turns = HeardTurns()
    turns.begin(turn)
    return turns


def test_words_become_certain_as_guesses_agree_and_with_the_last_word() -> None:
    turns = turns_with(FIRST)
    assert turns.partial(FIRST, "how is") == NOTHING
    assert turns.partial(FIRST, "how is the") == Change(("how", "is"))
    turns.asked(FIRST, 1)
    assert turns.final(FIRST, 1, "how are they") == Change(("are", "they"), 1)


def test_all_is_known_when_the_user_is_silent_and_the_newest_final_has_come() -> None:
    turns = turns_with(FIRST)
    turns.asked(FIRST, 1)
    turns.final(FIRST, 1, "how")
    assert not turns.is_known(FIRST), "the user speaks"
    turns.quiet = True
    assert turns.is_known(FIRST)
    turns.asked(FIRST, 2)
    assert not turns.is_known(FIRST), "an older final has come"
    assert turns.final(FIRST, 2, None) == NOTHING
    assert turns.is_known(FIRST), "a recognizer that failed says no more either"


def test_a_turn_that_is_over_is_let_go_when_all_of_it_is_known() -> None:
    turns = turns_with(FIRST)
    turns.asked(FIRST, 1)
    turns.commit(FIRST)
    assert turns.open is None
    assert not turns.is_known(FIRST)
    turns.begin(SECOND)
    turns.final(FIRST, 1, "how are you")
    assert turns.is_known(FIRST), "whatever the user does by now"
    assert turns.let_go(FIRST)
    assert FIRST not in turns
    turns.quiet = True
    turns.asked(SECOND, 1)
    turns.final(SECOND, 1, "so")
    assert not turns.let_go(SECOND)
    assert turns.open == SECOND


def test_stragglers_change_nothing() -> None:
    turns = turns_with(FIRST)
    assert turns.drop(FIRST)
    assert not turns.drop(FIRST)
    assert turns.open is None
    turns.asked(FIRST, 1)
    turns.commit(FIRST)
    assert turns.partial(FIRST, "so so") == turns.final(FIRST, 1, "so so") == NOTHING
    assert not turns.is_known(FIRST)
    turns.begin(SECOND)
    turns.drop(FIRST)
    assert turns.open == SECOND
