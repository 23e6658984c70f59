"""What a model writes, piece by piece, as deltas: without its thoughts, and its calls of functions as calls.

Calls are read in the form that Hermes and Qwen brought up and many chat templates teach::

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Paris"}}
    </tool_call>

Their arguments are passed on as they are written. A call that cannot be read is left out, one that is broken off is
completed. Where no functions are on offer, all is text.
"""

from __future__ import annotations

import json
import re
import uuid
from enum import Enum, auto

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta, ToolCallDelta
from antiphon.engines.chat_messages import ThoughtFilter

_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"(?:arguments|parameters)"\s*:\s*(?=\{)')
_PARTS = re.compile(r'["\\{}\[\]]')


class WrittenAnswer:
    """Made for one answer. ``finish`` once, at its end."""

    def __init__(self, request: BrainRequest) -> None:
        self._thoughts = ThoughtFilter()
        has_calls = bool(request.tools) and request.tool_choice != "none"
        self._calls = WrittenCalls() if has_calls else None

    def push(self, text: str) -> list[BrainDelta]:
        text = self._thoughts.push(text)
        if self._calls is not None:
            return self._calls.push(text)
        return [TextDelta(text)] if text else []

    def finish(self, reason: str, input_tokens: int, output_tokens: int, cached_tokens: int) -> list[BrainDelta]:
        """``reason`` is why the model wrote no more: ``stop`` or ``length``."""
        text = self._thoughts.finish()
        deltas: list[BrainDelta] = [TextDelta(text)] if text else []
        if self._calls is not None:
            deltas = [*(self._calls.push(text) if text else []), *self._calls.finish()]
            reason = "tool_calls" if self._calls.any else reason
        return [*deltas, Finish(reason, input_tokens, output_tokens, cached_tokens)]


class _At(Enum):
    TEXT = auto()
    HEAD = auto()
    """Within a call whose name is not known yet."""
    ARGUMENTS = auto()
    TAIL = auto()
    """Behind the arguments, up to the end of the call."""


class WrittenCalls:
    """Takes the calls out of a text that comes in pieces."""

    def __init__(self) -> None:
        self.any = False
        self._prefix = f"call_{uuid.uuid4().hex[:20]}"
        self._count = 0
        self._at = _At.TEXT
        self._rest = ""
        self._name = ""
        self._depth = 0
        self._in_string = False
        self._after_call = False

    def push(self, text: str) -> list[BrainDelta]:
        self._rest += text
        deltas: list[BrainDelta] = []
        while self._step(deltas):
            pass
        return deltas

    def finish(self) -> list[BrainDelta]:
        """No more comes."""
        deltas: list[BrainDelta] = []
        match self._at:
            case _At.TEXT:
                self._say(self._rest, deltas)
            case _At.HEAD:
                self._take_whole(self._rest, deltas)
            case _At.ARGUMENTS:
                deltas.append(self._piece(('"' if self._in_string else "") + "}" * self._depth))
            case _At.TAIL:
                pass
        self._rest = ""
        return deltas

    def _step(self, deltas: list[BrainDelta]) -> bool:
        """Takes what can be taken of the rest; whether there may be more."""
        match self._at:
            case _At.TEXT:
                at = self._rest.find(_OPEN)
                if at < 0:
                    kept = _begun(self._rest, _OPEN)
                    self._say(self._rest[: len(self._rest) - kept], deltas)
                    self._rest = self._rest[len(self._rest) - kept :]
                    return False
                self._say(self._rest[:at], deltas)
                self._rest, self._at = self._rest[at + len(_OPEN) :], _At.HEAD
                return True
            case _At.HEAD:
                return self._read_head(deltas)
            case _At.ARGUMENTS:
                return self._read_arguments(deltas)
            case _At.TAIL:
                at = self._rest.find(_CLOSE)
                if at < 0:
                    self._rest = self._rest[len(self._rest) - _begun(self._rest, _CLOSE) :]
                    return False
                self._rest, self._at, self._after_call = self._rest[at + len(_CLOSE) :], _At.TEXT, True
                return True

    def _say(self, text: str, deltas: list[BrainDelta]) -> None:
        if self._after_call:
            text = text.lstrip()
        if text:
            self._after_call = False
            deltas.append(TextDelta(text))

    def _read_head(self, deltas: list[BrainDelta]) -> bool:
        head = _HEAD.match(self._rest)
        if head is not None:
            self._begin(str(json.loads(head[1], strict=False)))
            self._rest, self._at = self._rest[head.end() :], _At.ARGUMENTS
            self._depth, self._in_string = 0, False
            return True
        at = self._rest.find(_CLOSE)
        if at < 0:
            return False
        self._take_whole(self._rest[:at], deltas)
        self._rest, self._at = self._rest[at:], _At.TAIL
        return True

    def _read_arguments(self, deltas: list[BrainDelta]) -> bool:
        at = 0
        while (part := _PARTS.search(self._rest, at)) is not None:
            at = part.end()
            match part[0]:
                case "\\" if self._in_string:
                    if at == len(self._rest):
                        at -= 1  # what it escapes is still to come
                        break
                    at += 1
                case '"':
                    self._in_string = not self._in_string
                case "{" | "[" if not self._in_string:
                    self._depth += 1
                case "}" | "]" if not self._in_string:
                    self._depth -= 1
                    if not self._depth:
                        deltas.append(self._piece(self._rest[:at]))
                        self._rest, self._at = self._rest[at:], _At.TAIL
                        return True
                case _:
                    pass
        else:
            at = len(self._rest)
        if at:
            deltas.append(self._piece(self._rest[:at]))
            self._rest = self._rest[at:]
        return False

    def _take_whole(self, body: str, deltas: list[BrainDelta]) -> None:
        """A call that is complete, in another form than the usual one."""
        try:
            call = json.loads(body, strict=False)
            arguments = call.get("arguments", call.get("parameters")) or {}
            name = str(call["name"])
            if isinstance(arguments, str):
                arguments = json.loads(arguments, strict=False)
        except (ValueError, LookupError, AttributeError):
            return
        self._begin(name)
        deltas.append(self._piece(json.dumps(arguments, ensure_ascii=False)))

    def _begin(self, name: str) -> None:
        self.any = True
        self._name = name
        self._count += 1

    def _piece(self, arguments: str) -> ToolCallDelta:
        return ToolCallDelta(f"{self._prefix}_{self._count - 1}", self._name, arguments)


def _begun(text: str, tag: str) -> int:
    """How many characters at the end of a text may be the beginning of a tag."""
    return next((count for count in range(len(tag) - 1, 0, -1) if text.endswith(tag[:count])), 0)
