"""How long the next piece may be, and whether two clauses as one are what they would have been without the cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.clauses import Clause, Clauses, ClauseSettings
from antiphon.core.pieces import (
    LEAST_CHARS,
    LONGEST_WAIT_S,
    MOST_CHARS,
    is_whole,
    joined,
    longest_chars,
    may_join,
    patience_s,
)


def clauses_of(text: str, settings: ClauseSettings | None = None) -> list[Clause]:
    clauses = Clauses(settings)
    return [*clauses.push(text), *clauses.finish()]


@pytest.mark.parametrize(
    ("buffered_s", "wait_per_s", "chars"),
    [
        (0.0, 0.0, 0),
        (0.5, 0.1, 52),
        (1.0, 0.1, 105),
        (2.0, 0.1, MOST_CHARS),
        (2.0, 0.5, 42),  # this voice makes all of a piece before it gives any: it is handed less
        (2.0, 2.0, LEAST_CHARS),
    ],
)
def test_pieces_grow_with_what_is_buffered(buffered_s: float, wait_per_s: float, chars: int) -> None:
    assert longest_chars(buffered_s, wait_per_s) == chars


SECONDS = st.floats(0.0, 40.0)


@given(SECONDS, SECONDS, st.floats(0.0, 5.0))
def test_more_in_the_buffer_never_means_less_in_a_piece(one_s: float, other_s: float, wait_per_s: float) -> None:
    less, more = sorted((one_s, other_s))
    assert longest_chars(less, wait_per_s) <= longest_chars(more, wait_per_s) <= MOST_CHARS
    assert patience_s(less, wait_per_s) <= patience_s(more, wait_per_s) <= LONGEST_WAIT_S


@given(SECONDS, st.floats(0.0, 5.0))
def test_a_piece_that_waited_still_sounds_in_time(buffered_s: float, first_audio_s: float) -> None:
    waited_s = patience_s(buffered_s, first_audio_s)
    assert waited_s == 0 or buffered_s - waited_s > first_audio_s


TEXTS = (
    "Sure, I can help with that, and it will not take very long. The weather is cloudy. Would you like to know more?",
    "That is $12.50, or 20% less than before:\n\n- two coffees\n- one sandwich\n\nDr. Jones said so.",
    "你好，我可以帮你。今天的天气很好，你想出去走走吗？",
    "Wait... really? *Yes*, **really**, see [this page](https://example.com/plants) for more! 😀 Bye.",
)


@pytest.mark.parametrize("text", TEXTS)
@given(data=st.data())
def test_joined_clauses_read_as_if_there_was_no_cut(text: str, data: st.DataObject) -> None:
    pieces = clauses_of(text, ClauseSettings(first_max_words=3, min_chars=8, max_chars=30))
    whole = pieces.pop(0)
    for piece in pieces:
        if may_join(whole, piece, 10_000) and data.draw(st.booleans()):
            together = joined(whole, piece)
            assert together.source == whole.source + piece.source
            assert together.marks[-1] == (len(together.spoken), len(together.source))
            assert list(together.marks) == sorted(together.marks)
            assert "".join(together.spoken.split()) == "".join((whole.spoken + piece.spoken).split())
            whole = together
        else:
            whole = piece


def test_words_are_not_glued_together_and_chinese_is_not_torn() -> None:
    first, second = clauses_of("Well then, that is all of it, and more.", ClauseSettings(min_chars=5))[:2]
    assert joined(first, second).spoken == "Well then, that is all of it,"
    chinese = clauses_of("你好，我可以帮你。今天的天气很好，你想出去走走吗？", ClauseSettings(min_chars=5))
    assert " " not in joined(chinese[0], chinese[1]).spoken


def test_what_is_no_breath_is_not_joined() -> None:
    heading, item, *_ = clauses_of("Two coffees\nOne sandwich\n")
    assert not may_join(heading, item, 1000), "the end of the line is the pause"
    assert not may_join(Clause("", "```x```", ((0, 7),)), item, 1000)
    one, two = clauses_of("This is one. This is two.")
    assert may_join(one, two, len(one.spoken) + len(two.spoken) + 1)
    assert not may_join(one, two, len(one.spoken) + len(two.spoken))


def test_a_whole_sentence_of_some_length_is_a_piece() -> None:
    short, long = clauses_of("Yes. That is what I have been thinking for a while now.")
    assert not is_whole(short)
    assert is_whole(long)
