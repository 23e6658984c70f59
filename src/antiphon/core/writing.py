"""What a model's writing consists of, as it is read: thoughts, what is said, and calls of functions."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainRequest, Message, ToolCallDelta

SPEAK, STOP_SPEAKING = "speak", "stop_speaking"
SPEECH_TOOLS = (
    Tool(
        SPEAK,
        "Says the text aloud, to everybody who can hear you. Nothing else that you write is heard.",
        {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    ),
    Tool(STOP_SPEAKING, "Stops what you are saying, at once.", {"type": "object", "properties": {}}),
)


HOW_TO_SPEAK = """\
You read what people say word by word, while they say it. Where it is known who speaks, the line begins with the name \
in brackets. [silence] means that they have stopped. All that you write is private, except what you say aloud: write \
that between <speak> and </speak>, or hand it to the function speak. Whatever you open you close. To stop what you are \
still saying, write </speak> or call stop_speaking. With nothing to say, write nothing."""


def with_speech(request: BrainRequest) -> BrainRequest:
    """The request to a model for which speech is a tool: it is told so, and has the tools."""
    messages = request.messages
    told = messages[0].text + "\n\n" if messages and messages[0].role == "system" else ""
    system = Message("system", told + HOW_TO_SPEAK)
    own = () if request.tool_choice == "none" else request.tools
    choice = "auto" if request.tool_choice == "none" else request.tool_choice
    rest = messages[1:] if told else messages
    return replace(request, messages=(system, *rest), tools=(*SPEECH_TOOLS, *own), tool_choice=choice)


HOW_TO_CALL = """\
You can call functions. To call one, write <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>, in JSON. \
What it gives comes between <tool_response> and </tool_response>. The functions are:"""


def without_functions(request: BrainRequest) -> BrainRequest | None:
    """The same for a server that takes no functions: what is said is said by tags, and other calls are written as text.

    None for a request whose answer is not read for tags (see ``with_speech``).
    """
    names = {tool.name for tool in SPEECH_TOOLS}
    if not names <= {tool.name for tool in request.tools}:
        return None
    own = [tool for tool in request.tools if tool.name not in names]
    told, *rest = request.messages
    if own:
        functions = [
            {"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in own
        ]
        told = replace(told, text="\n".join([told.text, "", HOW_TO_CALL, *map(json.dumps, functions)]))
    messages = [told]
    for message in rest:
        _add(messages, _as_text(message))
    return replace(request, messages=tuple(messages), tools=(), tool_choice="auto")


def _as_text(message: Message) -> Message:
    """Calls and their results as the text that they could have been."""
    if message.role == "tool":
        return Message("user", f"<tool_response>\n{message.text}\n</tool_response>")
    if message.name is None:
        return message
    arguments = message.arguments or "{}"
    call = f'{{"name": {json.dumps(message.name)}, "arguments": {arguments}}}'
    return Message("assistant", f"<tool_call>\n{call}\n</tool_call>")


def _add(messages: list[Message], message: Message) -> None:
    last = messages[-1]
    if message.role == last.role == "assistant":
        messages[-1] = replace(last, text=f"{last.text}\n{message.text}")
    else:
        messages.append(message)


@dataclass(frozen=True, slots=True)
class Thought:
    """Private. ``raw`` is, here and below, how it was written; native calls are written as in the second form."""

    text: str

    @property
    def raw(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Markup:
    """Neither said nor thought: what belongs to tags and calls."""

    raw: str


@dataclass(frozen=True, slots=True)
class SpeakBegan:
    """What is said from here on belongs together. ``closing`` is how its end is written, where the text is cut."""

    raw: str
    closing: str = "</speak>"
    escaped: bool = False
    """Its text is written as in a JSON string."""


@dataclass(frozen=True, slots=True)
class Said:
    text: str
    raw: str


@dataclass(frozen=True, slots=True)
class SpeakEnded:
    raw: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """``stop_speaking``, or a closing tag, where nothing was open."""

    raw: str


@dataclass(frozen=True, slots=True)
class Call:
    """Another function. ``call_id`` is None where the model wrote the call as text."""

    name: str
    arguments: str
    raw: str
    call_id: str | None = None


Event = Thought | Markup | SpeakBegan | Said | SpeakEnded | Stopped | Call


class PlainWriting:
    """The writing of a model for which speech is no tool: all of it is said. As ``tool_tags.ToolTags``."""

    def __init__(self) -> None:
        self.speaking = False
        self._calls: dict[str, ToolCallDelta] = {}

    def push(self, text: str) -> list[Event]:
        if not text or not (self.speaking or text.strip()):
            return []
        began: list[Event] = [] if self.speaking else [SpeakBegan("", "")]
        self.speaking = True
        return [*began, Said(text, text)]

    def push_call(self, delta: ToolCallDelta) -> list[Event]:
        """Calls are given when they are complete: at the end."""
        before = self._calls.get(delta.call_id)
        arguments = delta.arguments if before is None else before.arguments + delta.arguments
        self._calls[delta.call_id] = ToolCallDelta(delta.call_id, delta.name, arguments)
        return []

    def finish(self, *, cut: bool = False) -> list[Event]:
        given: list[Event] = []
        if not cut:
            given += [Call(call.name, call.arguments or "{}", "", call.call_id) for call in self._calls.values()]
        self._calls.clear()
        if self.speaking:
            given.append(SpeakEnded(""))
        self.speaking = False
        return given
