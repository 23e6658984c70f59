"""Words of a text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.text import Halves, valid, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Uh-huh.", ["uhhuh"]),
        ("Don't stop, Mary!", ["don't", "stop", "mary"]),
        ("Don’t", ["don't"]),
        ("'quoted'", ["quoted"]),
        ("snake_case 3.14", ["snake", "case", "3", "14"]),
        ("Größe, Ελλάδα", ["größe", "ελλάδα"]),
        (" ...?! ", []),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


@given(st.text())
def test_words_hold_no_space_and_are_stable(text: str) -> None:
    words = words_of(text)
    assert all(word and not any(map(str.isspace, word)) for word in words)
    assert words_of(" ".join(words)) == words


@given(st.text(st.characters()))
def test_what_is_valid_stays_and_all_can_be_sent(text: str) -> None:
    shown = valid(text)
    shown.encode()
    if not any("\ud800" <= sign <= "\udfff" for sign in text):
        assert shown == text


@given(st.text(), st.lists(st.integers(0, 40), max_size=5))
def test_a_character_may_come_in_two_pieces(text: str, cuts: list[int]) -> None:
    units = text.encode("utf-16-le")
    ends = [0, *sorted(2 * cut for cut in cuts if 2 * cut < len(units)), len(units)]
    halves = Halves()
    pieces = [units[at:end].decode("utf-16-le", "surrogatepass") for at, end in pairwise(ends)]
    assert "".join(map(halves.push, pieces)) + halves.finish() == text


def test_half_a_character_is_none() -> None:
    halves = Halves()
    assert halves.push("a\ud83d") == "a"
    assert halves.push("b") == "\ufffdb"
    assert halves.push("\ud83d") + halves.finish() == "\ufffd"
    assert valid("\ude00") == "\ufffd"
