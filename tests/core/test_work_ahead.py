"""What working ahead has won, and what of it was in vain."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.work_ahead import Account, Balance, Stages, Work, won_s


@pytest.mark.parametrize(
    ("stages", "won"),
    [
        # wanted, brain started, clause, voice started, voice's first audio
        (Stages(10.0, 9.9, 10.3, 10.3, 10.4), 0.1),  # the brain was at it when the reply was wanted
        (Stages(10.0, 9.5, 9.8, 9.8, 10.2), 0.5),  # and so was the voice
        (Stages(10.0, 9.0, 9.3, 9.3, 9.4), 0.4),  # all was ready: a longer wait won no more
        (Stages(10.0, 9.0, 9.3, 10.0, 10.1), 0.3),  # nothing was spoken ahead
        (Stages(10.0, 9.6, 0.0, 0.0, 0.0), 0.4),  # a reply without speech
    ],
)
def test_so_much_later_it_would_have_sounded(stages: Stages, won: float) -> None:
    assert won_s(stages) == pytest.approx(won)


TIMES = st.floats(0.0, 2.0)


@given(head_s=TIMES, brain_s=TIMES, voice_s=TIMES)
def test_it_is_what_a_reply_begun_when_it_was_wanted_would_have_taken_longer(
    head_s: float, brain_s: float, voice_s: float
) -> None:
    began_at, wanted_at = 10.0, 10.0 + head_s
    ready_at = began_at + brain_s + voice_s
    later = wanted_at + brain_s + voice_s
    stages = Stages(wanted_at, began_at, began_at + brain_s, began_at + brain_s, ready_at)
    assert won_s(stages) == pytest.approx(later - max(ready_at, wanted_at), abs=1e-9)


def test_the_account_is_settled_turn_by_turn_and_keeps_the_total() -> None:
    account = Account()
    work = Work(tokens=5, brain_s=0.2, voice_s=0.05, audio_s=0.4)
    account.book(Balance(thrown_away=1, wasted=work))
    account.book(Balance(thrown_away=1, wasted=work))
    account.book(Balance(won_s=0.3))
    assert account.settle().figures() == {
        "won_ms": 300.0,
        "thrown_away": 2,
        "wasted_tokens": 10,
        "wasted_brain_ms": 400.0,
        "wasted_voice_ms": 100.0,
        "wasted_audio_ms": 800.0,
    }
    account.book(Balance(won_s=0.2))
    assert account.settle() == Balance(won_s=0.2)
    assert account.settle() == Balance()
    assert account.total == Balance(0.5, 2, work + work)
