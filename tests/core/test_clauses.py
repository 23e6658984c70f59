"""The clauses of a text: where they end, that nothing is lost, and that the deltas do not matter."""

from __future__ import annotations

from itertools import cycle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.core.clauses import Clause, Clauses, ClauseSettings


def clauses_of(text: str, settings: ClauseSettings | None = None) -> list[Clause]:
    clauses = Clauses(settings)
    return [*clauses.push(text), *clauses.finish()]


def spoken_of(text: str, settings: ClauseSettings | None = None) -> list[str]:
    return [clause.spoken for clause in clauses_of(text, settings) if clause.spoken]


_FRAGMENTS = [
    *[
        "Hello",
        "Dr.",
        "e.g.",
        "U.S.",
        "No.",
        "3",
        "3.14",
        "1,000",
        "10:30",
        "1.",
        "it's",
        "...",
        "…",
        ".",
        ",",
        ";",
        ":",
    ],
    *["!", "?", "?!", '"', "”", "’", "(", ")", " — ", "—", " - ", "–", "**", "*", "_", "__", "`", "``", "```", "~~~"],
    *[
        "[",
        "](",
        "](https://a.b/c_(d)",
        ")",
        "![",
        "https://example.com/a?b=c",
        "www.x.org",
        "a@b.co",
        "/usr/bin",
        "a/b",
    ],
    *[
        "$5",
        "$",
        "€",
        "%",
        "5°C",
        "&",
        "#",
        "## ",
        "- ",
        "* ",
        "1. ",
        "> ",
        "|",
        "|---|",
        "| a | b |",
        "\n",
        "\n\n",
        " ",
    ],
    *[
        "\n```python\n",
        "\n```\n",
        "x = 1\n",
        "😀",
        "👩‍👩‍👧",
        "1️⃣",
        "你好",
        "，",
        "。",
        "「",
        "」",
        "！",
        "日本語",
        "ー",
        "한국어",
        "สวัสดี",
    ],
    *[
        "and",
        "because",
        "a" * 150,
        "的" * 60,
        "\t",
        "\r\n",
        "\u3000",
        "\u00a0",
        "<br>",
        "</b>",
        "\\",
        "é",
        "e\u0301",
        "\x00",
    ],
]
fragments = st.lists(st.sampled_from(_FRAGMENTS), max_size=40).map("".join)
spaced = st.lists(st.sampled_from(_FRAGMENTS), max_size=40).map(" ".join)
texts = st.one_of(fragments, spaced, st.text(max_size=200))
some_settings = st.sampled_from([ClauseSettings(), ClauseSettings(1, 3, 5, 20), ClauseSettings(2, 2, opening_words=10)])


@given(texts, some_settings)
@example("``", ClauseSettings())
@example("[a](b", ClauseSettings())
@example("[" + "a" * 300 + "](" + "b" * 3000, ClauseSettings())
def test_nothing_is_lost(text: str, settings: ClauseSettings) -> None:
    clauses = clauses_of(text, settings)
    assert "".join(clause.source for clause in clauses) == text
    assert all(clause.source for clause in clauses)


def split_by(text: str, sizes: list[int]) -> list[str]:
    """The text in pieces of these sizes, over and over."""
    pieces: list[str] = []
    at = 0
    for size in cycle(sizes):
        if at >= len(text):
            return pieces
        pieces.append(text[at : at + size])
        at += size
    return pieces


@given(texts, some_settings, st.lists(st.integers(1, 12), min_size=1, max_size=20))
@example("[文](https://例.jp/日本語) ok", ClauseSettings(), [1])
@example("a" * 150 + "://b. C", ClauseSettings(), [1])
def test_how_the_text_was_split_does_not_matter(text: str, settings: ClauseSettings, sizes: list[int]) -> None:
    clauses = Clauses(settings)
    pieces = [clause for delta in split_by(text, sizes) for clause in clauses.push(delta)]
    assert [*pieces, *clauses.finish()] == clauses_of(text, settings)


@given(texts, some_settings)
def test_a_clause_comes_as_soon_as_its_end_is_certain(text: str, settings: ClauseSettings) -> None:
    """Whatever has been seen gives the same clauses whether it came by the character or at once."""
    slowly = Clauses(settings)
    so_far: list[Clause] = []
    for end in range(1, len(text) + 1):
        so_far += slowly.push(text[end - 1])
        if end % 7 == 0:
            assert Clauses(settings).push(text[:end]) == so_far


@given(texts, some_settings)
def test_what_is_spoken_can_be_spoken(text: str, settings: ClauseSettings) -> None:
    for clause in clauses_of(text, settings):
        assert clause.spoken == clause.spoken.strip()
        assert not clause.spoken or any(map(str.isalnum, clause.spoken))
        assert "\n" not in clause.spoken


@given(texts, some_settings)
@example("This is a thing you know and should like a lot", ClauseSettings())
def test_marks_run_through_both_texts(text: str, settings: ClauseSettings) -> None:
    for clause in clauses_of(text, settings):
        spoken_ends, source_ends = zip(*clause.marks, strict=True)
        assert list(spoken_ends) == sorted(spoken_ends)
        assert list(source_ends) == sorted(set(source_ends))
        assert clause.marks[-1] == (len(clause.spoken), len(clause.source))


