"""What was said so far, by whom, and what of it was cut: the captions' contents, without a screen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from antiphon.apps.realtime_client import Arrival

MAX_OPEN_LINES = 12
"""A line whose end was never told is settled once so many came after it."""


_ENDS_A_THOUGHT = ("conversation.item.input_audio_transcription.", "response.created", "response.done")
"""What comes after it is another one. The sound and the words of what is being said meanwhile do not part it."""


class Speaker(Enum):
    USER = "you"
    AGENT = "agent"
    MIND = "mind"
    """What the agent thinks and does not say."""


class Phase(Enum):
    """What may still become of a line."""

    GROWING = "growing"
    CUT = "cut"
    """It was interrupted; how much of it was heard is not known yet."""
    SETTLED = "settled"


@dataclass(slots=True)
class Line:
    """What one side said in one turn. ``heard`` is the part of ``text`` that was played; None is all of it.

    ``planned`` is what was to be said, as far as the server has told it; ``text`` begins it. ``name`` is the user's,
    where the server knows it.
    """

    speaker: Speaker
    text: str = ""
    phase: Phase = Phase.GROWING
    heard: str | None = None
    planned: str = ""
    name: str = ""
    parts: list[tuple[str, str]] = field(default_factory=list)
    """What the user said, by name, where the server tells speakers apart."""

    @property
    def unheard(self) -> str:
        """What was cut."""
        if self.heard is None:
            return ""
        whole = self.planned if self.planned.startswith(self.text) else self.text
        return whole[len(self.heard) :]


@dataclass(slots=True)
class Transcript:
    """Reads events; ``settled`` gives each line once, in order, when nothing of it can change any more."""

    thoughts: bool = False
    """Show what a listening brain thinks, where the server tells it."""
    state: str | None = None
    """The public state of the conversation, where the server tells it."""
    lines: list[Line] = field(default_factory=list)
    """Those that are not settled, and those after them."""
    _by_item: dict[str, Line] = field(default_factory=dict)
    _planned: dict[str, str] = field(default_factory=dict)
    conversation: str = ""
    """The id of the conversation, where the server keeps it."""
    has_items: bool = False
    """There is something to keep."""
    _thought: Line | None = None
    """What it thinks now."""
    _before: int = 0
    """So many items are still to be told that were said before, in a conversation that goes on."""

    @property
    def tells_before(self) -> bool:
        """Not all is told of what was said before."""
        return self._before > 0

    def typed(self, text: str) -> None:
        """The user wrote this."""
        self.lines.append(Line(Speaker.USER, text, Phase.SETTLED))

    def _line(self, item_id: str, speaker: Speaker) -> Line:
        line = self._by_item.get(item_id)
        if line is None:
            line = self._by_item[item_id] = Line(speaker)
            self.lines.append(line)
        return line

    def read(self, arrival: Arrival) -> list[str]:
        """Takes an event; returns the items whose heard part should be asked for."""
        item_id = arrival.text("item_id")
        if self._thought is not None and arrival.kind.startswith(_ENDS_A_THOUGHT):
            self._thought.phase, self._thought = Phase.SETTLED, None
        self.has_items |= arrival.kind == "conversation.item.done"
        match arrival.kind:
            case "antiphon.thought" if self.thoughts:
                self._think(arrival.text("text"))
            case "antiphon.conversation":
                self.conversation = arrival.text("conversation_id")
                items = arrival.event.get("items")
                self._before = items if isinstance(items, int) else 0
            case "conversation.item.done" if self._before:
                self._before -= 1
                self._said_before(arrival.child("item"))
            case "antiphon.state":
                self.state = arrival.text("state")
            case "conversation.item.input_audio_transcription.delta":
                self._line(item_id, Speaker.USER).text += arrival.text("delta")
            case "conversation.item.input_audio_transcription.completed":
                line = self._line(item_id, Speaker.USER)
                line.text, line.phase = arrival.text("transcript"), Phase.SETTLED
                if len(line.parts) > 1:
                    line.text = " ".join(f"[{name}]: {text}" for name, text in line.parts)
            case "antiphon.speaker":
                self._line(item_id, Speaker.USER).name = arrival.text("speaker")
            case "conversation.item.input_audio_transcription.segment":
                line = self._line(item_id, Speaker.USER)
                line.parts.append((arrival.text("speaker"), arrival.text("text")))
                line.name = line.parts[0][0] if len({name for name, _ in line.parts}) == 1 else ""
            case "conversation.item.input_audio_transcription.failed":
                line = self._line(item_id, Speaker.USER)
                line.text, line.phase = line.text or "(not understood)", Phase.SETTLED
            case "antiphon.clause":
                self._planned[item_id] = self._planned.get(item_id, "") + arrival.text("text")
            case "response.output_audio_transcript.delta" | "response.output_text.delta":
                self._line(item_id, Speaker.AGENT).text += arrival.text("delta")
            case "response.done":
                return self._reply_done(arrival)
            case "conversation.item.retrieved":
                self._retrieved(arrival)
        return []

    def _said_before(self, item: dict[str, Any]) -> None:
        text = _text_of(item)
        if item.get("type") == "message" and text:
            speaker = Speaker.AGENT if item.get("role") == "assistant" else Speaker.USER
            self.lines.append(Line(speaker, text, Phase.SETTLED))

    def _think(self, text: str) -> None:
        if self._thought is None:
            self._thought = Line(Speaker.MIND)
            self.lines.append(self._thought)
        self._thought.text += text

    def _reply_done(self, arrival: Arrival) -> list[str]:
        response = arrival.child("response")
        cut: list[str] = []
        for item in response.get("output") or []:
            planned = self._planned.pop(str(item.get("id")), "")
            line = self._by_item.get(str(item.get("id")))
            if line is None or line.phase is not Phase.GROWING:
                continue
            if response.get("status") == "cancelled":
                line.phase, line.planned = Phase.CUT, planned
                cut.append(str(item["id"]))
            else:
                line.phase = Phase.SETTLED
        return cut

    def _retrieved(self, arrival: Arrival) -> None:
        item = arrival.child("item")
        line = self._by_item.get(str(item.get("id")))
        if line is None or line.phase is not Phase.CUT:
            return
        heard = _text_of(item)
        line.heard = heard if line.text.startswith(heard) else line.text
        line.phase = Phase.SETTLED

    def settled(self, *, all_of_them: bool = False) -> list[Line]:
        """Takes out the lines at the front that are settled, or all at the end."""
        count = 0
        for line in self.lines:
            if line.phase is not Phase.SETTLED and len(self.lines) - count <= MAX_OPEN_LINES and not all_of_them:
                break
            count += 1
        done, self.lines = self.lines[:count], self.lines[count:]
        gone = {id(line) for line in done}
        self._by_item = {item: line for item, line in self._by_item.items() if id(line) not in gone}
        return [line for line in done if line.text.strip()]


def _text_of(item: dict[str, Any]) -> str:
    """The words of an item as the protocol has it."""
    return "".join(str(part.get("transcript") or part.get("text") or "") for part in item.get("content") or [])
