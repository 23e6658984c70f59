"""Conversations as Mistral's models insist on them, and the calls that they write."""

from __future__ import annotations

import pytest

from antiphon.core.speech import Message
from antiphon.engines.mistral_chat import calls_in, mistral_chat

SOUND = b"\1\0" * 160


def test_the_instructions_open_what_the_user_said() -> None:
    chat = mistral_chat((Message("system", "Be kind."), Message("user", "hello", audio=SOUND)))
    assert [message["role"] for message in chat] == ["user"]
    told, sound = chat[0]["content"]
    assert told == {"type": "text", "text": "Be kind."}
    assert sound["type"] == "input_audio"
    assert sound["input_audio"]["format"] == "wav"


def test_words_stand_where_there_is_no_audio() -> None:
    messages = (Message("user", "hello"), Message("assistant", "Good day."), Message("user", audio=SOUND))
    first, second, third = mistral_chat(messages)
    assert first == {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    assert second == {"role": "assistant", "content": "Good day."}
    assert [part["type"] for part in third["content"]] == ["input_audio"]


@pytest.mark.parametrize(
    "messages",
    [
        (Message("system", "Greet the user."),),
        (Message("assistant", "Good day."), Message("user", "Hello.")),
        (Message("user", "Hello."), Message("assistant", "Good day.")),
        (),
    ],
)
def test_the_user_has_the_first_word_and_the_last(messages: tuple[Message, ...]) -> None:
    chat = mistral_chat(messages)
    assert chat[0]["role"] == chat[-1]["role"] == "user"
    assert all(message["content"] for message in chat)


def test_a_call_and_its_result_keep_one_id_of_nine_characters() -> None:
    call = Message("assistant", call_id="call_abcdefghijklmnop", name="now", arguments="{}")
    chat = mistral_chat((Message("user", "What time is it?"), call, Message("tool", "noon", call_id=call.call_id)))
    [asked] = chat[1]["tool_calls"]
    assert len(asked["id"]) == 9
    assert asked["id"].isalnum()
    assert chat[2] == {"role": "tool", "tool_call_id": asked["id"], "content": "noon"}


def test_a_picture_is_said_not_to_be_seen() -> None:
    [message] = mistral_chat((Message("user", "Look!", images=("data:x",)),))
    assert [part["type"] for part in message["content"]] == ["text", "text"]


@pytest.mark.parametrize(
    ("written", "calls"),
    [
        ("", []),
        ('[TOOL_CALLS][{"name": "now", "arguments": {"zone": "UTC"}}]', [("now", '{"zone":"UTC"}')]),
        ('[TOOL_CALLS][{"name": "f", "arguments": "{}"}, {"name": "g", "arguments": {}}]', [("f", "{}"), ("g", "{}")]),
        ('[TOOL_CALLS]now[ARGS]{"zone": "UTC"}', [("now", '{"zone": "UTC"}')]),
        ("[TOOL_CALLS]f[CALL_ID]123456789[ARGS]{}[TOOL_CALLS]g[ARGS]{}", [("f", "{}"), ("g", "{}")]),
        ('[TOOL_CALLS][{"name": "now", "argum', []),
        ("[TOOL_CALLS]now[ARGS]{not json", []),
        ("[TOOL_CALLS]42", []),
    ],
)
def test_calls_are_read_in_both_forms_and_what_cannot_be_read_is_left_out(
    written: str, calls: list[tuple[str, str]]
) -> None:
    assert list(calls_in(written)) == calls
