from __future__ import annotations

import pytest

from antiphon.core.breaks import Break, break_after
from antiphon.core.reading import Chunk

NONE, PAUSE, SENTENCE = Break.NONE, Break.PAUSE, Break.SENTENCE


def chunk(text: str, *, line_start: bool = False) -> Chunk:
    return Chunk(text, len(text), True, line_start)


@pytest.mark.parametrize(
    ("text", "follower", "found"),
    [
        ("word", "A", NONE),
        ("word,", "a", PAUSE),
        ("word.", "A", SENTENCE),
        ("word.", "a", PAUSE),
        ("(word.)", "A", SENTENCE),
        ("**word!**", "A", SENTENCE),
        ("word?", "a", PAUSE),
        ("word...", "a", PAUSE),
        ("word...", "A", SENTENCE),
        ("Dr.", "A", NONE),
        ("J.", "A", NONE),
        ("U.S.", "A", NONE),
        ("etc.", "A", SENTENCE),
        ("etc.", "a", NONE),
        ("3.", "O", PAUSE),
        ("1984.", "A", SENTENCE),
        ("\u3002", "x", SENTENCE),
        ("-", "a", PAUSE),
        ('"', "a", NONE),
    ],
)
def test_how_strong_the_boundary_after_a_chunk_is(text: str, follower: str, found: Break) -> None:
    assert break_after(chunk(text), follower) is found


def test_the_number_and_the_dash_of_a_list_begin_its_line() -> None:
    assert break_after(chunk("1.", line_start=True), "A") is NONE
    assert break_after(chunk("-", line_start=True), "A") is NONE
