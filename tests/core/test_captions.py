"""Captions tell words once, in order, and never take one back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.captions import Captions

WORDS = st.lists(st.sampled_from(["a", "be", "cat", "dog"]), max_size=6).map(" ".join)


def test_a_word_is_told_when_two_guesses_agree_on_it() -> None:
    captions = Captions()
    assert captions.partial("the") == ""
    assert captions.partial("the cat") == "the"
    assert captions.partial("the cat sat") == " cat"
    assert captions.final("the cat sat down") == " sat down"


def test_a_changed_guess_is_waited_for() -> None:
    captions = Captions()
    captions.partial("I scream")
    assert captions.partial("ice cream") == ""
    assert captions.partial("ice cream now") == "ice cream"


def test_a_final_that_contradicts_what_was_told_adds_nothing() -> None:
    captions = Captions()
    captions.partial("five cats")
    captions.partial("five cats sat")
    assert captions.final("Five cats sat.") == ""


@given(st.lists(WORDS, max_size=6), WORDS)
def test_what_is_told_is_always_the_start_of_some_guess(guesses: list[str], last: str) -> None:
    captions = Captions()
    told = ""
    for guess in guesses:
        told += captions.partial(guess)
        assert told == "" or any(seen.startswith(told) for seen in guesses)
    delta = captions.final(last)
    assert delta == "" or told + delta == last
