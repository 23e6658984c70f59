"""Calls as models write them: as JSON in the text, or natively, in fragments. How speech by a call is written again."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from antiphon.core.json_string import JsonString

CALL_BEGIN = '<tool_call>\n{"name": "speak", "arguments": {"text": "'
CALL_END = '"}}\n</tool_call>'
"""What stands around the text that a call of ``speak`` says, escaped."""
STOP_CALL = '<tool_call>\n{"name": "stop_speaking", "arguments": {}}\n</tool_call>'

SAYS = re.compile(r'\s*\{\s*"name"\s*:\s*"speak"\s*,\s*"arguments"\s*:\s*\{\s*"text"\s*:\s*"')
"""A call as text that says what follows, up to where that begins."""
NATIVELY_SAYS = re.compile(r'\s*\{\s*"text"\s*:\s*"')
"""The same in the arguments of a native call."""


@dataclass(slots=True)
class NativeCall:
    """One whose fragments are coming."""

    call_id: str
    name: str
    arguments: str = ""
    says: bool = False
    """Its text was found, and is being read."""
    string: JsonString = field(default_factory=JsonString)


def read_call(body: str) -> tuple[str | None, dict[str, Any]]:
    """The name and the arguments; the name is None where it cannot be read."""
    call = object_of(body)
    if call is None or not isinstance(name := call.get("name"), str) or not name:
        return None, {}
    arguments = call.get("arguments", call.get("parameters"))
    if isinstance(arguments, str):
        arguments = object_of(arguments or "{}")
    elif arguments is None:
        arguments = {}
    return (name, arguments) if isinstance(arguments, dict) else (None, {})


def object_of(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def text_of(arguments: dict[str, Any]) -> str:
    text = arguments.get("text", "")
    return text if isinstance(text, str) else ""


def escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
