"""Conversations as chat completions want them; tool calls and thoughts as servers stream them."""

from __future__ import annotations

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.settings import Tool
from antiphon.core.speech import Message, ToolCallDelta
from antiphon.engines.chat_messages import (
    CallCollector,
    ThoughtFilter,
    chat_messages,
    chat_tools,
    instructions_in_front,
)
from antiphon.riff import parse_wav


def test_a_plain_conversation() -> None:
    messages = (Message("system", "Be kind."), Message("user", "Hi."), Message("assistant", "Hello."))
    assert chat_messages(messages) == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
    ]


def test_what_was_said_is_sent_as_audio_to_those_who_hear() -> None:
    messages = (Message("user", "Hi.", audio=b"\1\0" * 160), Message("user", "What is this?"))
    [message] = chat_messages(messages, hearing=True)
    sound, text = message["content"]
    assert (sound["type"], sound["input_audio"]["format"]) == ("input_audio", "wav")
    riff = parse_wav(base64.b64decode(sound["input_audio"]["data"]))
    assert (riff.rate_hz, riff.channels, riff.data) == (16_000, 1, b"\1\0" * 160)
    assert text == {"type": "text", "text": "What is this?"}
    assert chat_messages(messages) == [{"role": "user", "content": "Hi.\nWhat is this?"}]


def test_instructions_can_open_what_the_user_says() -> None:
    messages = (Message("system", "Be kind."), Message("user", "Hi."), Message("system", "Be brief."))
    assert instructions_in_front(chat_messages(messages)) == [
        {"role": "user", "content": "Be kind.\n\nBe brief.\nHi."},
    ]
    assert instructions_in_front(chat_messages(messages[:1])) == [{"role": "user", "content": "Be kind."}]
    assert instructions_in_front(chat_messages(messages[1:2])) == [{"role": "user", "content": "Hi."}]


def test_a_turn_in_several_goes_is_one_message() -> None:
    messages = (Message("user", "Hi."), Message("user", "What is this?", images=("data:x",)), Message("user", "Look!"))
    assert chat_messages(messages) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Hi."},
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "data:x"}},
                {"type": "text", "text": "Look!"},
            ],
        }
    ]
    assert chat_messages(messages[::2]) == [{"role": "user", "content": "Hi.\nLook!"}]


def test_what_systems_say_one_after_the_other_is_one_message() -> None:
    messages = (Message("system", "Be kind."), Message("system", "They said hello."), Message("user", "Hi."))
    assert chat_messages(messages)[0] == {"role": "system", "content": "Be kind.\nThey said hello."}
    assert len(chat_messages(messages)) == 2


def test_results_follow_their_calls_and_none_is_missing() -> None:
    messages = (
        Message("user", "Two things."),
        Message("assistant", call_id="a", name="f", arguments='{"x": 1}'),
        Message("assistant", call_id="b", name="g", arguments=""),
        Message("user", "Well?"),
        Message("tool", "done", call_id="a"),
        Message("tool", "of nobody", call_id="z"),
    )
    assert chat_messages(messages) == [
        {"role": "user", "content": "Two things."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": "done"},
        {"role": "tool", "tool_call_id": "b", "content": "(no result yet)"},
        {"role": "user", "content": "Well?"},
    ]


def test_tools_and_their_choice() -> None:
    assert chat_tools((), "required") == {}
    sent = chat_tools((Tool("f", "does f"),), "function:f")
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert sent["tools"][0]["function"]["parameters"] == {"type": "object", "properties": {}}
    assert chat_tools((Tool("f"),), "none")["tool_choice"] == "none"


def piece(index: int | None, call_id: str | None, name: str | None, arguments: Any) -> SimpleNamespace:
    return SimpleNamespace(index=index, id=call_id, function=SimpleNamespace(name=name, arguments=arguments))


def collected(*pieces: SimpleNamespace, taken: frozenset[str] = frozenset()) -> list[tuple[str, str, str]]:
    collector = CallCollector(taken, "call_x")
    deltas: list[ToolCallDelta] = []
    for each in pieces:
        deltas += collector.push(each)
    deltas += collector.finish()
    calls: dict[str, tuple[str, str]] = {}
    for delta in deltas:
        name, arguments = calls.get(delta.call_id, (delta.name, ""))
        assert name == delta.name
        calls[delta.call_id] = (name, arguments + delta.arguments)
    return [(call_id, *rest) for call_id, rest in calls.items()]


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        pytest.param(
            [piece(0, "a", "f", ""), piece(0, None, None, '{"x"'), piece(0, None, None, ":1}")],
            [("a", "f", '{"x":1}')],
            id="as OpenAI does",
        ),
        pytest.param(
            [piece(0, "a", "f", "{}"), piece(1, "b", "g", '{"y"'), piece(1, None, None, ":2}")],
            [("a", "f", "{}"), ("b", "g", '{"y":2}')],
            id="two calls",
        ),
        pytest.param(
            [piece(0, "a", "f", '{"x":1}'), piece(0, "b", "f", '{"x":2}')],
            [("a", "f", '{"x":1}'), ("b", "f", '{"x":2}')],
            id="whole calls, all with index 0",
        ),
        pytest.param(
            [piece(None, None, "f", '{"x"'), piece(None, None, None, ":1}")],
            [("call_x_0", "f", '{"x":1}')],
            id="neither index nor id",
        ),
        pytest.param(
            [piece(0, "a", "f", '{"x"'), piece(0, "a", "f", ":1}")],
            [("a", "f", '{"x":1}')],
            id="id and name on every piece",
        ),
        pytest.param([piece(0, "a", "f", "")], [("a", "f", "{}")], id="no arguments"),
        pytest.param([piece(0, "a", "f", None)], [("a", "f", "{}")], id="null arguments"),
        pytest.param([piece(0, "a", "f", {"x": 1})], [("a", "f", '{"x": 1}')], id="an object as arguments"),
        pytest.param([piece(0, "old", "f", "{}")], [("call_x_0", "f", "{}")], id="an id that was used before"),
    ],
)
def test_calls_are_put_together(pieces: list[SimpleNamespace], calls: list[tuple[str, str, str]]) -> None:
    assert collected(*pieces, taken=frozenset({"old"})) == calls


TEXT = st.lists(st.sampled_from(["<think>", "</think>", "<", "think", ">", "a", " ", "</"]), max_size=12).map("".join)


@given(TEXT, st.lists(st.integers(0, 60), max_size=6))
def test_thoughts_are_found_wherever_the_text_is_cut(text: str, cuts: list[int]) -> None:
    def filtered(pieces: list[str]) -> str:
        thoughts = ThoughtFilter()
        return "".join([thoughts.push(each) for each in pieces]) + thoughts.finish()

    edges = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    whole = filtered([text])
    assert filtered([text[start:end] for start, end in zip(edges, edges[1:], strict=False)]) == whole  # noqa: RUF007
    assert "<think>" not in whole
    if "<think>" not in text:
        assert whole == text


def test_what_follows_a_thought_begins_without_its_blank_lines() -> None:
    thoughts = ThoughtFilter()
    assert [thoughts.push(each) for each in ("Hm <thi", "nk> so", "</think>", "\n\n", " Well,", " yes")] == [
        "Hm ",
        "",
        "",
        "",
        "Well,",
        " yes",
    ]
    assert thoughts.finish() == ""
