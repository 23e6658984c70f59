"""Words from the times of phonemes, with a phonemizer whose sounds are the letters themselves."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.phoneme_words import timed_words

WORDS = st.lists(st.text("abcdefgh", min_size=1, max_size=8), min_size=1, max_size=12)


def found(text: str, spoken: str) -> list[tuple[str, str]]:
    """Each word that has a time, with what sounds in that time."""
    words = timed_words(text, spoken, range(len(spoken) + 1), lambda word: word.lower())
    return [(text[word.start_char : word.end_char], spoken[word.start_sample : word.end_sample]) for word in words]


def test_words_have_their_sounds_and_no_punctuation() -> None:
    assert found("Well, I do.", "wˈell, i duː.") == [("Well", "wˈell"), ("I", "i"), ("do", "duː")]


def test_words_that_run_into_each_other_are_told_apart() -> None:
    assert found("in the morning", "inthe morning") == [("in", "in"), ("the", "the"), ("morning", "morning")]


def test_a_number_is_all_that_is_said_for_it() -> None:
    said = {"3.5": "three point five"}
    spoken = "it is three point five degrees"
    words = timed_words("it is 3.5 degrees", spoken, range(len(spoken) + 1), lambda word: said.get(word, word))
    assert [spoken[word.start_sample : word.end_sample] for word in words] == [
        "it",
        "is",
        "three point five",
        "degrees",
    ]


def test_a_sound_that_only_the_sentence_has_is_of_the_word_before() -> None:
    assert found("are in", "areɹ in") == [("are", "areɹ"), ("in", "in")]


def test_other_sounds_have_no_times() -> None:
    assert found("good morning", "xyzzy plugh quux") == []
    assert found("...", "abc") == found("abc", "...") == found("", "") == []


def test_times_are_the_edges() -> None:
    [first, second] = timed_words("ab cd", "ab cd", [10, 20, 40, 50, 60, 90], str)
    assert (first.start_sample, first.end_sample, second.start_sample, second.end_sample) == (10, 40, 50, 90)


@given(WORDS)
def test_what_is_said_word_by_word_is_found_word_by_word(words: list[str]) -> None:
    text = " ".join(words)
    assert found(text, text) == [(word, word) for word in words]


@given(WORDS, st.lists(st.tuples(st.integers(0, 100), st.sampled_from("ˈː xab")), max_size=20))
def test_whatever_is_said_words_keep_their_order(words: list[str], noise: list[tuple[int, str]]) -> None:
    text = spoken = " ".join(words)
    for place, sound in noise:
        at = place % (len(spoken) + 1)
        spoken = spoken[:at] + sound + spoken[at:]
    times = timed_words(text, spoken, range(len(spoken) + 1), str)
    edges = [edge for word in times for edge in (word.start_sample, word.end_sample)]
    assert edges == sorted(edges)
    assert all(word.start_sample < word.end_sample for word in times)
