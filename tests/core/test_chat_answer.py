"""Chunks of chat completions as deltas. What servers send is tested with their clients: ``test_openai_chat``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.engines.chat_answer import ChatAnswer


def chunk(content: str | None = None, reason: str | None = None, usage: Any = None) -> Any:
    delta = SimpleNamespace(content=content, tool_calls=None)
    return SimpleNamespace(usage=usage, choices=[SimpleNamespace(finish_reason=reason, delta=delta)])


def answer() -> ChatAnswer:
    return ChatAnswer(BrainRequest((Message("user", "hi"),)))


def test_text_and_end() -> None:
    one = answer()
    assert not one.began
    assert one.push(chunk("Good ")) == [TextDelta("Good ")]
    assert one.began
    assert one.push(chunk("<think>hm</think>day", "length")) == [TextDelta("day")]
    assert one.finish() == [Finish("length")]


def test_what_it_took() -> None:
    details = SimpleNamespace(cached_tokens=5)
    for usage, cached in (
        (SimpleNamespace(prompt_tokens=7, completion_tokens=2, prompt_tokens_details=details), 5),
        (SimpleNamespace(prompt_tokens=7, completion_tokens=2, prompt_tokens_details=None), 0),
        (SimpleNamespace(prompt_tokens=7, completion_tokens=2), 0),
    ):
        one = answer()
        one.push(chunk("x", usage=usage))
        assert one.finish() == [Finish("stop", 7, 2, cached)]


def test_half_a_character_waits_for_the_other() -> None:
    one = answer()
    assert one.push(chunk("so \ud83d")) == [TextDelta("so ")]
    assert one.push(chunk("\ude00")) == [TextDelta("\U0001f600")]
    assert one.push(chunk("\ud83d")) == []
    assert one.finish() == [TextDelta("\ufffd"), Finish("stop")]


def test_a_call_with_half_a_character_can_be_told() -> None:
    function = SimpleNamespace(name="note", arguments='{"a": "\ud83d"}')
    delta = SimpleNamespace(content=None, tool_calls=[SimpleNamespace(index=0, id="call_a", function=function)])
    [call] = answer().push(SimpleNamespace(usage=None, choices=[SimpleNamespace(finish_reason=None, delta=delta)]))
    assert call == ToolCallDelta("call_a", "note", '{"a": "\ufffd"}')
