"""Words become certain by two guesses or by a last word, and what is certain is rarely taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.agreement import NOTHING, Agreement, Change

WORDS = st.sampled_from(["what", "What", "what,", "is", "it", "it?", "it.", "now"])
TEXTS = st.lists(WORDS, max_size=8).map(" ".join)


def test_a_word_is_certain_when_two_guesses_agree_on_it_and_on_all_before_it() -> None:
    heard = Agreement()
    assert heard.partial("what time") == NOTHING
    assert heard.partial("what time is") == Change(("what", "time"))
    assert heard.partial("what time it is") == NOTHING
    assert heard.partial("what time it is now") == Change(("it", "is"))


def test_the_last_word_makes_the_rest_certain() -> None:
    heard = Agreement()
    heard.partial("what time")
    assert heard.final("what time is it?") == Change(("what", "time", "is", "it?"))
    assert heard.final("what time is it?") == NOTHING


def test_a_single_guess_contradicts_nothing() -> None:
    heard = Agreement()
    for guess in ("for you", "for you and"):
        heard.partial(guess)
    assert heard.partial("four") == NOTHING
    assert heard.partial("for you and me") == NOTHING
    assert heard.words == ("for", "you")


def test_two_guesses_that_agree_against_it_take_a_word_back() -> None:
    heard = Agreement()
    for guess in ("for you", "for you and", "for ewe and lamb"):
        heard.partial(guess)
    assert heard.partial("for ewe and lamb stew") == Change(("ewe", "and", "lamb"), retracted=1)
    assert heard.retractions == 1


def test_the_last_word_may_take_words_back() -> None:
    heard = Agreement()
    heard.final("for ewe")
    assert heard.final("for you and me") == Change(("you", "and", "me"), retracted=1)
    assert heard.final("") == Change((), retracted=4)
    assert heard.retractions == 5


def test_a_changed_full_stop_is_no_correction_and_a_question_mark_is() -> None:
    heard = Agreement()
    heard.final("You are late.")
    assert heard.final("you are late") == NOTHING
    assert heard.final("You are late?") == Change(("late?",), retracted=1)


@given(st.lists(st.tuples(st.booleans(), TEXTS), max_size=12))
def test_the_changes_add_up_to_what_is_certain(steps: list[tuple[bool, str]]) -> None:
    heard, reader = Agreement(), list[str]()
    for last, text in steps:
        change = heard.final(text) if last else heard.partial(text)
        assert change.retracted <= len(reader)
        del reader[len(reader) - change.retracted :]
        reader += change.words
        assert tuple(reader) == heard.words
        if last:
            bare = [word.lower().rstrip(".,") for word in reader]
            assert bare == [word.lower().rstrip(".,") for word in text.split()]


@given(st.lists(WORDS, min_size=1, max_size=10), st.integers(0, 3))
def test_a_recognizer_that_only_adds_words_takes_none_back(words: list[str], step: int) -> None:
    heard = Agreement()
    for end in range(0, len(words) + 1, step + 1):
        heard.partial(" ".join(words[:end]))
        assert len(heard.words) <= end
    heard.final(" ".join(words))
    assert heard.retractions == 0
