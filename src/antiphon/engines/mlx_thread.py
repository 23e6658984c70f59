"""The one thread of a process in which MLX works, and how engines share it.

MLX binds what it has not computed yet to the thread that asked for it, so a model must be read, warmed and used in one
thread, and so must what the libraries keep between calls. Two engines in one process would gain nothing from two
threads, since they share one accelerator. So there is one thread for all of them, from the first job to the end of the
process. It takes a step for each engine in turn; within an engine's lane jobs go by their order, then by age.
"""

from __future__ import annotations

import atexit
import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

T = TypeVar("T")

FIRST, LATER = 0, 1
"""Orders of jobs in a lane: the later ones wait while there are any first ones."""


_LEAVE_S = 10.0
"""So long the end of the process waits for the step that is being taken."""
_FALL_ASLEEP_S = 0.01


@dataclass(order=True, slots=True)
class _Job:
    order: tuple[int, int]
    work: Callable[[], Any] = field(compare=False)
    answer: Future[Any] = field(compare=False)
    steps: Iterator[Any] | None = field(compare=False, default=None)


class Lane(Executor):
    """One engine's way into the thread. Jobs of one order run one after the other, so a model sees one at a time.

    What a job calls may be a generator function: then each of its steps is a turn of the thread, between which other
    engines have theirs, and jobs of this lane that are to be done first. The job is done when the generator ends.
    """

    def __init__(self, thread: _MlxThread) -> None:
        self._thread = thread
        self._numbers = count()
        self.waiting: list[_Job] = []
        self.closed = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Raises RuntimeError once the lane was shut down."""
        return self.submit_in_order(FIRST, lambda: fn(*args, **kwargs))

    def submit_in_order(self, order: int, work: Callable[[], Any]) -> Future[Any]:
        """``order`` is FIRST or LATER. Raises RuntimeError as ``submit`` does."""
        answer: Future[Any] = Future()
        self._thread.add(self, _Job((order, next(self._numbers)), work, answer))
        return answer

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Takes no more jobs. Those that have begun end first; with ``cancel_futures`` the others are given up."""
        self._thread.close(self, cancel_futures=cancel_futures, wait=wait)


class _MlxThread:
    """The thread, which sleeps while there is nothing to do."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lanes: deque[Lane] = deque()  # those with work, the next one first
        self._at_work: Lane | None = None
        self._thread: threading.Thread | None = None
        self._ending = False

    def add(self, lane: Lane, job: _Job) -> None:
        with self._changed:
            if lane.closed or self._ending:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="mlx", daemon=True)
                self._thread.start()
                atexit.register(self._end)
            self._queue(lane, job)

    def close(self, lane: Lane, *, cancel_futures: bool, wait: bool) -> None:
        with self._changed:
            lane.closed = True
            if cancel_futures:
                begun = [job for job in lane.waiting if job.steps is not None]
                for job in lane.waiting:
                    if job.steps is None:
                        job.answer.cancel()
                lane.waiting[:] = begun
                heapq.heapify(lane.waiting)
            if wait:
                self._changed.wait_for(lambda: self._ending or (not lane.waiting and self._at_work is not lane))

    def _queue(self, lane: Lane, job: _Job) -> None:
        heapq.heappush(lane.waiting, job)
        if lane not in self._lanes:
            self._lanes.append(lane)
        self._changed.notify_all()

    def _end(self) -> None:
        """Lets the step that is being taken end, and has no other begin.

        The thread sleeps on and goes with the process: at its own end MLX would take the interpreter's lock, and abort
        the process if that is at its end, too.
        """
        assert self._thread is not None
        with self._changed:
            self._ending = True
            self._changed.wait_for(lambda: self._at_work is None, _LEAVE_S)
        self._thread.join(_FALL_ASLEEP_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._at_work = None
                self._changed.notify_all()
                while self._ending or not self._lanes:
                    self._changed.wait()
                lane = self._lanes.popleft()
                if not lane.waiting:
                    continue  # its jobs were given up
                job = heapq.heappop(lane.waiting)
                self._at_work = lane
            goes_on = _take_step(job)
            with self._changed:
                if goes_on:
                    self._queue(lane, job)
                elif lane.waiting and lane not in self._lanes:
                    self._lanes.append(lane)
            del job  # with what it holds: the thread may sleep long


def _take_step(job: _Job) -> bool:
    """Whether there is more to do."""
    try:
        if job.steps is None:
            if not job.answer.set_running_or_notify_cancel():
                return False
            result = job.work()
            if not isinstance(result, Iterator):
                job.answer.set_result(result)
                return False
            job.steps = result
        next(job.steps)
    except StopIteration as end:
        job.answer.set_result(end.value)
        return False
    except BaseException as error:
        job.answer.set_exception(error)
        return False
    return True


_THREAD = _MlxThread()


def open_lane() -> Lane:
    """A lane for one engine, which shuts it down at its end."""
    return Lane(_THREAD)
