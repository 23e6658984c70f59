"""Whether the events of our own come where ``docs/EVENTS.md`` has them, and agree with those around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from antiphon.sim.wire_schema import need

Json = dict[str, Any]


@dataclass(slots=True)
class _Told:
    """What was told of a reply before it was heard."""

    brain: str | None = None
    item: str | None = None
    voices: list[str] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)
    done: bool = False


class VendorReferee:
    """Feed it every event of a connection whose client asked for those of our own. Raises FoulError."""

    def __init__(self) -> None:
        self._count = 0
        self._state = "idle"
        self._committed: set[str] = set()
        self._answered: set[str] = set()
        self._replies: dict[str, _Told] = {}
        self._rules: dict[str, Callable[[Json], object]] = {
            "antiphon.record": self._record,
            "antiphon.state": self._change_state,
            "antiphon.brain": self._brain,
            "antiphon.voice": self._voice,
            "antiphon.clause": self._clause,
            "antiphon.turn": self._turn,
            "antiphon.barge_in": self._known,
            "input_audio_buffer.committed": lambda event: self._committed.add(event["item_id"]),
            "response.created": self._created,
            "response.output_item.added": self._item_added,
            "response.done": self._done,
        }

    def feed(self, event: Json) -> None:
        self._count += 1
        rule = self._rules.get(event["type"])
        if rule is not None:
            rule(event)

    def _record(self, event: Json) -> None:
        need(self._count == 2, event, "it comes right after session.created")

    def _change_state(self, event: Json) -> None:
        need(event["state"] != self._state, event, "this is the state already")
        self._state = event["state"]

    def _created(self, event: Json) -> None:
        self._replies[event["response"]["id"]] = _Told()

    def _known(self, event: Json) -> _Told:
        told = self._replies.get(event["response_id"])
        need(told is not None, event, "there is no such response")
        assert told is not None
        return told

    def _open(self, event: Json) -> _Told:
        told = self._known(event)
        need(not told.done, event, "this response is done")
        return told

    def _same_item(self, event: Json) -> _Told:
        told = self._open(event)
        told.item = told.item or event["item_id"]
        need(told.item == event["item_id"], event, f"the item of this response is {told.item}")
        return told

    def _brain(self, event: Json) -> None:
        told = self._open(event)
        need(told.brain is None, event, "the language model of this response was told before")
        need(not told.clauses, event, "it comes before the first clause")
        told.brain = event["model"]

    def _voice(self, event: Json) -> None:
        told = self._same_item(event)
        need(told.voices[-1:] != [event["voice"]], event, "this voice speaks already")
        told.voices.append(event["voice"])

    def _clause(self, event: Json) -> None:
        told = self._same_item(event)
        need(bool(told.voices), event, "antiphon.voice comes first")
        told.clauses.append(event["text"])

    def _turn(self, event: Json) -> None:
        self._open(event)
        need(event["item_id"] in self._committed, event, "this turn is not committed")
        need(event["item_id"] not in self._answered, event, "this turn was answered before")
        self._answered.add(event["item_id"])

    def _item_added(self, event: Json) -> None:
        told = self._known(event)
        if event["item"]["type"] == "message" and told.item is not None:
            need(event["item"]["id"] == told.item, event, f"the item was told as {told.item}")

    def _done(self, event: Json) -> None:
        response = event["response"]
        told = self._replies[response["id"]]
        told.done = True
        content = [part for item in response["output"] for part in item.get("content", ())]
        said = "".join(part.get("transcript", "") for part in content)
        text = "".join(told.clauses)
        need(text.startswith(said), event, f"the clauses were {text!r}")
        need(response["status"] != "completed" or text == said, event, f"the clauses were {text!r}")
