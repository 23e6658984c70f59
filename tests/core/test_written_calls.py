"""Calls as models write them, read when they are complete."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.json_string import JsonString
from antiphon.core.written_calls import (
    CALL_BEGIN,
    CALL_END,
    NATIVELY_SAYS,
    SAYS,
    escaped,
    object_of,
    read_call,
    text_of,
)


@pytest.mark.parametrize(
    ("body", "name", "arguments"),
    [
        ('{"name": "f", "arguments": {"x": 1}}', "f", {"x": 1}),
        ('{"name": "f", "parameters": {"x": 1}}', "f", {"x": 1}),
        ('{"name": "f", "arguments": "{\\"x\\": 1}"}', "f", {"x": 1}),
        ('{"name": "f", "arguments": ""}', "f", {}),
        ('\n{"name": "f"}\n', "f", {}),
        ('{"name": "f", "arguments": [1]}', None, {}),
        ('{"name": "f", "arguments": "no"}', None, {}),
        ('{"name": ""}', None, {}),
        ('{"name": 5}', None, {}),
        ("[1]", None, {}),
        ("f(1)", None, {}),
        ("[" * 100_000, None, {}),
    ],
)
def test_a_call_as_text(body: str, name: str | None, arguments: dict[str, object]) -> None:
    assert read_call(body) == (name, arguments)


def test_objects_and_their_texts() -> None:
    assert object_of('{"text": "a\nb"}') == {"text": "a\nb"}, "a bare line break is one"
    assert object_of('"text"') is None
    assert text_of({"text": "hello"}) == "hello"
    assert text_of({"text": 5}) == text_of({}) == ""


@given(st.text())
def test_what_is_said_by_a_call_can_be_written_as_one_and_read_again(text: str) -> None:
    body = (CALL_BEGIN + escaped(text) + CALL_END).removeprefix("<tool_call>").removesuffix("</tool_call>")
    assert read_call(body) == ("speak", {"text": text})
    said = SAYS.match(body)
    assert said is not None
    string = JsonString()
    assert "".join(piece for piece, _ in string.push(body[said.end() :])) == text
    assert string.closed


def test_where_the_text_of_a_native_call_begins() -> None:
    arguments = json.dumps({"text": "hello"})
    said = NATIVELY_SAYS.match(arguments)
    assert said is not None
    assert arguments[said.end() :] == 'hello"}'
    assert NATIVELY_SAYS.match('{"mood": "glad"') is None
