"""How much is done ahead while the server is busy: what may be in vain is left off first, the dearest of it first.

Told the time in monotonic seconds. Shares are from 0 to 1.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum

from antiphon.core.admission import MOST_BUSY, MOST_LATE_S


class Ahead(IntEnum):
    """How much may be done before the turn is over; each includes those before it."""

    NOTHING = 0
    BRAIN = 1
    """Text is written."""
    VOICE = 2
    """And its first clause is spoken, and voices may speak several clauses at once."""


_OFF = {Ahead.VOICE: 0.75, Ahead.BRAIN: 1.0}
"""The share of the limits of ``core.admission`` from which each kind of work is left off. No call is refused before."""

_BACK_AT = 0.8
"""It is taken up again below so much of the share at which it was left off,"""

HOLD_S = 5.0
"""and after so long at the earliest: what is left off makes load go down by itself."""

WINDOW_S = 3.0
"""Load is the mean of so long, so that one burst decides nothing."""

_LEAST_SAMPLES = 6


class Shedding:
    """Says how much work ahead there is room for. It only ever moves by one step at a time."""

    def __init__(self) -> None:
        self.level = Ahead.VOICE
        self._samples: deque[tuple[float, float]] = deque()
        self._changed_at = -HOLD_S

    @property
    def load(self) -> float:
        """1 at the limit; 0 while too little is known."""
        if len(self._samples) < _LEAST_SAMPLES:
            return 0.0
        return sum(load for _, load in self._samples) / len(self._samples)

    def sample(self, now: float, *, busy: float, late_s: float, machine: float) -> None:
        """``busy``: the share of its core that the loop took since the last sample. ``late_s``: how late it ran.
        ``machine``: the share of all cores that the server's processes took.
        """
        limited = min(late_s, 2 * MOST_LATE_S)  # one long stall is one sample, and not the mean of them all
        self._samples.append((now, max(busy / MOST_BUSY, machine / MOST_BUSY, limited / MOST_LATE_S)))
        while self._samples[0][0] < now - WINDOW_S:
            self._samples.popleft()
        self._move(now)

    def _move(self, now: float) -> None:
        load, level = self.load, self.level
        if level is not Ahead.NOTHING and load >= _OFF[level]:
            if now - self._changed_at >= WINDOW_S:  # what was left off shows in the figures by then
                self._change(Ahead(level - 1), now)
        elif level is not Ahead.VOICE and now - self._changed_at >= HOLD_S:
            above = Ahead(level + 1)
            if load < _OFF[above] * _BACK_AT:
                self._change(above, now)

    def _change(self, level: Ahead, now: float) -> None:
        self.level = level
        self._changed_at = now
