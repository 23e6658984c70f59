"""Virtual time: an asyncio event loop whose clock stands still while there is work and jumps to the next timer.

A program that takes all its times from ``loop.time()`` and all its waits from the loop runs on it unchanged: thirty
minutes of a conversation take seconds, and the same program gives the same times every time. The idea is that of trio's
``MockClock`` with autojump.

Work in other threads, or at the other end of a socket, takes real time. While ``busy`` says that there is some, the
clock runs as clocks do; jobs of ``run_in_executor`` are counted by the loop itself.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

from antiphon.errors import AntiphonError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_BUSY_POLL_S = 0.02
"""How long, in real time, one wait for another thread may last before ``busy`` is asked again."""


class DeadlockError(AntiphonError):
    """Nothing is ready and no timer is set: the program would wait for ever."""


class LeftoverError(AntiphonError):
    """The program returned and left tasks behind, or an exception that nobody took."""


class _JumpingSelector(selectors.SelectSelector):
    """Where the loop would sleep, it lets the clock jump instead."""

    def __init__(self, advance: Callable[[float | None], float], elapse: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance
        self._elapse = elapse

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        real_wait_s = self._advance(timeout)
        if not real_wait_s:
            return []
        began_s = time.monotonic()
        ready = super().select(real_wait_s)
        # Where nothing came, a machine that let the wait last longer is not to be seen in the program's times.
        self._elapse(time.monotonic() - began_s if ready else real_wait_s)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop. Its clock starts at ``start_s``."""

    def __init__(self, start_s: float = 0.0, busy: Callable[[], bool] | None = None) -> None:
        self._now_s = start_s
        self._busy = busy or (lambda: False)
        self._executor_jobs = 0
        self.problems: list[Mapping[str, Any]] = []
        """What reached the loop's exception handler."""
        super().__init__(_JumpingSelector(self._advance, self._elapse))
        self.set_exception_handler(lambda _loop, context: self.problems.append(context))

    def time(self) -> float:
        return self._now_s

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        job = super().run_in_executor(executor, func, *args)
        self._executor_jobs += 1
        job.add_done_callback(self._job_done)
        return job

    async def shutdown_default_executor(self, *args: Any) -> None:
        self._executor_jobs += 1  # it waits for a thread
        try:
            await super().shutdown_default_executor(*args)
        finally:
            self._executor_jobs -= 1

    def _job_done(self, _job: asyncio.Future[Any]) -> None:
        self._executor_jobs -= 1

    def _advance(self, timeout_s: float | None) -> float:
        """Moves the clock on by ``timeout_s``; returns how long to wait in real time instead, or 0."""
        if self._executor_jobs or self._busy():
            return _BUSY_POLL_S if timeout_s is None else min(_BUSY_POLL_S, timeout_s)
        if timeout_s is None:
            raise DeadlockError(_describe_deadlock(self))
        self._now_s += timeout_s
        return 0.0

    def _elapse(self, real_s: float) -> None:
        self._now_s += real_s


def _describe(task: asyncio.Task[Any]) -> str:
    frames = task.get_stack(limit=1)
    where = f"{frames[-1].f_code.co_qualname}, line {frames[-1].f_lineno}" if frames else "not started"
    return f"{task.get_name()} at {where}"


def _describe_deadlock(loop: asyncio.AbstractEventLoop) -> str:
    waiting = sorted(_describe(task) for task in asyncio.all_tasks(loop))
    return f"at {loop.time():.3f} s nothing can happen any more; waiting: {'; '.join(waiting) or 'nobody'}"


def run_virtual(main: Coroutine[Any, Any, T], *, start_s: float = 0.0, busy: Callable[[], bool] | None = None) -> T:
    """Runs ``main`` on virtual time and returns its result.

    Raises DeadlockError when nothing can happen any more, and LeftoverError when ``main`` returned and tasks of its
    making are still there, or when an exception reached the loop with nobody to take it.
    """
    loop = VirtualTimeLoop(start_s, busy)
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        result = runner.run(main)
        leftover = sorted(_describe(task) for task in asyncio.all_tasks(loop))
    if leftover:
        raise LeftoverError(f"tasks left behind: {'; '.join(leftover)}")
    if loop.problems:
        first = loop.problems[0]
        raise LeftoverError(f"{first.get('message')} ({len(loop.problems)} in all)") from first.get("exception")
    return result
