from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from antiphon.engines.turn_lock import TurnLock

STEPS = 50


def test_steps_of_several_take_turns() -> None:
    lock, order = TurnLock(), list[int]()
    ready = threading.Barrier(3)

    def work(number: int) -> None:
        ready.wait()
        with lock:
            for _ in range(STEPS):
                order.append(number)
                lock.pass_on()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(work, range(3)))
    assert len(order) == 3 * STEPS
    # From the moment when all have asked until the first has done its steps, each has every third turn.
    begun = max(order.index(number) for number in range(3)) + 1
    for at in range(begun, STEPS):
        assert len(set(order[at : at + 3])) == 3


def test_it_is_held_by_one_at_a_time_and_given_back_after_an_error() -> None:
    lock, inside, most = TurnLock(), [0], [0]

    def work(number: int) -> None:
        try:
            with lock:
                for _ in range(20):
                    inside[0] += 1
                    most[0] = max(most[0], inside[0])
                    inside[0] -= 1
                    lock.pass_on()
                    if number % 2:
                        raise ValueError(number)
        except ValueError:
            return

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(40)))
    assert most == [1]
    with lock:
        lock.pass_on()  # nobody waits
