"""Which process carries the next call, and which one carries a call that there is.

A process that ended and was started again is another one: nothing of what the former carried is left.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from antiphon.core.admission import CALL_COST

REMEMBERED = 64
"""So many processes that are gone are known as such, each by a few bytes."""

_MARK = re.compile(r"(?:(?:rtc|sess)_(\d{1,4})_([0-9a-f]{8})_|(\d{1,4})\.([0-9a-f]{8})\.)")


@dataclass(frozen=True, slots=True)
class Mark:
    """Which process something belongs to; part of the names that clients know it by."""

    number: int
    """The process's place among those of the server, from 1 on. Who takes its place has the same."""
    instance: str
    """Eight hexadecimal digits, others for each process."""

    def before(self, name: str) -> str:
        """``name``, which ends in an underscore, for what belongs to this process."""
        return f"{name}{self.number}_{self.instance}_"

    @property
    def on_token(self) -> str:
        """What a token begins with. No other token has a dot."""
        return f"{self.number}.{self.instance}."

    @classmethod
    def of(cls, name: str) -> Mark | None:
        """That of a call, a session or a token; None where it has none."""
        match = _MARK.match(name)
        if match is None:
            return None
        return cls(int(match[1] or match[3]), match[2] or match[4])


class Fate(Enum):
    """What became of a process that does not run."""

    ENDED = auto()
    """It ran once. What it carried is lost."""
    UNKNOWN = auto()
    """There was no such process."""


@dataclass(slots=True)
class Carrier:
    """One process while it runs."""

    mark: Mark
    sessions: int = 0
    """As it told last."""
    busy: float = 0.0
    """The share of its core that is taken, or expected to be, as it told last."""
    begun: int = 0
    """Sessions that it ever began, as it told last."""
    asked: int = 0
    """Calls that it was offered and has not answered yet."""
    taken: int = 0
    """Calls that it ever took."""

    @property
    def untold(self) -> int:
        """Calls that it has taken, or may take, and has not told of yet."""
        return max(0, self.asked + self.taken - self.begun)

    @property
    def calls(self) -> int:
        return self.sessions + self.untold

    @property
    def load(self) -> float:
        """The share of its core to reckon with. Calls in which nobody speaks at the moment will take theirs later."""
        return max(self.busy, self.sessions * CALL_COST) + self.untold * CALL_COST

    def offer(self) -> None:
        """It is offered a call; ``answered`` follows."""
        self.asked += 1

    def answered(self, *, taken: bool) -> None:
        self.asked -= 1
        self.taken += taken

    def tell(self, sessions: int, busy: float, begun: int) -> None:
        self.sessions, self.busy, self.begun = sessions, busy, begun


class Carriers:
    """All processes that carry calls."""

    def __init__(self) -> None:
        self._there: dict[int, Carrier] = {}
        self._ended: deque[Mark] = deque(maxlen=REMEMBERED)

    def appear(self, mark: Mark, begun: int = 0) -> Carrier:
        """A process runs, or can be reached again; it has begun so many sessions already."""
        self.end(mark.number)
        carrier = self._there[mark.number] = Carrier(mark, begun=begun, taken=begun)
        return carrier

    def end(self, number: int) -> None:
        """A process has ended, or cannot be reached any more. No harm if none ran there."""
        carrier = self._there.pop(number, None)
        if carrier is not None:
            self._ended.append(carrier.mark)

    def at(self, number: int) -> Carrier | None:
        return self._there.get(number)

    def find(self, mark: Mark) -> Carrier | Fate:
        """The process that something belongs to."""
        carrier = self._there.get(mark.number)
        if carrier is not None and carrier.mark == mark:
            return carrier
        return Fate.ENDED if mark in self._ended else Fate.UNKNOWN

    @property
    def calls(self) -> int:
        return sum(carrier.calls for carrier in self._there.values())

    def in_turn(self) -> list[Carrier]:
        """Whom to offer a call, the one with the least to do first."""
        return sorted(self._there.values(), key=lambda carrier: (carrier.load, carrier.mark.number))
