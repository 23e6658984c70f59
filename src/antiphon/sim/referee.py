"""A referee for Realtime connections: is each event well-formed, and does it come where the protocol has it?

Feed it every server event of one connection, and the client's events too where they are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from antiphon.sim.playout_referee import PlayoutReferee
from antiphon.sim.reply_referee import ReplyReferee
from antiphon.sim.vendor_referee import VendorReferee
from antiphon.sim.wire_schema import FoulError, check_schema, need

__all__ = ["FoulError", "Referee", "check_schema"]

Json = dict[str, Any]


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
        self._replies = ReplyReferee(self._items)
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
            **self._replies.rules,
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
            need(fine, event, "comes before the first session.updated")
        if kind == "conversation.created":
            raise FoulError("conversation.created is not sent any more")
        rule = self._rules.get(kind)
        if rule is not None:
            rule(event)

    def finish(self) -> None:
        """The conversation has come to rest: nothing may be owed."""
        if self._playout is not None:
            self._playout.finish()
        self._replies.finish()
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

    # The session.

    def _session_created(self, event: Json) -> None:
        self._note_session(event)

    def _session_updated(self, event: Json) -> None:
        self._configured = True
        self._note_session(event)

    def _note_session(self, event: Json) -> None:
        session = event["session"]
        need("id" in session and "expires_at" in session, event, "the session has an id and an end")
        self._transcribing = session["audio"]["input"]["transcription"] is not None

    # The user's side.

    def _speech_started(self, event: Json) -> None:
        turn = self._turns.setdefault(event["item_id"], _Turn())
        need(not turn.started or turn.stopped, event, "this speech has started already")
        need(not turn.committed, event, "this turn is committed")
        turn.started, turn.stopped = True, False

    def _speech_stopped(self, event: Json) -> None:
        turn = self._turns.get(event["item_id"])
        need(turn is not None and turn.started and not turn.stopped, event, "this speech has not started")
        assert turn is not None
        turn.stopped = True

    def _committed(self, event: Json) -> None:
        turn = self._turns.setdefault(event["item_id"], _Turn())
        need(not turn.committed, event, "committed twice")
        turn.committed = True
        self._owed_items.append(event["item_id"])
        if self._transcribing and not turn.transcribed:
            self._owed_transcripts.add(event["item_id"])

    def _transcript_delta(self, event: Json) -> None:
        turn = self._turns.get(event["item_id"])
        need(turn is not None or event["item_id"] in self._items, event, "nobody has told of this item")
        need(turn is None or not turn.transcribed, event, "the transcript is complete")

    def _transcript_end(self, event: Json) -> None:
        turn = self._turns.setdefault(event["item_id"], _Turn())
        need(turn.committed or event["item_id"] in self._items, event, "this item is not committed")
        need(not turn.transcribed, event, "transcribed twice")
        turn.transcribed = True
        self._owed_transcripts.discard(event["item_id"])

    # Items.

    def _item_added(self, event: Json) -> None:
        item = event["item"]
        need(item.get("id") is not None, event, "an item has an id")
        need(item["id"] not in self._items, event, "added twice")
        self._items[item["id"]] = False
        turn = self._turns.get(item["id"])
        need(turn is None or turn.committed, event, "input_audio_buffer.committed comes first")
        if item["id"] in self._owed_items:
            self._owed_items.remove(item["id"])
        if item.get("role") == "assistant" and item.get("status") == "in_progress":
            opened = self._replies.open_items().get(item["id"])
            need(opened is not None, event, "response.output_item.added comes first")
        if (opened := self._replies.open_items().get(item["id"])) is not None:
            opened.announced = True

    def _item_done(self, event: Json) -> None:
        item_id = event["item"]["id"]
        need(self._items.get(item_id) is False, event, "conversation.item.added comes first, and done once")
        self._items[item_id] = True
        if (opened := self._replies.open_items().get(item_id)) is not None:
            need(opened.open_part is None, event, "response.content_part.done comes first")
            opened.concluded = True

    def _item_deleted(self, event: Json) -> None:
        self._item_known(event)
        del self._items[event["item_id"]]

    def _item_known(self, event: Json) -> None:
        need(event["item_id"] in self._items, event, "there is no such item")
