"""A conversation as Mistral's models insist on it, and the calls of functions in what they write: both pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from antiphon.core.speech import Message
from antiphon.engines.chat_messages import chat_messages, instructions_in_front

TOOL_CALLS = "[TOOL_CALLS]"
"""The mark after which the model writes calls and no more text."""
_ARGUMENTS = "[ARGS]"
_CALL_ID = "[CALL_ID]"

_GO_ON = "Go on."
_UNSEEN = "(a picture, which you cannot see)"
_ID_LENGTH = 9


def mistral_chat(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """The messages in the form of chat completions, audio as ``input_audio``.

    The instructions open the first thing that the user said: models that hear were trained without others. The user
    has the first word and the last, and ids of calls have nine letters and digits.
    """
    chat = instructions_in_front(chat_messages(messages, hearing=True))
    if not chat or chat[0]["role"] != "user":
        chat.insert(0, {"role": "user", "content": _GO_ON})
    if chat[-1]["role"] == "assistant":
        chat.append({"role": "user", "content": _GO_ON})
    return [_fitting(message) for message in chat]


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _fitting(message: dict[str, Any]) -> dict[str, Any]:
    """A message with the ids and the parts that the model knows."""
    match message["role"]:
        case "tool":
            return message | {"tool_call_id": _short(message["tool_call_id"])}
        case "assistant" if message.get("tool_calls"):
            return message | {"tool_calls": [call | {"id": _short(call["id"])} for call in message["tool_calls"]]}
        case "user":
            content = message["content"]
            parts = [_text(content)] if isinstance(content, str) else content
            return message | {"content": [_text(_UNSEEN) if part["type"] == "image_url" else part for part in parts]}
        case _:
            return message


def _short(call_id: str) -> str:
    return hashlib.sha256(call_id.encode()).hexdigest()[:_ID_LENGTH]


def calls_in(written: str) -> Iterator[tuple[str, str]]:
    """The name and the arguments (a JSON text) of each call in what a model wrote from its first mark on.

    It writes a JSON list behind one mark (tokenizers before version 11), or a name and arguments behind one mark each.
    What cannot be read is left out.
    """
    for piece in written.split(TOOL_CALLS)[1:]:
        name, mark, arguments = piece.partition(_ARGUMENTS)
        try:
            if mark:
                orjson.loads(arguments)
                yield name.partition(_CALL_ID)[0].strip(), arguments.strip()
                continue
            for call in orjson.loads(piece):
                given = call["arguments"]
                yield str(call["name"]), given if isinstance(given, str) else orjson.dumps(given).decode()
        except (orjson.JSONDecodeError, TypeError, KeyError):
            continue
