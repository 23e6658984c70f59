"""The clock that jumps."""

from __future__ import annotations

import asyncio
import selectors
import threading
import time
from typing import Any

import pytest

from antiphon.sim.virtual_time import DeadlockError, LeftoverError, run_virtual


def test_an_hour_takes_no_time_and_is_an_hour_on_the_clock() -> None:
    async def main() -> float:
        await asyncio.sleep(3600)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main()) == pytest.approx(3600)
    assert time.monotonic() - began < 10


def test_timers_fire_in_order_and_at_their_times() -> None:
    async def main() -> list[tuple[str, float]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[str, float]] = []
        loop.call_later(0.3, lambda: seen.append(("late", loop.time())))
        loop.call_later(0.1, lambda: seen.append(("early", loop.time())))
        await asyncio.sleep(0.2)
        seen.append(("between", loop.time()))
        await asyncio.sleep(0.2)
        return seen

    names, times = zip(*run_virtual(main()), strict=True)
    assert names == ("early", "between", "late")
    assert times == pytest.approx((0.1, 0.2, 0.3))


def test_the_clock_stands_while_work_is_ready() -> None:
    async def main() -> float:
        for _ in range(1000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main(), start_s=5.0) == 5.0


def test_a_deadlock_names_who_waits() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.create_task(stuck(), name="the stuck one")

    with pytest.raises(DeadlockError, match=r"the stuck one at .*stuck, line"):
        run_virtual(main())


def test_the_clock_runs_with_jobs_in_threads() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, time.sleep, 0.05)
        timer = asyncio.create_task(asyncio.sleep(10))
        await asyncio.wait({job, timer}, return_when=asyncio.FIRST_COMPLETED)
        assert job.done()
        assert not timer.done()
        done_at = loop.time()
        await timer
        return done_at

    assert 0.04 < run_virtual(main()) < 5


def test_the_clock_runs_while_others_are_busy() -> None:
    done = threading.Event()

    def work() -> None:
        time.sleep(0.05)
        done.set()

    async def main() -> float:
        await asyncio.sleep(1)
        return asyncio.get_running_loop().time()

    worker = threading.Thread(target=work)
    worker.start()
    began = time.monotonic()
    assert run_virtual(main(), busy=lambda: not done.is_set()) == pytest.approx(1, abs=0.05)
    assert 0.04 < time.monotonic() - began < 0.9
    worker.join()


def test_a_slow_machine_changes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """While somebody is busy, and nothing comes of it, timers are met in time, as in all other runs."""
    select = selectors.SelectSelector.select

    def slow(selector: selectors.SelectSelector, timeout: float | None = None) -> Any:
        if timeout:
            time.sleep(0.03)
        return select(selector, timeout)

    monkeypatch.setattr(selectors.SelectSelector, "select", slow)

    async def main() -> list[float]:
        times = []
        for _ in range(3):
            await asyncio.sleep(0.01)
            times.append(asyncio.get_running_loop().time())
        return times

    assert run_virtual(main(), busy=lambda: True) == pytest.approx([0.01, 0.02, 0.03], abs=1e-9)


def test_tasks_left_behind_are_an_error() -> None:
    kept: list[asyncio.Task[None]] = []

    async def main() -> None:
        kept.append(asyncio.create_task(asyncio.sleep(9), name="forgotten"))
        await asyncio.sleep(0)

    with pytest.raises(LeftoverError, match="forgotten"):
        run_virtual(main())


def test_an_exception_that_nobody_took_is_an_error() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 // 0)
        await asyncio.sleep(1)

    with pytest.raises(LeftoverError, match="1 in all") as caught:
        run_virtual(main())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
