"""What is left off when the server is busy, and when it is taken up again."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.admission import MOST_BUSY, MOST_LATE_S, Admission
from antiphon.core.shedding import HOLD_S, WINDOW_S, Ahead, Shedding

STEP_S = 0.25


class Server:
    """Gives its figures four times a second."""

    def __init__(self) -> None:
        self.now = 100.0
        self.shedding = Shedding()
        self.levels: list[tuple[float, Ahead]] = []

    def runs(self, seconds: float, *, busy: float = 0.0, late_s: float = 0.0, machine: float = 0.0) -> Ahead:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            self.shedding.sample(self.now, busy=busy, late_s=late_s, machine=machine)
            self.levels.append((self.now, self.shedding.level))
        return self.shedding.level


HEAVY = 0.8 * MOST_BUSY
OVER = 1.1 * MOST_BUSY


@pytest.mark.parametrize(
    ("figures", "level"),
    [
        ({"busy": 0.5}, Ahead.VOICE),
        ({"busy": HEAVY}, Ahead.BRAIN),
        ({"machine": HEAVY}, Ahead.BRAIN),
        ({"late_s": 0.8 * MOST_LATE_S}, Ahead.BRAIN),
        ({"busy": OVER}, Ahead.NOTHING),
        ({"machine": 1.0}, Ahead.NOTHING),
        ({"late_s": 0.3}, Ahead.NOTHING),
    ],
)
def test_speech_is_left_off_first_and_text_at_the_limit(figures: dict[str, float], level: Ahead) -> None:
    assert Server().runs(20, **figures) is level


def test_it_goes_step_by_step_and_looks_what_each_step_has_brought() -> None:
    server = Server()
    server.runs(20, busy=1.0)
    first = {level: next(at for at, each in server.levels if each is level) for level in Ahead}
    assert first[Ahead.VOICE] < first[Ahead.BRAIN] <= first[Ahead.NOTHING] - WINDOW_S


def test_it_is_taken_up_again_well_below_where_it_was_left_off() -> None:
    server = Server()
    assert server.runs(20, busy=HEAVY) is Ahead.BRAIN
    assert server.runs(60, busy=0.65 * MOST_BUSY) is Ahead.BRAIN, "a little less is no reason"
    assert server.runs(20, busy=0.5 * MOST_BUSY) is Ahead.VOICE


def test_a_burst_is_no_reason_and_neither_is_a_start() -> None:
    server = Server()
    assert server.runs(1, busy=1.0, late_s=2.0) is Ahead.VOICE
    server.runs(10)
    assert server.runs(0.5, late_s=3.0) is Ahead.VOICE
    assert server.runs(10) is Ahead.VOICE


def test_nobody_is_refused_before_all_of_it_was_left_off() -> None:
    admission, server = Admission(), Server()
    server.runs(20, busy=1.0)
    for step in range(12):
        admission.sample(100 + step / 4, 1.0, 0.0)
    assert admission.admit(103.0) is not None
    assert server.shedding.level is Ahead.NOTHING


@given(st.lists(st.tuples(st.floats(0, 1.5), st.floats(0, 1)), min_size=1, max_size=200))
def test_it_never_jumps_and_does_not_flutter(figures: list[tuple[float, float]]) -> None:
    server = Server()
    for busy, machine in figures:
        server.runs(STEP_S, busy=busy, machine=machine)
    changes = [(at, then - now) for (_, now), (at, then) in itertools.pairwise(server.levels) if then is not now]
    assert all(abs(step) == 1 for _, step in changes)
    for (before, _), (after, step) in itertools.pairwise(changes):
        assert after - before >= (HOLD_S if step > 0 else WINDOW_S)
