"""The table of barge-in, row by row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.barge_in import TABLE, BargeInPolicy, Evidence, Verdict, is_backchannel, judge

POLICY = BargeInPolicy()
LONG = POLICY.cancel_after_ms
LONGER = POLICY.hold_backchannel_ms
QUIET = POLICY.resume_after_ms


def over(text: str | None, quiet_ms: float = 100, *, final: bool = True) -> Evidence:
    return Evidence(speaking=False, held_ms=500, quiet_ms=quiet_ms, text=text, final=final)


def going_on(text: str | None, held_ms: float) -> Evidence:
    return Evidence(speaking=True, held_ms=held_ms, quiet_ms=0, text=text, final=False)


@pytest.mark.parametrize(
    ("evidence", "verdict"),
    [
        # words decide at once, two that are guessed or one that is certain
        (going_on("wait wait", 100), Verdict.CANCEL),
        (going_on("yeah but no", 100), Verdict.CANCEL),
        (over("stop that", final=False), Verdict.CANCEL),
        (over("stop"), Verdict.CANCEL),
        # one that is guessed waits for the recognizer, but not for ever
        (going_on("no", LONG - 1), Verdict.WAIT),
        (going_on("no", LONG), Verdict.CANCEL),
        (over("stop", QUIET - 1, final=False), Verdict.WAIT),
        (over("stop", QUIET, final=False), Verdict.CANCEL),
        (going_on("yeah yeah okay right", 100), Verdict.CANCEL),
        # a listener's token, over
        (over("uh-huh"), Verdict.RESUME),
        (over("Okay, right."), Verdict.RESUME),
        # a cough
        (over(""), Verdict.RESUME),
        (over(None), Verdict.RESUME),
        (over(None, QUIET, final=False), Verdict.RESUME),
        (over("mhm", QUIET, final=False), Verdict.RESUME),
        # not known yet
        (over(None, QUIET - 1, final=False), Verdict.WAIT),
        (over("yeah", QUIET - 1, final=False), Verdict.WAIT),
        (going_on(None, LONG - 1), Verdict.WAIT),
        (going_on("", LONG - 1), Verdict.WAIT),
        (going_on("yeah", LONG), Verdict.WAIT),
        (going_on("yeah", LONGER - 1), Verdict.WAIT),
        # it goes on too long for that
        (going_on(None, LONG), Verdict.CANCEL),
        (going_on("", LONG), Verdict.CANCEL),
        (going_on("yeah", LONGER), Verdict.CANCEL),
    ],
)
def test_the_table(evidence: Evidence, verdict: Verdict) -> None:
    assert judge(evidence, POLICY) is verdict


evidences = st.builds(
    Evidence,
    speaking=st.booleans(),
    held_ms=st.floats(0, 5000),
    quiet_ms=st.floats(0, 5000),
    text=st.none() | st.text() | st.lists(st.sampled_from(["yeah", "uh-huh", "stop", "no", "ok"])).map(" ".join),
    final=st.booleans(),
)
policies = st.builds(
    BargeInPolicy,
    cancel_after_ms=st.integers(0, 3000),
    hold_backchannel_ms=st.integers(0, 3000),
    interrupt_words=st.integers(1, 5),
    max_backchannel_words=st.integers(0, 5),
    resume_after_ms=st.integers(0, 3000),
)


@given(evidences, policies)
def test_there_is_always_a_verdict(evidence: Evidence, policy: BargeInPolicy) -> None:
    assert judge(evidence, policy) in Verdict


@given(evidences, policies)
def test_nobody_is_held_for_ever(evidence: Evidence, policy: BargeInPolicy) -> None:
    """Going on, or silent, for long enough always ends the waiting."""
    ended = Evidence(evidence.speaking, 5000, 5000, evidence.text, evidence.final)
    assert judge(ended, policy) is not Verdict.WAIT


@given(evidences, policies)
def test_a_speaking_user_is_not_talked_over(evidence: Evidence, policy: BargeInPolicy) -> None:
    if evidence.speaking:
        assert judge(evidence, policy) is not Verdict.RESUME


def test_every_rule_has_its_case() -> None:
    evidences = [
        going_on("stop that", 0),
        over("yeah"),
        over(None),
        over("stop", QUIET, final=False),
        over(None, QUIET, final=False),
        over(None, 0, final=False),
        going_on("yeah", LONG),
        going_on(None, LONG),
        going_on(None, 0),
    ]
    first = [next(name for name, applies, _ in TABLE if applies(evidence, POLICY)) for evidence in evidences]
    assert first == [name for name, _, _ in TABLE]


@pytest.mark.parametrize(
    ("text", "yes"),
    [("Uh-huh.", True), ("OK, right", True), ("yeah yeah yeah yeah", False), ("okay stop", False), ("", False)],
)
def test_backchannels(text: str, yes: bool) -> None:
    assert is_backchannel(text, POLICY) is yes
