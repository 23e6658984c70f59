"""Who answers which call: of each reply the calls that are ours and those of the client. Pure.

A round is the calls of one reply. When all of ours have their results, and the client has none to give, the model is to
answer to them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from antiphon.ids import ReplyId


@dataclass(slots=True)
class Call:
    """A call of a function, as the model made it."""

    id: str
    name: str
    arguments: str = ""
    """A JSON text."""


@dataclass(slots=True)
class Round:
    """The calls of one reply of which at least one is ours."""

    reply: ReplyId
    ours: dict[str, Call]
    with_client: bool
    """The client has calls to answer too, and asks for the answer itself."""
    open: set[str] = field(default_factory=set)
    """Those of ours that have no result."""
    taken_back: bool = True
    """None of ours was run to its end."""

    @property
    def over(self) -> bool:
        return not self.open


class Ledger:
    """All calls of a conversation that are not answered."""

    def __init__(self) -> None:
        self._told: dict[ReplyId, dict[str, Call]] = {}
        self._rounds: dict[str, Round] = {}
        """By the calls that have no result."""

    def told(self, reply: ReplyId, call_id: str, name: str, arguments: str) -> None:
        """A piece of a call's arguments."""
        calls = self._told.setdefault(reply, {})
        calls.setdefault(call_id, Call(call_id, name)).arguments += arguments

    def reply_over(self, reply: ReplyId, is_ours: Callable[[str], bool]) -> Round | None:
        """The reply is told: its round, with all of our calls open; None where there is none of ours."""
        calls = self._told.pop(reply, {})
        ours = {call.id: call for call in calls.values() if is_ours(call.name)}
        if not ours:
            return None
        made = Round(reply, ours, with_client=len(ours) < len(calls), open=set(ours))
        self._rounds |= dict.fromkeys(ours, made)
        return made

    def taken_back(self, reply: ReplyId, is_ours: Callable[[str], bool]) -> list[Call]:
        """The reply was cut off: those of its calls that would have been ours are not to be run."""
        return [call for call in self._told.pop(reply, {}).values() if is_ours(call.name)]

    def answered(self, call_id: str, *, run: bool = True) -> Round | None:
        """One of our calls has its result, or was not ``run`` to its end; gives its round when it was the last."""
        found = self._rounds.pop(call_id, None)
        if found is None:
            return None
        found.taken_back = found.taken_back and not run
        found.open.discard(call_id)
        return found if found.over else None

    @property
    def holds_client(self) -> bool:
        """A reply of which the client and we have calls waits for ours: the client's request for an answer is early."""
        return any(each.with_client for each in self._rounds.values())
