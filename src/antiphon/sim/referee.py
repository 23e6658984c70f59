"""A referee for Realtime connections: is each event well-formed, and does it come where the protocol has it?

Feed it every server event of one connection, and the client's events too where they are known.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from antiphon.sim.playout_referee import PlayoutReferee
from antiphon.sim.vendor_referee import VendorReferee
from antiphon.sim.wire_schema import FoulError, check_schema

__all__ = ["FoulError", "Referee", "check_schema"]

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


@dataclass(slots=True)
class _Turn:
    started: bool = False
    stopped: bool = False
    committed: bool = False
    transcribed: bool = False


class Referee:
    """Raises FoulError with a plain reason, at the event that is wrong or, for what is missing, in ``finish``."""

    def __init__(self, *, vendor: bool = False, call: bool = False, sideband: bool = False) -> None:
        """``vendor``: the client asked for the ``antiphon.*`` events. ``call``: its audio goes over WebRTC.

        ``sideband``: it takes part in the call of another client, since that began.
        """
        self._vendor = VendorReferee() if vendor else None
        self._playout = PlayoutReferee() if call or sideband else None
        self._sideband = sideband
        self._event_ids: set[str] = set()
        self._first_from_client: str | None = None
        self._count = 0
        self._transcribing = False
        self._configured = False
        self._items: dict[str, bool] = {}  # the items of the conversation, and whether they are done
        self._turns: dict[str, _Turn] = {}
        self._owed_items: list[str] = []  # committed turns that are not items yet
        self._owed_transcripts: set[str] = set()
        self._replies: dict[str, _Reply] = {}
        self._done: set[str] = set()
        self.errors: list[Json] = []
        self._rules: dict[str, Callable[[Json], None]] = {
            "session.created": self._session_created,
            "session.updated": self._session_updated,
            "error": lambda event: self.errors.append(event["error"]),
            "input_audio_buffer.speech_started": self._speech_started,
            "input_audio_buffer.speech_stopped": self._speech_stopped,
            "input_audio_buffer.committed": self._committed,
            "conversation.item.added": self._item_added,
            "conversation.item.done": self._item_done,
            "conversation.item.deleted": self._item_deleted,
            "conversation.item.truncated": self._item_known,
            "conversation.item.input_audio_transcription.delta": self._transcript_delta,
            "conversation.item.input_audio_transcription.segment": self._transcript_delta,
            "conversation.item.input_audio_transcription.completed": self._transcript_end,
            "conversation.item.input_audio_transcription.failed": self._transcript_end,
            "response.created": self._reply_created,
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

    def client(self, event: Json) -> None:
        """The client sends this."""
        if self._first_from_client is None:
            self._first_from_client = str(event.get("type"))

    def feed(self, event: Json) -> None:
        """The server has sent this."""
        check_schema(event, vendor=self._vendor is not None)
        kind = event["type"]
        if event["event_id"] in self._event_ids:
            raise FoulError(f"{kind}: event_id {event['event_id']} was used before")
        self._event_ids.add(event["event_id"])
        if (self._count == 0 and not self._sideband) != (kind == "session.created"):
            raise FoulError(f"{kind}: session.created comes first, once, and not at all to a sideband")
        if self._playout is not None:
            self._playout.feed(event)
        elif kind.startswith("output_audio_buffer."):
            raise FoulError(f"{kind}: only a client of a call is told this")
        self._count += 1
        if self._vendor is not None:
            self._vendor.feed(event)
        if self._first_from_client == "session.update" and not self._configured and self._count > 1:
            fine = kind in ("session.updated", "error") or kind.startswith("antiphon.")
            self._need(fine, event, "comes before the first session.updated")
        if kind == "conversation.created":
            raise FoulError("conversation.created is not sent any more")
        rule = self._rules.get(kind)
        if rule is not None:
            rule(event)

    def finish(self) -> None:
        """The conversation has come to rest: nothing may be owed."""
        if self._playout is not None:
            self._playout.finish()
        if self._replies:
            raise FoulError(f"no response.done for {', '.join(self._replies)}")
        if self._owed_items:
            raise FoulError(f"committed, but never an item: {', '.join(self._owed_items)}")
        unfinished = [item for item, done in self._items.items() if not done]
        if unfinished:
            raise FoulError(f"no conversation.item.done for {', '.join(unfinished)}")
        if self._owed_transcripts:
            raise FoulError(f"no transcript, and no failure of it, for {', '.join(sorted(self._owed_transcripts))}")
        unstopped = [turn for turn, state in self._turns.items() if state.started and not state.stopped]
        if unstopped:
            raise FoulError(f"no speech_stopped for {', '.join(unstopped)}")

    @staticmethod
    def _need(condition: bool, event: Json, reason: str) -> None:
        if not condition:
            raise FoulError(f"{event['type']}: {reason} ({ {k: v for k, v in event.items() if k != 'delta'} })")

    # The session.

    def _session_created(self, event: Json) -> None:
        self._note_session(event)

    def _session_updated(self, event: Json) -> None:
        self._configured = True
        self._note_session(event)

    def _note_session(self, event: Json) -> None:
        session = event["session"]
        self._need("id" in session and "expires_at" in session, event, "the session has an id and an end")
        self._transcribing = session["audio"]["input"]["transcription"] is not None

    # The user's side.

    def _speech_started(self, event: Json) -> None:
        turn = self._turns.setdefault(event["item_id"], _Turn())
        self._need(not turn.started or turn.stopped, event, "this speech has started already")
        self._need(not turn.committed, event, "this turn is committed")
        turn.started, turn.stopped = True, False

    def _speech_stopped(self, event: Json) -> None:
        turn = self._turns.get(event["item_id"])
        self._need(turn is not None and turn.started and not turn.stopped, event, "this speech has not started")
        assert turn is not None
        turn.stopped = True

    def _committed(self, event: Json) -> None:
        turn = self._turns.setdefault(event["item_id"], _Turn())
        self._need(not turn.committed, event, "committed twice")
        turn.committed = True
        self._owed_items.append(event["item_id"])
        if self._transcribing and not turn.transcribed:
            self._owed_transcripts.add(event["item_id"])

    def _transcript_delta(self, event: Json) -> None:
        turn = self._turns.get(event["item_id"])
        self._need(turn is not None or event["item_id"] in self._items, event, "nobody has told of this item")
        self._need(turn is None or not turn.transcribed, event, "the transcript is complete")

    def _transcript_end(self, event: Json) -> None:
        turn = self._turns.setdefault(event["item_id"], _Turn())
        self._need(turn.committed or event["item_id"] in self._items, event, "this item is not committed")
        self._need(not turn.transcribed, event, "transcribed twice")
        turn.transcribed = True
        self._owed_transcripts.discard(event["item_id"])

    # Items.

    def _item_added(self, event: Json) -> None:
        item = event["item"]
        self._need(item.get("id") is not None, event, "an item has an id")
        self._need(item["id"] not in self._items, event, "added twice")
        self._items[item["id"]] = False
        turn = self._turns.get(item["id"])
        self._need(turn is None or turn.committed, event, "input_audio_buffer.committed comes first")
        if item["id"] in self._owed_items:
            self._owed_items.remove(item["id"])
        if item.get("role") == "assistant" and item.get("status") == "in_progress":
            opened = self._open_items().get(item["id"])
            self._need(opened is not None, event, "response.output_item.added comes first")
        if (opened := self._open_items().get(item["id"])) is not None:
            opened.announced = True

    def _item_done(self, event: Json) -> None:
        item_id = event["item"]["id"]
        self._need(self._items.get(item_id) is False, event, "conversation.item.added comes first, and done once")
        self._items[item_id] = True
        if (opened := self._open_items().get(item_id)) is not None:
            self._need(opened.open_part is None, event, "response.content_part.done comes first")
            opened.concluded = True

    def _item_deleted(self, event: Json) -> None:
        self._item_known(event)
        del self._items[event["item_id"]]

    def _item_known(self, event: Json) -> None:
        self._need(event["item_id"] in self._items, event, "there is no such item")

    def _open_items(self) -> dict[str, _OutputItem]:
        return {reply.open_item.id: reply.open_item for reply in self._replies.values() if reply.open_item}

    # Replies.

    def _reply_created(self, event: Json) -> None:
        response = event["response"]
        self._need(response["status"] == "in_progress", event, "a new response is in progress")
        self._need(response["id"] not in self._done | self._replies.keys(), event, "created twice")
        side = response["conversation_id"] is None
        busy = [reply.id for reply in self._replies.values() if not reply.side]
        self._need(side or not busy, event, f"{busy} is not done yet")
        pcm = response["audio"]["output"]["format"]["type"] == "audio/pcm"
        self._replies[response["id"]] = _Reply(response["id"], side, pcm)

    def _reply(self, event: Json) -> _Reply:
        reply = self._replies.get(event["response_id"])
        self._need(reply is not None, event, "this response is not in progress")
        assert reply is not None
        return reply

    def _item(self, event: Json) -> _OutputItem:
        reply = self._reply(event)
        item = reply.open_item
        self._need(item is not None and item.id == event["item_id"], event, "this output item is not open")
        assert item is not None
        self._need(item.index == event["output_index"], event, f"the output_index of this item is {item.index}")
        self._need(item.announced or reply.side, event, "conversation.item.added comes first")
        return item

    def _part(self, event: Json) -> _Part:
        item = self._item(event)
        part = item.open_part
        self._need(part is not None, event, "no content part is open")
        assert part is not None
        self._need(event["content_index"] == len(item.parts) - 1, event, "another content part is open")
        return part

    def _output_item_added(self, event: Json) -> None:
        reply, item = self._reply(event), event["item"]
        self._need(reply.open_item is None, event, "another output item is open")
        self._need(event["output_index"] == len(reply.items), event, f"the next output_index is {len(reply.items)}")
        self._need(item["status"] == "in_progress", event, "a new item is in progress")
        self._need(item["id"] not in self._items, event, "response.output_item.added comes before the item's others")
        self._need(not item.get("content") and not item.get("arguments"), event, "a new item is empty")
        reply.open_item = _OutputItem(item["id"], item["type"], event["output_index"], item.get("call_id"))

    def _part_added(self, event: Json) -> None:
        item = self._item(event)
        self._need(item.kind == "message" and item.open_part is None, event, "no content part can begin here")
        self._need(event["content_index"] == len(item.parts), event, f"the next content_index is {len(item.parts)}")
        item.open_part = _Part(event["part"]["type"])
        item.parts.append(item.open_part)

    def _delta(self, event: Json, kind: str) -> None:
        part = self._part(event)
        self._need(part.kind == kind and not part.finished, event, f"no open part of {kind}")
        part.said += event["delta"]

    def _audio_delta(self, event: Json) -> None:
        part = self._part(event)
        self._need(part.kind == "audio" and not part.finished, event, "no open part of audio")
        data = binascii.a2b_base64(event["delta"], strict_mode=True)
        self._need(len(data) > 0, event, "a delta without audio")
        self._need(len(data) % 2 == 0 or not self._reply(event).pcm, event, "half a sample of PCM")
        part.audio_bytes += len(data)

    def _said_done(self, event: Json, kind: str, key: str) -> None:
        part = self._part(event)
        self._need(part.kind == kind and event["type"] not in part.finished, event, f"no open part of {kind}")
        self._need(event[key] == part.said, event, f"the deltas said {part.said!r}")
        part.finished.add(event["type"])

    def _audio_done(self, event: Json) -> None:
        part = self._part(event)
        self._need(part.kind == "audio" and not part.finished, event, "it closes the audio, once and first")
        part.finished.add(event["type"])

    def _part_done(self, event: Json) -> None:
        part = self._part(event)
        wanted = (
            {"response.output_text.done"}
            if part.kind == "text"
            else {"response.output_audio.done", "response.output_audio_transcript.done"}
        )
        self._need(part.finished == wanted, event, f"{sorted(wanted - part.finished)} comes first")
        said = event["part"].get("text" if part.kind == "text" else "transcript")
        self._need(said == part.said and event["part"]["type"] == part.kind, event, f"the deltas said {part.said!r}")
        self._item(event).open_part = None

    def _arguments_delta(self, event: Json) -> None:
        item = self._item(event)
        self._need(item.kind == "function_call" and not item.arguments_done, event, "no open call")
        self._need(event["call_id"] == item.call_id, event, f"the call is {item.call_id}")
        item.arguments += event["delta"]

    def _arguments_done(self, event: Json) -> None:
        item = self._item(event)
        self._need(item.kind == "function_call" and not item.arguments_done, event, "no open call")
        self._need(event["arguments"] == item.arguments, event, f"the deltas said {item.arguments!r}")
        item.arguments_done = True

    def _output_item_done(self, event: Json) -> None:
        reply, wire = self._reply(event), event["item"]
        item = reply.open_item
        self._need(item is not None and item.id == wire["id"], event, "this output item is not open")
        assert item is not None
        self._need(item.open_part is None, event, "response.content_part.done comes first")
        self._need(item.concluded or reply.side, event, "conversation.item.done comes first")
        self._need(wire["status"] in ("completed", "incomplete"), event, "a done item is completed or incomplete")
        if item.kind == "function_call":
            called = item.arguments_done or wire["status"] == "incomplete"
            self._need(called, event, "response.function_call_arguments.done comes first")
            self._need(wire["arguments"] == item.arguments, event, f"the deltas said {item.arguments!r}")
        else:
            said = [part.get("transcript", part.get("text")) for part in wire["content"]]
            self._need(said == [part.said for part in item.parts], event, "the content is not what the parts said")
        reply.items.append(wire)
        reply.open_item = None

    def _reply_done(self, event: Json) -> None:
        response = event["response"]
        reply = self._replies.pop(response["id"], None)
        self._need(reply is not None, event, "this response is not in progress")
        assert reply is not None
        self._need(reply.open_item is None, event, "response.output_item.done comes first")
        self._need(response["output"] == reply.items, event, "the output is not the items that are done")
        status, details = response["status"], response["status_details"]
        self._need(status in ("completed", "cancelled", "failed", "incomplete"), event, "the response has ended")
        self._need((details or {}).get("type", "completed") == status, event, "status and its details differ")
        whole = all(item["status"] == "completed" for item in reply.items)
        self._need(status != "completed" or whole, event, "a completed response has completed items")
        self._need(response["usage"] is not None, event, "usage is told at the end")
        self._done.add(reply.id)
