"""Whether what a client of a call is told of its hearing comes where the protocol has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.sim.wire_schema import FoulError, need

Json = dict[str, Any]


class PlayoutReferee:
    """Feed it every event of a call, or of a sideband that was there from its beginning. Raises FoulError."""

    def __init__(self) -> None:
        self._worded: set[str] = set()
        """Replies of which words were told."""
        self._done: dict[str, str] = {}
        """By reply, the status with which it ended."""
        self._items: dict[str, str] = {}
        """By reply, its spoken item."""
        self._playing: str | None = None
        self._played: set[str] = set()
        self._owed_cut: str | None = None
        """The item of which the client is yet to be told how much it has heard."""
        self._rules: dict[str, Callable[[Json], None]] = {
            "response.output_audio.delta": self._audio,
            "response.output_audio_transcript.delta": self._word,
            "response.done": self._reply_done,
            "output_audio_buffer.started": self._started,
            "output_audio_buffer.stopped": self._stopped,
            "output_audio_buffer.cleared": self._cleared,
            "conversation.item.truncated": self._truncated,
        }

    def feed(self, event: Json) -> None:
        if self._owed_cut is not None:
            cut = event["type"] == "conversation.item.truncated"
            need(cut, event, "conversation.item.truncated follows output_audio_buffer.cleared")
        rule = self._rules.get(event["type"])
        if rule is not None:
            rule(event)

    def finish(self) -> None:
        """Nothing may be owed."""
        if self._playing is not None:
            raise FoulError(f"no output_audio_buffer.stopped or .cleared for {self._playing}")
        if self._owed_cut is not None:
            raise FoulError(f"no conversation.item.truncated for {self._owed_cut}")

    def _audio(self, event: Json) -> None:
        need(False, event, "the audio of a call is no event")

    def _word(self, event: Json) -> None:
        self._worded.add(event["response_id"])
        self._items[event["response_id"]] = event["item_id"]

    def _started(self, event: Json) -> None:
        reply = event["response_id"]
        need(reply not in self._done, event, "a reply is heard before it is done")
        need(reply in self._worded, event, "its first words are told before")
        need(reply not in self._played, event, "it began already")
        need(self._playing is None, event, f"{self._playing} is still heard")
        self._playing = reply
        self._played.add(reply)

    def _stopped(self, event: Json) -> None:
        self._end(event)
        need(self._done[event["response_id"]] != "cancelled", event, "what was cut is cleared")

    def _cleared(self, event: Json) -> None:
        self._end(event)
        need(self._done[event["response_id"]] == "cancelled", event, "the reply was not cut")
        self._owed_cut = self._items[event["response_id"]]

    def _end(self, event: Json) -> None:
        reply = event["response_id"]
        need(self._playing == reply, event, "this reply is not heard")
        need(reply in self._done, event, "response.done comes first")
        self._playing = None

    def _truncated(self, event: Json) -> None:
        if event["item_id"] == self._owed_cut:
            self._owed_cut = None

    def _reply_done(self, event: Json) -> None:
        response = event["response"]
        self._done[response["id"]] = response["status"]
        spoken = response["id"] in self._worded and response["conversation_id"] is not None
        unheard = spoken and response["status"] == "completed" and response["id"] not in self._played
        need(not unheard, event, "a spoken reply was never heard")
