"""How written text is read aloud."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.lexicon import names_in
from antiphon.core.reading import Chunk, list_number, read_aloud


def chunks_of(text: str) -> list[Chunk]:
    chunks: list[Chunk] = []
    at = 0
    for word in text.split():
        at = text.index(word, at) + len(word)
        chunks.append(Chunk(word, at, bool(chunks), not chunks))
    return chunks


def read(text: str, language: str = "en") -> str:
    return read_aloud(chunks_of(text), names_in(language))[0]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # amounts and units
        ("$5", "5 dollars"),
        ("$1", "1 dollar"),
        ("$1.", "1 dollar."),
        ("$5.50", "5 dollars and 50 cents"),
        ("$1,250.00", "1250 dollars"),
        ("£0.99", "99 pence"),
        ("$0.00", "0 dollars"),
        ("$5 million, or so", "5 million dollars, or so"),
        ("$2.5M", "2.5 million dollars"),
        ("$5-10", "5 to 10 dollars"),
        ("5€", "5 euros"),
        ("20%", "20 percent"),
        ("20 %", "20 percent"),
        ("5°C", "5 degrees Celsius"),
        ("-5 °C,", "minus 5 degrees Celsius,"),
        ("-3", "minus 3"),
        ("5km/h", "5 kilometers per hour"),
        ("10–20 km", "10 to 20 kilometers"),
        ("10–20%", "10 to 20 percent"),
        ("1,000,000", "1000000"),
        ("~5", "about 5"),
        ("#1", "number 1"),
        ("the km sign", "the km sign"),
        ("a million ways", "a million ways"),
        ("5th", "5th"),
        ("555-1234", "555-1234"),
        # times and versions
        ("10:30", "10 30"),
        ("10:05", "10 oh 5"),
        ("12:00", "12 o'clock"),
        ("12:00 pm", "12 pm"),
        ("9:30am", "9 30 AM"),
        ("v1.2.3", "v1 point 2 point 3"),
        ("3.14", "3.14"),
        # addresses
        ("https://www.example.com/docs?x=1", "example dot com slash docs"),
        ("(https://example.com/).", "(example dot com)."),
        ("https://a.org/" + "x" * 50, "a dot org"),
        ("bob.smith@example.co.uk", "bob dot smith at example dot co dot uk"),
        ("/usr/local", "slash usr slash local"),
        ("src/main.py", "src slash main dot py"),
        ("Node.js", "Node dot js"),
        ("e.g.", "e.g."),
        ("@joe", "at joe"),
        # symbols
        ("R&D & more", "R and D and more"),
        ("2*3=6", "2 times 3 equals 6"),
        ("5 * 3", "5 times 3"),
        ("5 - 3", "5 minus 3"),
        ("this - or that", "this, or that"),
        ("word—word", "word, word"),
        ("and/or", "and or"),
        ("x -> y", "x to y"),
        ("a < b", "a less than b"),
        ("C# and C++", "C sharp and C plus plus"),
        ("#news", "news"),
        # markup
        ("**bold** *it* __u__ ~~old~~ `code`", "bold it u old code"),
        ("snake_case", "snake case"),
        ("[docs](https://a.b)", "docs"),
        ("![a cat](cat.png)", "a cat"),
        ("True.[1] False[^2]", "True. False"),
        ("<https://example.com>", "example dot com"),
        ("one<br>", "one"),
        (r"\*not\*", "not"),
        ("## Title", "Title"),
        ("- [x] done", "done"),
        ("1. first", "1, first"),
        ("> quoted", "quoted"),
        ("---", ""),
        ("| a | b |", "a, b"),
        ("|:--|--:|", ""),
        # what is not said
        ("Hi 😀👩‍👩‍👧 there", "Hi there"),
        ("😀", ""),
        ("ok :) :-D", "ok"),
        ("...", ""),
        ("— and then", "and then"),
    ],
)
def test_english(text: str, spoken: str) -> None:
    assert read(text) == spoken


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("de", "1.000 € & 20%", "1000 € und 20 Prozent"),
        ("de", "10:30", "10:30"),
        ("fr-FR", "5€", "5 euros"),
        ("es", "a@b.es", "a arroba b punto es"),
        ("it", "20%", "20 per cento"),
        ("nl", "$5 & 20% **nu**", "$5 & 20% nu"),
        ("nl", "v1.2.3 is 10–20 km", "v1.2.3 is 10, 20 km"),
    ],
)
def test_other_languages(language: str, text: str, spoken: str) -> None:
    assert read(text, language) == spoken


@given(st.text(max_size=60), st.sampled_from(["en", "de", "xx"]))
def test_any_text_can_be_read(text: str, language: str) -> None:
    chunks = chunks_of(text)
    spoken, marks = read_aloud(chunks, names_in(language))
    assert [end for _, end in marks] == [chunk.end for chunk in chunks]
    assert [at for at, _ in marks] == sorted(at for at, _ in marks)
    assert not marks or marks[-1][0] == len(spoken)


def test_marks_tell_which_words_stand_for_which() -> None:
    spoken, marks = read_aloud(chunks_of("Pay **$5** 😀 now"), names_in("en"))
    assert spoken == "Pay 5 dollars now"
    assert marks == ((3, 3), (13, 10), (13, 12), (17, 16))


def test_a_number_of_a_list_stands_at_the_start_of_its_line() -> None:
    assert list_number(Chunk("12.", 3, False, True))
    assert not list_number(Chunk("12.", 3, True, False))
    assert not list_number(Chunk("1999.", 5, False, True))
