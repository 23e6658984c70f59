"""How much of the machine the server takes, with the workers that are its own processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import psutil


class OwnLoad:
    """``share`` is asked from time to time, by one caller. A look costs some 30 us for each process."""

    def __init__(self, workers: Callable[[], Iterable[int]] = tuple) -> None:
        """``workers`` gives the ids of further processes that count; they may end and begin."""
        self._workers = workers
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._before: dict[int, float] = {}
        """CPU seconds of each process when it was looked at last."""
        self._looked_at: float | None = None

    def share(self, now: float) -> float:
        """Of all cores that we may use, since it was asked last; 0 the first time. ``now`` in s."""
        cpu_s = {pid: used for pid in (os.getpid(), *self._workers()) if (used := _cpu_s(pid)) is not None}
        took_s = sum(used - self._before.get(pid, used) for pid, used in cpu_s.items())
        since_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._before, self._looked_at = cpu_s, now
        return took_s / since_s / self._cores if since_s > 0 else 0.0


def _cpu_s(pid: int) -> float | None:
    """None for a process that is gone."""
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return None
    return float(times.user + times.system)