@given(st.text(alphabet="ab天กé ,.!", max_size=2000))
def test_no_clause_grows_without_bound(text: str) -> None:
    for clause in clauses_of(text):
        assert len(clause.source.strip()) <= 2 * ClauseSettings().max_chars


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ('"Stop!" he said. "Why?" she asked.', ['"Stop!" he said.', '"Why?" she asked.']),
        ("**Done.** Next (really.) And so.", ["Done.", "Next (really.)", "And so."]),
        ("Dr. Smith met Mr. J. K. Jones of the U.S. Army.", ["Dr. Smith met Mr. J. K. Jones of the U.S. Army."]),
        ("Come at 5 p.m. today. Or at 6 p.m. We wait.", ["Come at 5 p.m. today.", "Or at 6 p.m.", "We wait."]),
        ("Fruit, e.g. apples, etc. Then more.", ["Fruit, e.g. apples,", "etc.", "Then more."]),
        ("No. 5 is alive. No. It is not.", ["No. 5 is alive.", "No.", "It is not."]),
        ("Pi is 3.14 and 1,000 is big at 10:30. Yes.", ["Pi is 3.14 and 1000 is big at 10 30.", "Yes."]),
        ("Use version 1.2.3 now. It works.", ["Use version 1 point 2 point 3 now.", "It works."]),
        ("Well... maybe. Well... Maybe.", ["Well... maybe.", "Well...", "Maybe."]),
        ("Go to example.com. It is good.", ["Go to example dot com.", "It is good."]),
        ("One line\nanother line\n\nA paragraph", ["One line", "another line", "A paragraph"]),
        ("# Title\n- one\n* two\n3. three\n> quoted", ["Title", "one", "two", "3, three", "quoted"]),
        ("Look:\n```python\nprint('x.')\n```\nNice.", ["Look:", "Nice."]),
        ("```print``` it is.", ["print it is."]),
        ("| Name | Age |\n|---|---|\n| Bob | 5 |", ["Name, Age", "Bob, 5"]),
        ("See [the docs](https://a.b/c_(d)). Good.", ["See the docs.", "Good."]),
        (
            "你好！今天天气很好，我们去公园。「好的。」他说。",
            ["你好！", "今天天气很好，我们去公园。", "「好的。」", "他说。"],
        ),
        ("看[文档](https://例.jp/日本)吧。", ["看文档吧。"]),
        ("OK！好", ["OK！", "好"]),
    ],
)
def test_where_clauses_end(text: str, clauses: list[str]) -> None:
    settings = ClauseSettings(first_min_words=3, first_max_words=12, min_chars=60)
    assert spoken_of(text, settings) == clauses


def test_the_first_clause_ends_early() -> None:
    text = "Of course, I can explain that, and I will do it as slowly as you like, step by step."
    assert spoken_of(text) == [
        "Of course,",
        "I can explain that, and I will do it as slowly as you like,",
        "step by step.",
    ]


def test_a_lone_word_does_not_make_a_first_clause() -> None:
    assert spoken_of("Sure, it is Monday.") == ["Sure, it is Monday."]


def test_a_long_first_clause_is_cut_at_a_connective() -> None:
    assert spoken_of("This is a thing you know and should like a lot")[0] == "This is a thing you know"
    assert spoken_of("This is one thing you should like a lot")[0] == "This is one thing you should like a"


def test_silent_text_leaves_the_first_clause_to_come() -> None:
    first, second, *_ = clauses_of("😀\nOf course, I can do it.")
    assert (first.spoken, first.source) == ("", "😀")
    assert second.spoken == "Of course,"


def test_a_later_clause_is_cut_at_its_cap() -> None:
    words = "Yes. " + "lorem ipsum dolor sit amet " * 20
    for clause in clauses_of(words)[1:]:
        assert len(clause.source) <= ClauseSettings().max_chars + len("lorem ")


def test_text_without_spaces_is_cut_by_characters() -> None:
    assert max(map(len, spoken_of("天" * 300))) <= ClauseSettings().max_chars // 3 + 1
    assert max(map(len, spoken_of("ก" * 1000))) <= ClauseSettings().max_chars


@pytest.mark.parametrize(
    ("text", "clause"),
    [("Hello there. H", "Hello there."), ("Hello there.\n", "Hello there."), ("Of course, I", "Of course,")],
)
def test_a_clause_is_given_with_the_first_character_after_it(text: str, clause: str) -> None:
    clauses = Clauses()
    assert clauses.push(text[:-1]) == []
    assert [c.spoken for c in clauses.push(text[-1])] == [clause]


def test_markup_may_span_deltas() -> None:
    clauses = Clauses()
    pieces = [c for delta in ("This is **bo", "ld** and [li", "nk](htt", "p://a.b) ok.") for c in clauses.push(delta)]
    assert [c.spoken for c in [*pieces, *clauses.finish()]] == ["This is bold and link ok."]


def test_symbols_are_named_in_the_language_of_the_voice() -> None:
    clauses = Clauses(language="de-DE")
    assert [c.spoken for c in [*clauses.push("Das kostet 5€ & mehr."), *clauses.finish()]] == [
        "Das kostet 5 Euro und mehr."
    ]


WORDS_EARLY = ClauseSettings(first_min_words=2, first_max_words=2, opening_words=10)
LONG = (
    "I would think that you could take the tram from the station to the museum and then walk along the canal for a bit."
)


def test_with_words_early_the_first_two_are_a_clause_and_the_next_ones_grow() -> None:
    pieces = [clause.spoken.split() for clause in clauses_of(LONG, WORDS_EARLY)]
    assert [len(piece) for piece in pieces[:3]] == [2, 4, 8]
    assert [word for piece in pieces for word in piece] == LONG.split()


def test_a_pause_or_a_sentence_ends_an_early_clause_before_that() -> None:
    text = "Yes. Well, I see, that is what I had in mind for it, and so on and on it goes for a while."
    pieces = [clause.spoken for clause in clauses_of(text, WORDS_EARLY)]
    assert pieces[:3] == ["Yes.", "Well, I", "see, that is what I had"]
