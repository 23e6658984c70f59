"""A conversation in the form of chat completions, and what comes back: both pure."""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.settings import Tool
from antiphon.core.speech import Message, ToolCallDelta
from antiphon.core.text import valid
from antiphon.riff import wav_of

_NO_RESULT = "(no result yet)"


def chat_messages(messages: Sequence[Message], *, hearing: bool = False) -> list[dict[str, Any]]:
    """The messages as servers insist on them. With ``hearing`` the user's are audio where there is some.

    Calls that follow on each other are one message, their results come right after it and none is missing; results of
    unknown calls are left out. What the user said in several goes is one message, and so is what systems say: many chat
    templates want the roles to alternate, and one system message.
    """
    results = {message.call_id: message.text for message in messages if message.role == "tool"}
    chat: list[dict[str, Any]] = []
    pending: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "tool":
            continue
        if message.role == "assistant" and message.name is not None:
            pending.append(_call(message))
            continue
        chat += _calls_with_results(pending, results)
        pending = []
        if message.role in ("user", "system") and chat and chat[-1]["role"] == message.role:
            chat[-1]["content"] = _joined(chat[-1]["content"], _content(message, hearing))
        else:
            chat.append({"role": message.role, "content": _content(message, hearing)})
    chat += _calls_with_results(pending, results)
    return chat


def _call(message: Message) -> dict[str, Any]:
    function = {"name": message.name, "arguments": message.arguments or "{}"}
    return {"id": message.call_id, "type": "function", "function": function}


def _calls_with_results(calls: list[dict[str, Any]], results: dict[str | None, str]) -> Iterator[dict[str, Any]]:
    if calls:
        yield {"role": "assistant", "content": None, "tool_calls": calls}
    for call in calls:
        yield {"role": "tool", "tool_call_id": call["id"], "content": results.get(call["id"], _NO_RESULT)}


def _content(message: Message, hearing: bool) -> str | list[dict[str, Any]]:
    pictures: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
    if hearing and message.audio:
        return [_sound(message.audio), *pictures]
    if not pictures:
        return message.text
    return [{"type": "text", "text": message.text}, *pictures] if message.text else pictures


def instructions_in_front(chat: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same without system messages: what they say opens the user's first message, where there is one in front."""
    told = "\n\n".join(message["content"] for message in chat if message["role"] == "system" and message["content"])
    rest = [message for message in chat if message["role"] != "system"]
    if not told:
        return rest
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": told}, *rest]
    return [rest[0] | {"content": _joined(told, rest[0]["content"])}, *rest[1:]]


def _sound(pcm: bytes) -> dict[str, Any]:
    data = binascii.b2a_base64(wav_of(pcm, EAR_RATE_HZ), newline=False).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _joined(first: str | list[dict[str, Any]], second: str | list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n{second}"
    parts = [[{"type": "text", "text": each}] if isinstance(each, str) else each for each in (first, second)]
    return parts[0] + parts[1]


def chat_tools(tools: Sequence[Tool], tool_choice: str) -> dict[str, Any]:
    """The request's ``tools`` and ``tool_choice``; neither when there are no tools, which some servers refuse."""
    if not tools:
        return {}
    choice: Any = tool_choice
    if tool_choice.startswith("function:"):
        choice = {"type": "function", "function": {"name": tool_choice.removeprefix("function:")}}
    functions = [
        {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.parameters or {"type": "object", "properties": {}},
        }
        for tool in tools
    ]
    return {"tools": [{"type": "function", "function": function} for function in functions], "tool_choice": choice}


@dataclass(slots=True)
class _OpenCall:
    index: int | None
    server_id: str | None
    call_id: str
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class CallCollector:
    """Puts the pieces of streamed calls together, as different servers send them.

    Pieces belong together by their index, but some servers leave it out, give all calls the index 0, omit the id or
    send a number as one, or send a whole call at once; ids that the conversation has already are replaced.
    """

    def __init__(self, taken: frozenset[str], fallback_id: str) -> None:
        """``taken`` are the ids of the conversation; ``fallback_id`` begins those that are made up here."""
        self._taken = taken
        self._fallback_id = fallback_id
        self._calls: list[_OpenCall] = []

    @property
    def any(self) -> bool:
        return bool(self._calls)

    def push(self, piece: Any) -> Iterator[ToolCallDelta]:
        """Takes one entry of a chunk's ``tool_calls``."""
        function = piece.function
        name = (function.name if function else None) or ""
        arguments = (function.arguments if function else None) or ""
        if not isinstance(arguments, str):
            arguments = json.dumps(arguments)
        name, arguments = valid(name), valid(arguments)
        call = self._call_of(getattr(piece, "index", None), str(piece.id) if piece.id else None, name)
        call.name = call.name or name
        if arguments:
            call.arguments.append(arguments)
        if call.name and (name or arguments):
            yield ToolCallDelta(call.call_id, call.name, arguments)

    def finish(self) -> Iterator[ToolCallDelta]:
        """Gives calls without arguments an empty object, so that theirs are JSON too."""
        for call in self._calls:
            if call.name and not call.arguments:
                yield ToolCallDelta(call.call_id, call.name, "{}")

    def _call_of(self, index: int | None, server_id: str | None, name: str) -> _OpenCall:
        for call in reversed(self._calls):
            same_place = index is None or call.index == index
            another = bool(server_id and name and call.name and call.server_id != server_id)
            if same_place and not another:
                return call
        number = len(self._calls)
        unused = server_id and server_id not in self._taken and all(server_id != c.call_id for c in self._calls)
        call_id = server_id if server_id and unused else f"{self._fallback_id}_{number}"
        self._calls.append(_OpenCall(index, server_id, call_id))
        return self._calls[-1]


class ThoughtFilter:
    """Takes ``<think>...</think>`` out of a stream of text: a model's reasoning is not to be spoken."""

    _OPEN, _CLOSE = "<think>", "</think>"

    def __init__(self) -> None:
        self._rest = ""
        self._tag = self._OPEN
        self._after_thought = False

    def push(self, text: str) -> str:
        """Feeds the next piece; returns what is certain to be spoken text."""
        self._rest += text
        spoken: list[str] = []
        while (at := self._rest.find(self._tag)) >= 0:
            self._keep(spoken, self._rest[:at])
            self._rest = self._rest[at + len(self._tag) :]
            self._after_thought = self._tag == self._CLOSE
            self._tag = self._OPEN if self._tag == self._CLOSE else self._CLOSE
        held = next((n for n in range(len(self._tag) - 1, 0, -1) if self._rest.endswith(self._tag[:n])), 0)
        self._keep(spoken, self._rest[: len(self._rest) - held])
        self._rest = self._rest[len(self._rest) - held :]
        return "".join(spoken)

    def finish(self) -> str:
        """The end of the text, when it only looked like the beginning of a tag."""
        spoken: list[str] = []
        self._keep(spoken, self._rest)
        self._rest = ""
        return "".join(spoken)

    def _keep(self, spoken: list[str], text: str) -> None:
        if self._tag == self._CLOSE:
            return
        if self._after_thought:
            text = text.lstrip()
        if text:
            self._after_thought = False
            spoken.append(text)
