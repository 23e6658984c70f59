"""One timer paces all sessions, without drift."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

from antiphon.session.pacer import Pacer
from antiphon.sim.virtual_time import VirtualTimeLoop, run_virtual


def test_a_member_is_called_every_20_ms_and_does_not_drift() -> None:
    async def run() -> list[float]:
        times: list[float] = []
        pacer = Pacer()
        start = asyncio.get_running_loop().time()
        pacer.join(lambda now: times.append(now - start))
        await asyncio.sleep(60.001)
        return times

    times = run_virtual(run())
    assert len(times) in (2999, 3000, 3001)
    assert all(abs(b - a - 0.020) < 1e-6 for a, b in itertools.pairwise(times))
    assert 0.014 < times[0] < 0.0201


def test_members_join_and_leave_at_any_time_also_in_a_tick() -> None:
    async def run() -> tuple[int, int, asyncio.TimerHandle | None]:
        pacer = Pacer()
        counts = [0, 0]

        def once(now: float) -> None:
            counts[0] += 1
            pacer.leave(once)

        def thrice(now: float) -> None:
            counts[1] += 1
            if counts[1] == 3:
                pacer.leave(thrice)

        pacer.join(once)
        await asyncio.sleep(0.007)
        pacer.join(thrice)
        await asyncio.sleep(1)
        return counts[0], counts[1], pacer._timer

    assert run_virtual(run()) == (1, 3, None), "and it rests while it has no members"


def test_a_loop_that_stood_still_is_made_up_for_within_limits() -> None:
    async def run(late_s: float) -> int:
        loop = asyncio.get_running_loop()
        pacer = Pacer()
        calls: list[float] = []
        pacer.join(calls.append)
        pacer._next_at -= late_s  # as if the timer came so late
        pacer._turn()
        before = len(calls)
        pacer.leave(calls.append)
        assert loop.time() == 0
        return before

    assert run_virtual(run(0.1)) in (4, 5)
    assert run_virtual(run(10.0)) <= 1


def test_whenever_a_member_joins_its_next_frame_is_20_ms_away() -> None:
    async def run() -> list[float]:
        pacer = Pacer()
        loop = asyncio.get_running_loop()
        waits: list[float] = []

        def join() -> None:
            joined_at = loop.time()

            def first(now: float) -> None:
                waits.append(now - joined_at)
                pacer.leave(first)

            pacer.join(first)

        pacer.join(lambda now: None)
        for _ in range(200):
            await asyncio.sleep(0.0313)
            join()
        await asyncio.sleep(0.1)
        return waits

    waits = run_virtual(run())
    assert len(waits) == 200
    assert all(0.0149 < wait < 0.0201 for wait in waits), (min(waits), max(waits))


def test_a_timer_that_comes_early_does_not_make_it_spin() -> None:
    async def run() -> tuple[int, int]:
        loop, timers, ticks = asyncio.get_running_loop(), 0, 0
        call_at = loop.call_at

        def call_early(when: float, *args: Any, **kwargs: Any) -> asyncio.TimerHandle:
            nonlocal timers
            timers += 1
            assert timers < 1000
            return call_at(when - 0.0009, *args, **kwargs)

        def tick(now: float) -> None:
            nonlocal ticks
            ticks += 1

        loop.call_at = call_early  # type: ignore[method-assign, assignment]
        pacer = Pacer()
        pacer.join(tick)
        done = asyncio.Event()
        call_at(loop.time() + 1.01, done.set)
        await done.wait()
        pacer.leave(tick)
        return timers, ticks

    timers, ticks = run_virtual(run())
    assert ticks == 50
    assert timers <= 52, "one for each tick"


def test_who_was_let_go_in_the_same_moment_is_not_called_any_more() -> None:
    async def run() -> list[str]:
        pacer, called = Pacer(), list[str]()

        def first(now: float) -> None:
            called.append("first")
            pacer.leave(first)
            pacer.leave(second)

        def second(now: float) -> None:
            called.append("second")
            pacer.leave(first)
            pacer.leave(second)

        pacer.join(first)
        pacer.join(second)
        await asyncio.sleep(0.1)
        return called

    assert run_virtual(run()) == ["first"]


def test_a_member_that_fails_is_reported_and_stops_nobody_else() -> None:
    async def run() -> tuple[int, int, list[Mapping[str, Any]]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        pacer, calls = Pacer(), [0, 0]

        def broken(now: float) -> None:
            calls[0] += 1
            raise RuntimeError("broken")

        def sound(now: float) -> None:
            calls[1] += 1

        pacer.join(broken)
        pacer.join(sound)
        await asyncio.sleep(1.001)
        pacer.leave(sound)
        problems = list(loop.problems)
        loop.problems.clear()
        return calls[0], calls[1], problems

    broken, sound, [problem] = run_virtual(run())
    assert (broken, sound) == (1, 50)
    assert str(problem["exception"]) == "broken"
