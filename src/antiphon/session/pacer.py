"""The clock of all paced playouts in a process: one timer, however many sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from antiphon.audio import FRAME_MS

SLOTS = 4
"""The frame time is cut into so many slots; who joins takes the next, so that sessions do not all send at once."""

_SLOT_S = FRAME_MS / 1000 / SLOTS
_MAX_LATE_S = 0.2
"""A loop that stood still for longer than this drops the ticks it missed instead of making up for them."""

Tick = Callable[[float], None]


class Pacer:
    """Calls every member once in 20 ms, on a grid that does not drift. Costs nothing while it has no members."""

    def __init__(self) -> None:
        self._slots: list[dict[Tick, None]] = [{} for _ in range(SLOTS)]
        self._timer: asyncio.TimerHandle | None = None
        self._next_slot = 0
        self._next_at = 0.0

    def join(self, tick: Tick) -> None:
        """Calls ``tick(now)`` 20 ms from now, to within a slot, and then every 20 ms."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._next_at = loop.time() + _SLOT_S
            self._timer = loop.call_at(self._next_at, self._turn)
        # The slot before the next one is the furthest away: a whole frame.
        self._slots[(self._next_slot - 1) % SLOTS][tick] = None

    def leave(self, tick: Tick) -> None:
        """``tick`` is not called any more. No harm if it was no member."""
        for slot in self._slots:
            slot.pop(tick, None)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        if now - self._next_at > _MAX_LATE_S:
            self._next_at = now
        while self._next_at <= now:
            for tick in tuple(self._slots[self._next_slot]):
                tick(now)
            self._next_slot = (self._next_slot + 1) % SLOTS
            self._next_at += _SLOT_S
        self._timer = loop.call_at(self._next_at, self._turn) if any(self._slots) else None
