"""How many calls are let in, and when no more."""

from __future__ import annotations

from antiphon.core.admission import CALL_COST, LEAST_SAMPLES, MOST_BUSY, MOST_LATE_S, WINDOW_S, Admission


def carried(admission: Admission, *, busy: float, late_s: float = 0.0, until: float = 10.0) -> None:
    """Figures of every quarter of a second up to ``until``."""
    for step in range(13):
        admission.sample(until - 3.0 + step / 4, busy, late_s)


def test_an_idle_server_lets_in_what_a_core_can_carry_and_no_more() -> None:
    admission = Admission()
    carried(admission, busy=0.0)
    admitted = 0
    while admission.admit(10.0) is None:
        admitted += 1
        assert admitted < 100
    assert admitted == int(MOST_BUSY / CALL_COST)


def test_what_was_let_in_counts_as_expected_until_it_is_seen() -> None:
    admission = Admission()
    carried(admission, busy=MOST_BUSY - 1.5 * CALL_COST)
    assert admission.admit(10.0) is None
    assert admission.admit(10.1) is not None
    carried(admission, busy=MOST_BUSY - 1.5 * CALL_COST, until=10.1 + WINDOW_S + 3)
    assert admission.admit(10.1 + WINDOW_S + 3) is None, "it takes less than was expected of it"


def test_what_to_reckon_with_is_told() -> None:
    admission = Admission()
    carried(admission, busy=0.25)
    assert admission.admit(10.0) is None
    assert admission.expected(10.0) == 0.25 + CALL_COST
    assert admission.expected(10.0 + WINDOW_S + 0.1) == 0.0


def test_a_refusal_says_why() -> None:
    admission = Admission()
    carried(admission, busy=0.9)
    assert "90% of a core" in str(admission.admit(10.0))


def test_a_loop_that_is_late_lets_nobody_in() -> None:
    admission = Admission()
    carried(admission, busy=0.1, late_s=MOST_LATE_S * 1.5)
    assert "60 ms late" in str(admission.admit(10.0))


def test_one_hiccup_is_no_reason() -> None:
    admission = Admission()
    carried(admission, busy=0.1)
    admission.sample(10.0, 0.1, 2.0)
    assert admission.admit(10.0) is None


def test_a_server_that_has_just_started_is_not_judged_by_that() -> None:
    admission = Admission()
    for step in range(LEAST_SAMPLES - 1):
        admission.sample(step / 4, 1.0, 0.3)
    assert admission.admit(LEAST_SAMPLES / 4) is None
    admission.sample(LEAST_SAMPLES / 4, 1.0, 0.3)
    assert admission.admit(LEAST_SAMPLES / 4) is not None


def test_old_figures_do_not_count() -> None:
    admission = Admission()
    carried(admission, busy=1.0)
    assert admission.admit(10.0) is not None
    assert admission.admit(10.0 + WINDOW_S + 0.1) is None
