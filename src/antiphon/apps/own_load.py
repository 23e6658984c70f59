"""How much of the machine the server takes, with the workers that are its own processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import psutil

LOOK_EVERY_S = 0.95
"""A look costs some 25 us for each process, and what is reckoned of it is a mean over seconds."""


class OwnLoad:
    """``share`` is asked from time to time, by one caller."""

    def __init__(self, workers: Callable[[], Iterable[int]] = tuple) -> None:
        """``workers`` gives the ids of further processes that count; they may end and begin."""
        self._workers = workers
        self._cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._before: dict[int, tuple[psutil.Process, float]] = {}
        """Each process by its id, and its CPU seconds when it was looked at last."""
        self._looked_at: float | None = None
        self._share = 0.0

    def share(self, now: float) -> float:
        """Of all cores that we may use, between the last two looks; 0 after the first. ``now`` in s.

        It looks when the last look was ``LOOK_EVERY_S`` ago.
        """
        if self._looked_at is None or now - self._looked_at >= LOOK_EVERY_S:
            self._share = self._look(now)
        return self._share

    def _look(self, now: float) -> float:
        before, self._before = self._before, {}
        took_s = 0.0
        for pid in (os.getpid(), *self._workers()):
            try:
                process = before[pid][0] if pid in before else psutil.Process(pid)  # which costs more than its times
                times = process.cpu_times()
            except psutil.Error:
                continue  # it is gone
            used_s = float(times.user + times.system)
            took_s += used_s - before[pid][1] if pid in before else 0.0
            self._before[pid] = process, used_s
        since_s = 0.0 if self._looked_at is None else now - self._looked_at
        self._looked_at = now
        return took_s / since_s / self._cores if since_s > 0 else 0.0
