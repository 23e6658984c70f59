"""The thread that all engines on MLX share. MLX itself has no part in it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future

import pytest

from antiphon.engines.mlx_thread import FIRST, LATER, Lane, open_lane


class Gate:
    """Holds the thread, so that what is submitted meanwhile waits."""

    def __init__(self, lane: Lane) -> None:
        self._open = threading.Event()
        self._held = threading.Event()
        self.done = lane.submit(self._wait)
        assert self._held.wait(10)

    def _wait(self) -> None:
        self._held.set()
        assert self._open.wait(10)

    def open(self) -> None:
        self._open.set()


def steps(log: list[str], name: str, number: int) -> Generator[None, None, str]:
    for step in range(number):
        log.append(f"{name}{step}")
        yield
    return name


def test_all_lanes_work_in_one_thread() -> None:
    one, other = open_lane(), open_lane()
    assert one.submit(threading.get_ident).result(10) == other.submit(threading.get_ident).result(10)
    assert one.submit(lambda: threading.current_thread().name).result(10) == "mlx"


def test_lanes_take_turns_and_jobs_of_a_lane_do_not() -> None:
    one, other, log = open_lane(), open_lane(), list[str]()
    gate = Gate(one)
    jobs: list[Future[object]] = [
        one.submit(steps, log, "a", 3),
        one.submit(steps, log, "b", 2),
        other.submit(steps, log, "c", 4),
    ]
    gate.open()
    assert [job.result(10) for job in jobs] == ["a", "b", "c"]
    assert [entry for entry in log if entry[0] in "ab"] == ["a0", "a1", "a2", "b0", "b1"]
    assert "c1" in log[:4]


def test_first_things_come_between_the_steps_of_later_ones() -> None:
    lane, log = open_lane(), list[str]()

    def later() -> Iterator[None]:
        log.append("later begins")
        lane.submit_in_order(FIRST, lambda: log.append("first"))
        yield
        log.append("later ends")

    gate = Gate(lane)
    last = lane.submit_in_order(LATER, later)
    lane.submit(log.append, "before")
    gate.open()
    last.result(10)
    assert log == ["before", "later begins", "first", "later ends"]


def test_a_job_that_was_cancelled_does_not_run_and_a_failure_is_the_jobs_own() -> None:
    lane, log = open_lane(), list[str]()

    def fails() -> Iterator[None]:
        yield
        raise ValueError("broken")

    gate = Gate(lane)
    cancelled, failing = lane.submit(log.append, "never"), lane.submit(fails)
    assert cancelled.cancel()
    gate.open()
    with pytest.raises(ValueError, match="broken"):
        failing.result(10)
    assert lane.submit(lambda: "alive").result(10) == "alive"
    assert log == []


def test_a_lane_is_shut_down_when_what_has_begun_is_done() -> None:
    lane, other, log = open_lane(), open_lane(), list[str]()
    running = threading.Event()

    def long() -> Iterator[None]:
        running.set()
        for step in range(50):
            log.append(str(step))
            yield

    begun = lane.submit(long)
    assert running.wait(10)
    waiting = lane.submit(log.append, "never")
    lane.shutdown(cancel_futures=True)
    assert begun.done()
    assert waiting.cancelled()
    assert log == [str(step) for step in range(50)]
    with pytest.raises(RuntimeError):
        lane.submit(log.append, "too late")
    lane.shutdown()
    assert other.submit(lambda: "alive").result(10) == "alive"


def test_work_without_an_end_does_not_hold_up_the_end_of_the_process() -> None:
    code = """
import threading
from antiphon.engines.mlx_thread import open_lane

begun = threading.Event()

def endless():
    while True:
        begun.set()
        yield

waiting = open_lane().submit(endless)
assert begun.wait(10)
print("left")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "left\n", "")
