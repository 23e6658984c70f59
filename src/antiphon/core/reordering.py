"""How long packets come after ones that were sent later, and how long it pays to wait for one that is missing.

Jitter as such says little of that: where a whole line stands still for a moment, as with a queue or a busy machine,
packets come late but in order, and one that is missing then is lost.
"""

from __future__ import annotations

from collections import deque

MS_PER_PERCENT = 20
"""One more percent of packets in time is worth this much waiting: what NetEq, WebRTC's own buffer, takes by default
(``ms_per_loss_percent`` of its reorder optimizer)."""

MARGIN_S = 0.01
"""What is allowed beyond the longest that was seen and is worth it."""

REMEMBERED = 256
"""It goes by the last so many packets, some 5 s."""


class Reordering:
    """Of one stream. ``count`` is the number of its packets so far, and never falls."""

    __slots__ = ("_late",)

    def __init__(self) -> None:
        self._late: deque[tuple[int, float]] = deque()
        """Of those that came out of order: the count then, and how long after the first that was sent later, in s."""

    def note(self, count: int, late_s: float) -> None:
        """A packet has come this long after the first that was sent later."""
        self._late.append((count, late_s))
        self._forget(count)

    def wait_s(self, count: int) -> float:
        """How long to wait for a missing packet, from when a later one came: the time and what it misses cost least."""
        self._forget(count)
        seen = sorted((late_s for _, late_s in self._late), reverse=True)
        percent_each = 100 / min(max(count, 1), REMEMBERED)
        # Waiting for as long as the n-th longest misses those before it.
        costs = [(late_s * 1000 + n * percent_each * MS_PER_PERCENT, late_s) for n, late_s in enumerate(seen)]
        costs.append((len(seen) * percent_each * MS_PER_PERCENT, 0.0))
        return min(costs)[1] + MARGIN_S

    def _forget(self, count: int) -> None:
        while self._late and self._late[0][0] <= count - REMEMBERED:
            self._late.popleft()
