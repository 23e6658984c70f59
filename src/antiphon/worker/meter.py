"""How fast a worker is: seconds of work for a second of audio, over the last minute."""

from __future__ import annotations

from collections import deque

WINDOW_S = 60.0


class WorkMeter:
    """Told the time. It keeps sums of a second each, so its size does not depend on the load."""

    def __init__(self) -> None:
        self._sums: deque[tuple[int, float, float]] = deque()

    def add(self, work_s: float, audio_s: float, now: float) -> None:
        second = int(now)
        if self._sums and self._sums[-1][0] == second:
            _, work_before_s, audio_before_s = self._sums.pop()
            work_s, audio_s = work_s + work_before_s, audio_s + audio_before_s
        self._sums.append((second, work_s, audio_s))
        self._forget(now)

    def rtf(self, now: float) -> float:
        """0 when nothing was measured."""
        self._forget(now)
        audio_s = sum(entry[2] for entry in self._sums)
        return sum(entry[1] for entry in self._sums) / audio_s if audio_s else 0.0

    def _forget(self, now: float) -> None:
        while self._sums and self._sums[0][0] < now - WINDOW_S:
            self._sums.popleft()
