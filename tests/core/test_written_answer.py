from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines.written_answer import WrittenAnswer

TOOLS = (Tool("get_weather", ""),)
CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Par\\"}is", "days": [1, {"a": 2}]}}\n</tool_call>'
ARGUMENTS = {"city": 'Par"}is', "days": [1, {"a": 2}]}


def answer(pieces: Sequence[str], tools: tuple[Tool, ...] = TOOLS, tool_choice: str = "auto") -> list[BrainDelta]:
    written = WrittenAnswer(BrainRequest((Message("user", "hi"),), tools, tool_choice))
    deltas = [delta for piece in pieces for delta in written.push(piece)]
    return [*deltas, *written.finish("stop", 3, 2, 1)]


def parts(deltas: Sequence[BrainDelta]) -> tuple[str, list[tuple[str, object]], str]:
    """The text, the calls with their arguments, and how it ended."""
    calls: dict[str, tuple[str, str]] = {}
    for delta in deltas:
        if isinstance(delta, ToolCallDelta):
            calls[delta.call_id] = delta.name, calls.get(delta.call_id, ("", ""))[1] + delta.arguments
    finish = deltas[-1]
    assert isinstance(finish, Finish)
    assert (finish.input_tokens, finish.output_tokens, finish.cached_tokens) == (3, 2, 1)
    text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
    return text, [(name, json.loads(arguments)) for name, arguments in calls.values()], finish.reason


def test_text_passes() -> None:
    assert answer(["Hel", "lo < you"]) == [TextDelta("Hel"), TextDelta("lo < you"), Finish("stop", 3, 2, 1)]


def test_thoughts_do_not() -> None:
    assert parts(answer(["<thi", "nk>hm</think>\n\nYes"])) == ("Yes", [], "stop")


def test_calls_are_calls() -> None:
    assert parts(answer([CALL])) == ("", [("get_weather", ARGUMENTS)], "tool_calls")
    assert parts(answer(["Wait. ", CALL, "\n", CALL, "\nSo."])) == (
        "Wait. So.",
        [("get_weather", ARGUMENTS)] * 2,
        "tool_calls",
    )


def test_arguments_come_as_they_are_written() -> None:
    at = CALL.index("Par") + 1
    deltas = answer([CALL[:at], CALL[at:]])
    assert deltas[0] == ToolCallDelta(deltas[0].call_id, "get_weather", '{"city": "P')  # type: ignore[union-attr]


@given(st.lists(st.integers(0, len(CALL) * 2 + 12), max_size=12))
def test_however_it_is_cut(cuts: list[int]) -> None:
    whole = f"So: {CALL}\n{CALL} done"
    places = [0, *sorted(cuts), len(whole)]
    pieces = [whole[start:stop] for start, stop in pairwise(places)]
    assert parts(answer(pieces)) == ("So: done", [("get_weather", ARGUMENTS)] * 2, "tool_calls")


@pytest.mark.parametrize(
    "said",
    [
        '<tool_call>{"arguments": {"city": "Rome"}, "name": "get_weather"}</tool_call>',
        '<tool_call>{"name": "get_weather", "parameters": {"city": "Rome"}}</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Rome\\"}"}</tool_call>',
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Rome',
        '<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}',
        '<tool_call>{"arguments": {"city": "Rome"}, "name": "get_weather"}',
    ],
)
def test_other_forms_and_ends(said: str) -> None:
    assert parts(answer(list(said))) == ("", [("get_weather", {"city": "Rome"})], "tool_calls")


def test_no_arguments_are_an_object() -> None:
    assert parts(answer(['<tool_call>{"name": "get_weather"}</tool_call>']))[1] == [("get_weather", {})]


@pytest.mark.parametrize("said", ["<tool_call>nonsense</tool_call>", '<tool_call>{"nam', "<tool_call>[]</tool_call>"])
def test_what_cannot_be_read_is_left_out(said: str) -> None:
    assert parts(answer(["Yes.", said])) == ("Yes.", [], "stop")


def test_without_functions_all_is_text() -> None:
    assert parts(answer([CALL], tools=()))[0] == CALL
    assert parts(answer([CALL], tool_choice="none"))[0] == CALL
