"""Words of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.text import words_of


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
