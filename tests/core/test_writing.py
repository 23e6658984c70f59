"""Requests to a model for which speech is a tool, natively or by tags alone."""

from __future__ import annotations

import json

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainRequest, Message
from antiphon.core.tool_tags import ToolTags
from antiphon.core.writing import HOW_TO_CALL, HOW_TO_SPEAK, Call, with_speech, without_functions

HELLO = BrainRequest((Message("user", "Hello."),))
WEATHER = Tool("weather", "The weather", {"type": "object"})


def test_speech_alone_is_told_in_the_instructions_that_it_has_anyway() -> None:
    asked = with_speech(HELLO)
    plain = without_functions(asked)
    assert plain is not None
    assert plain.messages == asked.messages == (Message("system", HOW_TO_SPEAK), *HELLO.messages)
    assert (plain.tools, plain.tool_choice) == ((), "auto")


def test_who_does_not_read_tags_is_not_given_any() -> None:
    assert without_functions(HELLO) is None
    assert without_functions(BrainRequest(HELLO.messages, (WEATHER,))) is None


def test_calls_that_were_made_are_read_again_as_they_would_be_written() -> None:
    called = Message("assistant", call_id="c", name="weather", arguments='{"city": "Rome"}')
    result = Message("tool", "sunny", call_id="c")
    messages = (Message("user", "How is Rome?"), Message("assistant", "Well."), called, result)
    plain = without_functions(with_speech(BrainRequest(messages, (WEATHER,), "required")))
    assert plain is not None
    told, asked, written, answered = plain.messages
    assert told.text.startswith(f"{HOW_TO_SPEAK}\n\n{HOW_TO_CALL}")
    assert json.loads(told.text.splitlines()[-1])["name"] == "weather"
    assert (asked, answered.role) == (messages[0], "user")
    assert "sunny" in answered.text
    tags = ToolTags()
    (call,) = (event for event in (*tags.push(written.text), *tags.finish()) if isinstance(event, Call))
    assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Rome"})
