"""Whether one more call can be carried well: reckoned from how busy the event loop is, and how late it runs.

Told the time in monotonic seconds. Shares are of one core: all calls of a process are carried by one thread.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MOST_BUSY = 0.85
"""Beyond this share of its core the loop is late with frames: what is left evens out bursts."""

MOST_LATE_S = 0.04
"""Two frames. A loop that is later than this half of the time is heard to stutter."""

CALL_COST = 0.055
"""What a call takes of a core while both sides speak: 18 calls a core, measured with aiortc. Assumed of each call that
was admitted so short a time ago that it is not seen in the figures yet."""

WINDOW_S = 3.0
"""The figures of so long count, and so long a new call is not seen in them."""


LEAST_SAMPLES = 6
"""Fewer tell nothing: a server that has just started has been busy with that."""


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    busy: float
    late_s: float


class Admission:
    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque()
        self._admitted: deque[float] = deque()

    def sample(self, now: float, busy: float, late_s: float) -> None:
        """``busy``: the share of its core that the loop took since the last sample. ``late_s``: how late it ran."""
        self._samples.append(_Sample(now, busy, late_s))
        self._forget(now)

    def admit(self, now: float) -> str | None:
        """Admits one more call, unless there is a reason not to, which is returned in words."""
        self._forget(now)
        busy = self._busy()
        late_s = median([sample.late_s for sample in self._seen()] or [0.0])
        if busy + (len(self._admitted) + 1) * CALL_COST > MOST_BUSY:
            return f"This server is busy: its calls take {busy:.0%} of a core; try again shortly"
        if late_s > MOST_LATE_S:
            return f"This server is busy: it runs {late_s * 1000:.0f} ms late; try again shortly"
        self._admitted.append(now)
        return None

    def expected(self, now: float) -> float:
        """The share of its core that is taken, or will be when the newest calls are seen in the figures."""
        self._forget(now)
        return self._busy() + len(self._admitted) * CALL_COST

    def _seen(self) -> Sequence[_Sample]:
        return self._samples if len(self._samples) >= LEAST_SAMPLES else ()

    def _busy(self) -> float:
        seen = self._seen()
        return sum(sample.busy for sample in seen) / max(1, len(seen))

    def _forget(self, now: float) -> None:
        while self._samples and self._samples[0].at < now - WINDOW_S:
            self._samples.popleft()
        while self._admitted and self._admitted[0] < now - WINDOW_S:
            self._admitted.popleft()
