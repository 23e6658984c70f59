"""What clients know calls and sessions by."""

from __future__ import annotations

from antiphon.core.carriers import Mark
from antiphon.ids import IdSource
from antiphon.transport.names import Names


def minted(names: Names) -> list[str]:
    ids = IdSource()
    return [names.session(ids), names.call(), names.token()]


def test_a_server_of_one_process_marks_nothing() -> None:
    names = minted(Names())
    assert [Mark.of(name) for name in names] == [None] * 3
    assert names[0].startswith("sess_")
    assert names[1].startswith("rtc_")


def test_a_process_marks_what_is_its_own() -> None:
    mark = Mark(12, "0000aaaa")
    names = minted(Names(mark))
    assert [Mark.of(name) for name in names] == [mark] * 3
    assert names[0].startswith("sess_")
    assert names[1].startswith("rtc_")


def test_no_name_is_given_twice() -> None:
    for names in (Names(), Names(Mark(1, "0000aaaa"))):
        every = [name for _ in range(50) for name in minted(names)]
        assert len(set(every)) == len(every)
