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

_EARLY_S = 0.0015
"""Timers may come this much before their time: uvloop rounds to milliseconds. To wait for the rest would be to spin."""

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
        now = loop.time()
        if self._timer is None:
            self._next_at = now + _SLOT_S
        slots_ahead = int((now + FRAME_MS / 1000 - self._next_at) / _SLOT_S + 1e-6)
        self._slots[(self._next_slot + min(slots_ahead, SLOTS - 1)) % SLOTS][tick] = None
        self._arm(loop)

    def leave(self, tick: Tick) -> None:
        """``tick`` is not called any more. No harm if it was no member."""
        for slot in self._slots:
            slot.pop(tick, None)

    def _turn(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        now = loop.time()
        if now - self._next_at > _MAX_LATE_S:
            self._next_at = now
        while self._next_at <= now + _EARLY_S:
            slot = self._slots[self._next_slot]
            for tick in tuple(slot):
                if tick in slot:  # and was not let go by one before it
                    self._call(tick, now)
            self._advance()
        self._arm(loop)

    def _call(self, tick: Tick, now: float) -> None:
        """A member that fails is let go and reported; the others never notice."""
        try:
            tick(now)
        except Exception as error:
            self.leave(tick)
            report = {"message": "a member of the pacer failed and was let go", "exception": error}
            asyncio.get_running_loop().call_exception_handler(report)

    def _advance(self) -> None:
        self._next_slot = (self._next_slot + 1) % SLOTS
        self._next_at += _SLOT_S

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        """Sleeps until the next slot that has members: waking up is what costs."""
        if self._timer is not None:
            self._timer.cancel()  # a tick has let somebody join
            self._timer = None
        if not any(self._slots):
            return
        while not self._slots[self._next_slot]:
            self._advance()
        self._timer = loop.call_at(self._next_at, self._turn)
