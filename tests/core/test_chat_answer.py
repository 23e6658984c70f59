"""Chunks of chat completions as deltas. What servers send is tested with their clients: ``test_openai_chat``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta
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
