"""Speech as a tool: what of a model's writing is private and what is said, read from fragments that are cut anywhere.

All is private but what is said, which a model writes in one of these forms::

    <speak>Hello.</speak>
    <tool_call>{"name": "speak", "arguments": {"text": "Hello."}}</tool_call>
    <tool_call>{"name": "speak", "arguments": {}}</tool_call>Hello.<tool_call>{"name": "stop_speaking", ...}</tool_call>

or as native calls of ``speak`` and ``stop_speaking``. What is said streams from its first letter. Forms may be mixed;
an opening that is doubled counts once, what is not closed ends with the text, and what cannot be read stays private.
"""

from __future__ import annotations

import json
from enum import Enum, auto

from antiphon.core.json_string import JsonString
from antiphon.core.speech import ToolCallDelta
from antiphon.core.writing import (
    SPEAK,
    STOP_SPEAKING,
    Call,
    Event,
    Markup,
    Said,
    SpeakBegan,
    SpeakEnded,
    Stopped,
    Thought,
)
from antiphon.core.written_calls import (
    CALL_BEGIN,
    CALL_END,
    NATIVELY_SAYS,
    SAYS,
    STOP_CALL,
    NativeCall,
    escaped,
    object_of,
    read_call,
    text_of,
)


class _At(Enum):
    TEXT = auto()
    """Private text, or the text of a span that is open."""
    REASONING = auto()
    BODY = auto()
    """Within a call as text."""
    STRING = auto()
    """Within the text that such a call says."""
    TAIL = auto()
    """Behind that text, up to the end of the call."""


_OPEN, _CLOSE = "<tool_call>", "</tool_call>"
_TAGS: dict[_At, tuple[str, ...]] = {
    _At.TEXT: (
        *("<think>", "</think>", _OPEN, _CLOSE, "<speak>", "</speak>"),
        *("<stop_speaking>", "<stop_speaking/>", "</stop_speaking>"),
    ),
    _At.REASONING: ("</think>",),
    _At.BODY: (_OPEN, _CLOSE),
    _At.STRING: (_CLOSE,),
    _At.TAIL: (_CLOSE, _OPEN, "<speak>", "<think>"),
}


