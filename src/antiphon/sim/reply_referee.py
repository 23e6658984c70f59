"""Whether what the server tells of its replies comes where the protocol has it."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any

from antiphon.sim.wire_schema import FoulError, need

Json = dict[str, Any]


@dataclass(slots=True)
class _Part:
    kind: str
    said: str = ""
    audio_bytes: int = 0
    finished: set[str] = field(default_factory=set)
    """The ``*.done`` events that it has had."""


@dataclass(slots=True)
class _OutputItem:
    id: str
    kind: str
    index: int
    call_id: str | None
    announced: bool = False
    concluded: bool = False
    parts: list[_Part] = field(default_factory=list)
    open_part: _Part | None = None
    arguments: str = ""
    arguments_done: bool = False


@dataclass(slots=True)
class _Reply:
    id: str
    side: bool
    pcm: bool
    items: list[Json] = field(default_factory=list)
    open_item: _OutputItem | None = None


class ReplyReferee:
    """``rules`` has what to call with each ``response.*`` event, by its type. They raise FoulError."""

    def __init__(self, known: Container[str]) -> None:
        """``known``: the items of the conversation, as they come and go."""
        self._known = known
        self._replies: dict[str, _Reply] = {}
        self._done: set[str] = set()
        self.rules: dict[str, Callable[[Json], None]] = {
            "response.created": self._created,
            "response.output_item.added": self._output_item_added,
            "response.content_part.added": self._part_added,
            "response.output_text.delta": lambda event: self._delta(event, "text"),
            "response.output_audio_transcript.delta": lambda event: self._delta(event, "audio"),
            "response.output_audio.delta": self._audio_delta,
            "response.output_text.done": lambda event: self._said_done(event, "text", "text"),
            "response.output_audio_transcript.done": lambda event: self._said_done(event, "audio", "transcript"),
            "response.output_audio.done": self._audio_done,
            "response.content_part.done": self._part_done,
            "response.function_call_arguments.delta": self._arguments_delta,
            "response.function_call_arguments.done": self._arguments_done,
            "response.output_item.done": self._output_item_done,
            "response.done": self._reply_done,
        }

    def finish(self) -> None:
        """Nothing may be owed."""
        if self._replies:
            raise FoulError(f"no response.done for {', '.join(self._replies)}")

    def open_items(self) -> dict[str, _OutputItem]:
        return {reply.open_item.id: reply.open_item for reply in self._replies.values() if reply.open_item}

    def _created(self, event: Json) -> None:
        response = event["response"]
        need(response["status"] == "in_progress", event, "a new response is in progress")
        need(response["id"] not in self._done | self._replies.keys(), event, "created twice")
        side = response["conversation_id"] is None
        busy = [reply.id for reply in self._replies.values() if not reply.side]
        need(side or not busy, event, f"{busy} is not done yet")
        pcm = response["audio"]["output"]["format"]["type"] == "audio/pcm"
        self._replies[response["id"]] = _Reply(response["id"], side, pcm)

    def _reply(self, event: Json) -> _Reply:
        reply = self._replies.get(event["response_id"])
        need(reply is not None, event, "this response is not in progress")
        assert reply is not None
        return reply

    def _item(self, event: Json) -> _OutputItem:
        reply = self._reply(event)
        item = reply.open_item
        need(item is not None and item.id == event["item_id"], event, "this output item is not open")
        assert item is not None
        need(item.index == event["output_index"], event, f"the output_index of this item is {item.index}")
        need(item.announced or reply.side, event, "conversation.item.added comes first")
        return item

    def _part(self, event: Json) -> _Part:
        item = self._item(event)
        part = item.open_part
        need(part is not None, event, "no content part is open")
        assert part is not None
        need(event["content_index"] == len(item.parts) - 1, event, "another content part is open")
        return part

    def _output_item_added(self, event: Json) -> None:
        reply, item = self._reply(event), event["item"]
        need(reply.open_item is None, event, "another output item is open")
        need(event["output_index"] == len(reply.items), event, f"the next output_index is {len(reply.items)}")
        need(item["status"] == "in_progress", event, "a new item is in progress")
        need(item["id"] not in self._known, event, "response.output_item.added comes before the item's others")
        need(not item.get("content") and not item.get("arguments"), event, "a new item is empty")
        reply.open_item = _OutputItem(item["id"], item["type"], event["output_index"], item.get("call_id"))

    def _part_added(self, event: Json) -> None:
        item = self._item(event)
        need(item.kind == "message" and item.open_part is None, event, "no content part can begin here")
        need(event["content_index"] == len(item.parts), event, f"the next content_index is {len(item.parts)}")
        item.open_part = _Part(event["part"]["type"])
        item.parts.append(item.open_part)

    def _delta(self, event: Json, kind: str) -> None:
        part = self._part(event)
        need(part.kind == kind and not part.finished, event, f"no open part of {kind}")
        part.said += event["delta"]

    def _audio_delta(self, event: Json) -> None:
        part = self._part(event)
        need(part.kind == "audio" and not part.finished, event, "no open part of audio")
        data = binascii.a2b_base64(event["delta"], strict_mode=True)
        need(len(data) > 0, event, "a delta without audio")
        need(len(data) % 2 == 0 or not self._reply(event).pcm, event, "half a sample of PCM")
        part.audio_bytes += len(data)

    def _said_done(self, event: Json, kind: str, key: str) -> None:
        part = self._part(event)
        need(part.kind == kind and event["type"] not in part.finished, event, f"no open part of {kind}")
        need(event[key] == part.said, event, f"the deltas said {part.said!r}")
        part.finished.add(event["type"])

    def _audio_done(self, event: Json) -> None:
        part = self._part(event)
        need(part.kind == "audio" and not part.finished, event, "it closes the audio, once and first")
        part.finished.add(event["type"])

    def _part_done(self, event: Json) -> None:
        part = self._part(event)
        wanted = (
            {"response.output_text.done"}
            if part.kind == "text"
            else {"response.output_audio.done", "response.output_audio_transcript.done"}
        )
        need(part.finished == wanted, event, f"{sorted(wanted - part.finished)} comes first")
        said = event["part"].get("text" if part.kind == "text" else "transcript")
        need(said == part.said and event["part"]["type"] == part.kind, event, f"the deltas said {part.said!r}")
        self._item(event).open_part = None

    def _arguments_delta(self, event: Json) -> None:
        item = self._item(event)
        need(item.kind == "function_call" and not item.arguments_done, event, "no open call")
        need(event["call_id"] == item.call_id, event, f"the call is {item.call_id}")
        item.arguments += event["delta"]

    def _arguments_done(self, event: Json) -> None:
        item = self._item(event)
        need(item.kind == "function_call" and not item.arguments_done, event, "no open call")
        need(event["arguments"] == item.arguments, event, f"the deltas said {item.arguments!r}")
        item.arguments_done = True

    def _output_item_done(self, event: Json) -> None:
        reply, wire = self._reply(event), event["item"]
        item = reply.open_item
        need(item is not None and item.id == wire["id"], event, "this output item is not open")
        assert item is not None
        need(item.open_part is None, event, "response.content_part.done comes first")
        need(item.concluded or reply.side, event, "conversation.item.done comes first")
        need(wire["status"] in ("completed", "incomplete"), event, "a done item is completed or incomplete")
        if item.kind == "function_call":
            called = item.arguments_done or wire["status"] == "incomplete"
            need(called, event, "response.function_call_arguments.done comes first")
            need(wire["arguments"] == item.arguments, event, f"the deltas said {item.arguments!r}")
        else:
            said = [part.get("transcript", part.get("text")) for part in wire["content"]]
            need(said == [part.said for part in item.parts], event, "the content is not what the parts said")
        reply.items.append(wire)
        reply.open_item = None

    def _reply_done(self, event: Json) -> None:
        response = event["response"]
        reply = self._replies.pop(response["id"], None)
        need(reply is not None, event, "this response is not in progress")
        assert reply is not None
        need(reply.open_item is None, event, "response.output_item.done comes first")
        need(response["output"] == reply.items, event, "the output is not the items that are done")
        status, details = response["status"], response["status_details"]
        need(status in ("completed", "cancelled", "failed", "incomplete"), event, "the response has ended")
        need((details or {}).get("type", "completed") == status, event, "status and its details differ")
        whole = all(item["status"] == "completed" for item in reply.items)
        need(status != "completed" or whole, event, "a completed response has completed items")
        need(response["usage"] is not None, event, "usage is told at the end")
        self._done.add(reply.id)
