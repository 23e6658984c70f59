"""More than a thousand conversations, every rule on every step."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from tests.core.turns_machine import TurnsMachine

from antiphon.core.turns import Turns


class RealTurns(TurnsMachine):
    turns_class = Turns


@pytest.mark.timeout(300)  # so many conversations take long where others want the machine, too
def test_every_rule_holds_on_every_step() -> None:
    run_state_machine_as_test(
        RealTurns,
        settings=settings(
            max_examples=1200,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
