"""Messages on their way to one client: bounded, on credit where that is asked for, and held while somebody says so."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar

M = TypeVar("M")


class Hold(Enum):
    """Who holds the messages back. They leave when nobody does."""

    STREAM = "stream"
    """The client, in the stream itself."""
    SESSION = "session"
    """A control call on the conversation."""


@dataclass(frozen=True, slots=True)
class Parcel(Generic[M]):
    """A message, the segment that it belongs to, and how much credit it takes."""

    message: M
    segment: int = 0
    cost: int = 0
    last: bool = False
    """Nothing more comes of its segment."""


class Outbox(Generic[M]):
    """One reader, ``next``; any number of writers in the same event loop."""

    def __init__(self, limit: int) -> None:
        """``limit`` is how many parcels may wait before ``room`` does."""
        self._limit = limit
        self._urgent: deque[Parcel[M]] = deque()
        self._parcels: deque[Parcel[M]] = deque()
        self._credit = 0
        self._holds: set[Hold] = set()
        self._finished = False
        self._to_send = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._parcels)

    def put(self, parcel: Parcel[M]) -> None:
        """In order. Await ``room`` before it for all that there may be many of."""
        self._parcels.append(parcel)
        self._to_send.set()
        if len(self._parcels) >= self._limit:
            self._room.clear()

    async def room(self) -> None:
        await self._room.wait()

    def put_urgent(self, parcel: Parcel[M]) -> None:
        """Before all others, held or not, without credit."""
        self._urgent.append(parcel)
        self._to_send.set()

    def drop(self, segment: int) -> None:
        """Throws away what waits of a segment."""
        self._parcels = deque(parcel for parcel in self._parcels if parcel.segment != segment)
        self._made_room()

    def allow(self, credit: int) -> None:
        self._credit += credit
        self._to_send.set()

    def hold(self, who: Hold) -> None:
        self._holds.add(who)

    def release(self, who: Hold) -> None:
        self._holds.discard(who)
        self._to_send.set()

    def finish(self) -> None:
        """What waits and may leave is still sent, then ``next`` gives None."""
        self._finished = True
        self._to_send.set()

    def discard(self) -> None:
        """Nothing more is sent, and ``next`` gives None."""
        self._urgent.clear()
        self._parcels.clear()
        self.finish()

    async def next(self) -> Parcel[M] | None:
        """The next parcel that may leave; it counts as sent. None when the outbox is finished and nothing may."""
        while True:
            if self._urgent:
                return self._urgent.popleft()
            if self._parcels and not self._holds and self._parcels[0].cost <= self._credit:
                parcel = self._parcels.popleft()
                self._credit -= parcel.cost
                self._made_room()
                return parcel
            if self._finished:
                return None
            self._to_send.clear()
            await self._to_send.wait()

    def _made_room(self) -> None:
        if len(self._parcels) < self._limit:
            self._room.set()
