"""Wait-k by its rule: a word may be written when k more were read than written, or when no more are to come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.waitk import WaitK

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(1, 12)),
        st.tuples(st.sampled_from(["write", "yield", "close", "reopen", "begin"]), st.just(0)),
    ),
    max_size=60,
)


def test_the_first_word_waits_for_k_and_each_further_one_for_one_more() -> None:
    policy = WaitK(3)
    policy.begin()
    written_at = []
    for read in range(1, 8):
        policy.read(1)
        while policy.may_write():
            policy.wrote(1)
            written_at.append(read)
    assert written_at == [3, 4, 5, 6, 7]


def test_when_the_source_is_closed_writing_runs_to_the_end() -> None:
    policy = WaitK(7)
    policy.begin()
    policy.read(2)
    assert not policy.may_write()
    policy.close()
    for _ in range(500):
        assert policy.may_write()
        policy.wrote(1)


def test_who_has_nothing_to_say_waits_for_k_more_words() -> None:
    policy = WaitK(3)
    policy.begin()
    policy.read(5)
    policy.yielded()
    policy.read(2)
    assert not policy.may_write()
    policy.read(1)
    assert policy.may_write()


def test_a_turn_that_goes_on_keeps_its_counts_and_a_new_one_does_not() -> None:
    policy = WaitK(3)
    policy.begin()
    policy.read(3)
    policy.close()
    policy.reopen()
    assert policy.may_write()
    policy.close()
    policy.begin()
    assert not policy.may_write()


def test_what_was_thrown_away_may_be_written_again() -> None:
    policy = WaitK(2)
    policy.begin()
    policy.read(4)
    before = policy.written
    policy.wrote(3)
    assert not policy.may_write()
    policy.rewind(before)
    assert policy.may_write()


def test_words_that_were_taken_back_were_not_read() -> None:
    policy = WaitK(3)
    policy.begin()
    policy.read(3)
    policy.read(-1)
    assert not policy.may_write()


def test_a_long_silence_of_the_brain_buys_no_more_than_the_lead() -> None:
    policy = WaitK(3, lead_words=5)
    policy.begin()
    policy.read(100)
    written = 0
    while policy.may_write():
        policy.wrote(1)
        written += 1
    assert written == 5


@pytest.mark.parametrize(("k", "lead"), [(0, 1), (1, 0)])
def test_counts_that_make_no_sense_are_refused(k: int, lead: int) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        WaitK(k, lead)


@given(st.integers(1, 9), st.integers(1, 20), STEPS)
def test_no_word_is_written_early_and_no_lead_is_exceeded(k: int, lead: int, steps: list[tuple[str, int]]) -> None:
    policy = WaitK(k, lead)
    read, written, since_read, opened = 0, 0, 0, False
    for step, words in steps:
        match step:
            case "read":
                policy.read(words)
                read, since_read = read + words, 0
            case "write" if policy.may_write():
                policy.wrote(1)
                written, since_read = written + 1, since_read + 1
                if opened:
                    assert since_read <= lead
            case "yield":
                policy.yielded()
                written = max(written, read)
            case "close":
                policy.close()
                opened = False
            case "reopen":
                policy.reopen()
                opened, since_read = True, 0
            case "begin":
                policy.begin()
                read, written, since_read, opened = 0, 0, 0, True
            case _:
                pass
        if policy.may_write() and opened:
            assert read >= k + written
        if not opened:
            assert policy.may_write()
