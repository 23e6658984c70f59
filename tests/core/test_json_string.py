"""A JSON string's text, the same however its characters come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.json_string import JsonString


def read(*fragments: str) -> tuple[str, JsonString]:
    string = JsonString()
    pieces = [piece for fragment in fragments for piece in string.push(fragment)]
    written = "".join(raw for _, raw in pieces)
    assert "".join(fragments).startswith(written)
    return "".join(text for text, _ in pieces), string


@given(st.text(), st.booleans(), st.data())
def test_it_reads_what_json_wrote_cut_anywhere(text: str, ascii_only: bool, data: st.DataObject) -> None:
    source = json.dumps(text, ensure_ascii=ascii_only)[1:] + "}}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(source)), max_size=5)))
    fragments = [source[start:end] for start, end in zip([0, *cuts], [*cuts, len(source)], strict=True)]
    found, string = read(*fragments)
    assert found == json.loads(json.dumps(text))
    assert string.closed
    assert string.rest.endswith("}}") or "}}".endswith(string.rest)


@given(st.text(alphabet='a\\u"0d8D{\n', max_size=20))
def test_any_nonsense_is_read_the_same_letter_by_letter(source: str) -> None:
    whole, string = read(source)
    by_letter, other = read(*source)
    assert whole == by_letter
    assert (string.closed, len(string.rest)) == (other.closed, len(other.rest)) or string.closed


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('a line\nbreak"', "a line\nbreak"),
        (r"it\'s" + '"', "it's"),
        (r"\ud83d\ude00" + '"', "\U0001f600"),
        (r"\ud83d alone" + '"', "\ufffd alone"),
        (r"\uZZ" + '"', "\ufffdZZ"),
    ],
)
def test_what_json_does_not_allow_is_read_as_it_is_meant(source: str, text: str) -> None:
    assert read(*source)[0] == text


def test_an_escape_waits_for_its_end() -> None:
    found, string = read("abc\\u00")
    assert (found, string.rest, string.closed) == ("abc", "\\u00", False)
