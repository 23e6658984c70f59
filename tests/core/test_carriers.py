"""Which process gets the next call, and which one has a call that there is."""

from __future__ import annotations

import pytest

from antiphon.core.admission import CALL_COST
from antiphon.core.carriers import REMEMBERED, Carriers, Fate, Mark

ONE, TWO = Mark(1, "0000aaaa"), Mark(2, "0000bbbb")


def numbers(carriers: Carriers) -> list[int]:
    return [carrier.mark.number for carrier in carriers.in_turn()]


def two() -> Carriers:
    carriers = Carriers()
    carriers.appear(TWO)
    carriers.appear(ONE)
    return carriers


@pytest.mark.parametrize(
    "name", [ONE.before("rtc_") + "c0ffee", ONE.before("sess_") + "B4dS3ssion", ONE.on_token + "f_-Zr"]
)
def test_names_tell_where_they_belong(name: str) -> None:
    assert Mark.of(name) == ONE


@pytest.mark.parametrize(
    "name", ["", "rtc_00112233445566778899aabbccddeeff", "sess_1x2y3z", "1_0000aaaa_token", "rtc_1_nonsense_0", "1..x"]
)
def test_other_names_belong_to_no_process(name: str) -> None:
    assert Mark.of(name) is None


def test_calls_go_where_the_least_is_to_do() -> None:
    carriers = two()
    assert numbers(carriers) == [1, 2], "the first one, where all are idle"
    carriers.in_turn()[0].tell(sessions=1, busy=0.02, begun=1)
    assert numbers(carriers) == [2, 1]
    carriers.in_turn()[0].tell(sessions=3, busy=0.5, begun=3)
    assert numbers(carriers) == [1, 2]


def test_a_call_that_is_silent_now_counts_nevertheless() -> None:
    carriers = two()
    first, second = carriers.in_turn()
    first.tell(sessions=4, busy=0.01, begun=4)
    second.tell(sessions=1, busy=2 * CALL_COST, begun=1)
    assert numbers(carriers) == [2, 1]


def test_one_that_could_not_be_reached_for_a_while_counts_as_before() -> None:
    carriers = Carriers()
    carriers.appear(ONE).tell(sessions=2, busy=0.1, begun=9)
    carriers.end(1)
    assert carriers.find(ONE) is Fate.ENDED
    again = carriers.appear(ONE, begun=9)
    again.tell(sessions=2, busy=0.1, begun=9)
    assert carriers.find(ONE) is again
    again.offer()
    again.answered(taken=True)
    assert again.calls == 3


def test_what_was_offered_counts_before_it_is_told() -> None:
    carriers = two()
    first, _ = carriers.in_turn()
    first.offer()
    assert numbers(carriers) == [2, 1]
    first.answered(taken=True)
    assert numbers(carriers) == [2, 1]
    assert carriers.calls == 1
    first.tell(sessions=1, busy=0.0, begun=1)
    assert carriers.calls == 1


def test_what_is_told_before_it_is_answered_counts_once() -> None:
    carriers = two()
    first, _ = carriers.in_turn()
    first.offer()
    first.tell(sessions=1, busy=0.0, begun=1)
    assert carriers.calls == 1
    first.answered(taken=True)
    assert carriers.calls == 1
    first.tell(sessions=0, busy=0.0, begun=1)
    assert carriers.calls == 0


def test_what_was_refused_does_not_count() -> None:
    carriers = two()
    first, _ = carriers.in_turn()
    first.offer()
    first.answered(taken=False)
    assert numbers(carriers) == [1, 2]
    assert carriers.calls == 0


def test_a_call_is_found_while_its_process_runs() -> None:
    carriers = two()
    found = carriers.find(TWO)
    assert not isinstance(found, Fate)
    assert found.mark == TWO


def test_who_takes_the_place_of_another_is_another() -> None:
    carriers = two()
    carriers.end(1)
    assert numbers(carriers) == [2]
    assert carriers.find(ONE) is Fate.ENDED
    again = Mark(1, "0000cccc")
    carriers.appear(again)
    assert carriers.find(ONE) is Fate.ENDED
    assert carriers.find(again) is carriers.at(1)
    assert carriers.find(Mark(1, "0000dddd")) is Fate.UNKNOWN
    assert carriers.find(Mark(7, "0000aaaa")) is Fate.UNKNOWN


def test_what_it_answers_after_its_end_does_not_count() -> None:
    carriers = two()
    former = carriers.in_turn()[0]
    former.offer()
    carriers.end(1)
    carriers.end(1)
    carriers.appear(Mark(1, "0000cccc"))
    former.answered(taken=True)
    assert carriers.calls == 0


def test_only_so_many_of_the_past_are_remembered() -> None:
    carriers = Carriers()
    for life in range(REMEMBERED + 2):
        carriers.appear(Mark(1, f"{life:08x}"))
    assert carriers.find(Mark(1, f"{0:08x}")) is Fate.UNKNOWN
    assert carriers.find(Mark(1, f"{REMEMBERED:08x}")) is Fate.ENDED
