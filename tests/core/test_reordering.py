"""How long it pays to wait for a packet that is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.reordering import MARGIN_S, MS_PER_PERCENT, REMEMBERED, Reordering


def after(late_ms: list[float], count: int = REMEMBERED) -> float:
    """The wait in ms, beyond the margin, when these of the last ``count`` packets came out of order."""
    reordering = Reordering()
    for late in late_ms:
        reordering.note(count, late / 1000)
    return (reordering.wait_s(count) - MARGIN_S) * 1000


@pytest.mark.parametrize(
    ("late_ms", "wait_ms"),
    [
        ([], 0),
        ([150], 0),  # one in 256 is not worth 150 ms
        ([5], 5),
        ([30] * 26, 30),
        ([30] * 26 + [190], 30),
        ([100] * 3, 0),
        ([100] * 20, 100),
        ([20] * 10 + [100] * 20, 100),
        ([20] * 20 + [150] * 3, 20),
    ],
)
def test_the_wait_is_worth_what_it_saves(late_ms: list[float], wait_ms: float) -> None:
    assert after(late_ms) == pytest.approx(wait_ms)


def test_what_was_long_ago_is_forgotten() -> None:
    reordering = Reordering()
    for count in range(100):
        reordering.note(count, 0.05)
    assert reordering.wait_s(100) == pytest.approx(0.05 + MARGIN_S)
    assert reordering.wait_s(100 + REMEMBERED) == MARGIN_S


@given(st.lists(st.floats(0, 500), max_size=60))
def test_no_other_wait_costs_less(late_ms: list[float]) -> None:
    def cost(wait_ms: float) -> float:
        return wait_ms + 100 / REMEMBERED * MS_PER_PERCENT * sum(late > wait_ms + 1e-9 for late in late_ms)

    chosen = after(late_ms)
    assert all(cost(chosen) <= cost(other) + 1e-6 for other in (0.0, *late_ms))