class ToolTags:
    """Takes a model's writing in fragments, ``finish`` at its end; gives events in order.

    The same writing gives the same events however it is cut, but for where the texts of neighbours of a kind part. The
    ``raw`` of all events together is what was written, or in rare forms means the same.
    """

    def __init__(self) -> None:
        self._at = _At.TEXT
        self._rest = ""
        """What was not decided, without what ``_body`` holds."""
        self._body = ""
        """A call as text so far, from its opening tag on."""
        self._string = JsonString()
        self._speaking = False
        self._out: list[Event] = []
        self._native: NativeCall | None = None

    @property
    def speaking(self) -> bool:
        """A span is open."""
        return self._speaking

    def push(self, text: str) -> list[Event]:
        """The next fragment of text."""
        self._end_native()
        self._rest += text
        while self._step():
            pass
        return self._given()

    def push_call(self, delta: ToolCallDelta) -> list[Event]:
        """The next fragment of a native call. It ends when something else begins."""
        if self._native is None or self._native.call_id != delta.call_id:
            self._end_native()
            self._end_text(cut=False)
            self._native = NativeCall(delta.call_id, delta.name)
        call = self._native
        call.arguments += delta.arguments
        if call.name == SPEAK:
            self._native_speech(call, delta.arguments)
        return self._given()

    def finish(self, *, cut: bool = False) -> list[Event]:
        """The writing has ended. ``cut``: not by itself, and what is not complete is as if it were not written."""
        if cut and self._native is not None and not self._native.says:
            self._native = None
        self._end_native()
        self._end_text(cut=cut)
        if self._speaking:
            self._end_span("")
        return self._given()

    def _given(self) -> list[Event]:
        given, self._out = self._out, []
        return given

    # Text.

    def _step(self) -> bool:
        """Decides about the front of the rest; whether there may be more to decide."""
        match self._at:
            case _At.STRING:
                return self._read_string()
            case _At.BODY:
                return self._read_body()
            case _:
                return self._read_text()

    def _read_text(self) -> bool:
        at, tag = _first_tag(self._rest, _TAGS[self._at])
        self._put(self._rest[:at])
        self._rest = self._rest[at + len(tag) :]
        if tag:
            self._take_tag(tag)
        return bool(tag)

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._at is _At.TAIL:
            self._out.append(Markup(text))
        elif self._at is _At.TEXT and self._speaking:
            self._out.append(Said(text, text))
        else:
            self._out.append(Thought(text))

    def _take_tag(self, tag: str) -> None:
        match tag:
            case "<tool_call>":
                self._at, self._body = _At.BODY, tag
            case "<think>":
                self._at = _At.REASONING
                self._out.append(Markup(tag))
            case "<speak>" if not self._speaking:
                self._at = _At.TEXT
                self._begin_span(SpeakBegan(tag))
            case "</speak>" | "<stop_speaking>" | "<stop_speaking/>":
                self._stop(tag)
            case _:
                self._at = _At.TEXT
                self._out.append(Markup(tag))

    def _begin_span(self, began: SpeakBegan) -> None:
        if self._speaking:
            self._out.append(SpeakEnded(""))
        self._speaking = True
        self._out.append(began)

    def _end_span(self, raw: str) -> None:
        self._speaking = False
        self._out.append(SpeakEnded(raw))

    def _stop(self, raw: str) -> None:
        if self._speaking:
            self._end_span(raw)
        else:
            self._out.append(Stopped(raw))

    def _read_body(self) -> bool:
        body = self._body + self._rest
        if match := SAYS.match(body, len(_OPEN)):
            self._body, self._rest = "", body[match.end() :]
            self._at, self._string = _At.STRING, JsonString()
            self._begin_span(SpeakBegan(_OPEN + match.group(), CALL_END, escaped=True))
            return True
        at, tag = _first_tag(self._rest, _TAGS[_At.BODY])
        self._body += self._rest[:at]
        self._rest = self._rest[at:]
        if not tag:
            return False
        if tag == _CLOSE:
            self._rest = self._rest[len(tag) :]
        self._end_body(tag if tag == _CLOSE else "")
        return True

    def _end_body(self, closing: str) -> None:
        """A call as text is complete, or no more of it comes."""
        raw, self._body, self._at = self._body + closing, "", _At.TEXT
        name, arguments = read_call(raw.removeprefix(_OPEN).removesuffix(_CLOSE))
        if name is None:
            self._out.append(Thought(raw))
        elif name == STOP_SPEAKING:
            self._stop(raw)
        elif name != SPEAK:
            self._out.append(Call(name, json.dumps(arguments), raw))
        elif text := text_of(arguments):
            self._begin_span(SpeakBegan(CALL_BEGIN, CALL_END, escaped=True))
            self._out.append(Said(text, escaped(text)))
            self._end_span(CALL_END)
        elif self._speaking or "text" in arguments:
            self._out.append(Markup(raw))
        else:
            self._begin_span(SpeakBegan(raw, STOP_CALL))

    def _read_string(self) -> bool:
        at, tag = _first_tag(self._rest, _TAGS[_At.STRING])
        pieces = self._string.push(self._rest[:at])
        self._out += [Said(text, raw) for text, raw in pieces]
        if self._string.closed:
            self._rest = self._string.rest + self._rest[at:]
            self._end_span('"')
        elif tag:
            self._markup(self._string.rest)
            self._rest = self._rest[at:]
            self._end_span("")
        else:
            self._rest = self._rest[at:]
            return False
        self._at = _At.TAIL
        return True

    def _end_text(self, *, cut: bool) -> None:
        """No more text comes: what was waiting for its rest is what it is."""
        rest = "" if cut else self._rest
        match self._at:
            case _At.BODY if not cut:
                self._body += rest
                self._end_body("")
            case _At.BODY:
                pass
            case _At.STRING:
                self._markup("" if cut else self._string.rest + rest)
                self._end_span("")
            case _At.TEXT if self._speaking:
                self._markup(rest)  # the beginning of a tag: it is not to be said
            case _:
                self._put(rest)
        self._at, self._rest, self._body = _At.TEXT, "", ""

    def _markup(self, raw: str) -> None:
        if raw:
            self._out.append(Markup(raw))

    # Native calls.

    def _native_speech(self, call: NativeCall, arguments: str) -> None:
        if not call.says and (match := NATIVELY_SAYS.match(call.arguments)):
            call.says, arguments = True, call.arguments[match.end() :]
            self._begin_span(SpeakBegan(CALL_BEGIN, CALL_END, escaped=True))
        if call.says and not call.string.closed:
            self._out += [Said(text, raw) for text, raw in call.string.push(arguments)]
            if call.string.closed:
                self._end_span(CALL_END)

    def _end_native(self) -> None:
        call, self._native = self._native, None
        if call is None:
            return
        if call.says:
            if not call.string.closed:
                self._end_span(CALL_END)
        elif call.name == STOP_SPEAKING:
            self._stop(STOP_CALL)
        elif call.name != SPEAK:
            self._out.append(Call(call.name, call.arguments or "{}", "", call.call_id))
        else:
            self._native_speech_at_once(call)

    def _native_speech_at_once(self, call: NativeCall) -> None:
        """Its arguments came in another form: they are read when they are complete."""
        arguments = object_of(call.arguments or "{}")
        if arguments is not None and (text := text_of(arguments)):
            self._begin_span(SpeakBegan(CALL_BEGIN, CALL_END, escaped=True))
            self._out.append(Said(text, escaped(text)))
            self._end_span(CALL_END)
        elif arguments == {} and not self._speaking:
            self._begin_span(SpeakBegan("<speak>"))


def _first_tag(text: str, tags: tuple[str, ...]) -> tuple[int, str]:
    """Where the first of the tags begins, and which it is; else where the beginning of one may, and none."""
    found = min(((at, tag) for tag in tags if (at := text.find(tag)) >= 0), default=None)
    if found is not None:
        return found
    begun = text.rfind("<")
    if begun >= 0 and any(tag.startswith(text[begun:]) for tag in tags):
        return begun, ""
    return len(text), ""
