"""Who is told of what was refused."""

from __future__ import annotations

from antiphon.core.commands import CancelResponse, Configure
from antiphon.core.settings import SessionSettings
from antiphon.transport.realtime.asides import Asides


class Nowhere:
    """A sender whose events nobody gets."""

    def send(self, data: bytes, *, media: bool = False) -> None:
        raise AssertionError("nothing is sent here")

    def drop_media(self) -> None:
        raise AssertionError("nothing is sent here")


def test_an_answer_finds_back_to_who_asked() -> None:
    asides, first, second = Asides(), Nowhere(), Nowhere()
    marks = [
        command.client_event_id
        for sender in (first, second)
        if isinstance(command := asides.marked(CancelResponse(client_event_id="e1"), sender), CancelResponse)
    ]
    assert len(set(marks)) == 2
    assert asides.asker(marks[1]) == (second, "e1")
    assert asides.asker(marks[0]) == (first, "e1")


def test_the_client_whose_session_it_is_is_answered_as_always() -> None:
    assert Asides().asker("e1") == (None, "e1")
    assert Asides().asker(None) == (None, None)


def test_what_cannot_be_refused_is_not_marked() -> None:
    command = Configure(SessionSettings())
    assert Asides().marked(command, Nowhere()) is command


def test_only_so_many_are_remembered() -> None:
    asides, last = Asides(), Nowhere()
    first = asides.marked(CancelResponse(client_event_id="e0"), Nowhere())
    marked = [asides.marked(CancelResponse(client_event_id="e"), last) for _ in range(999)]
    assert isinstance(first, CancelResponse)
    assert isinstance(marked[-1], CancelResponse)
    assert asides.asker(first.client_event_id) == (None, None)
    assert asides.asker(marked[-1].client_event_id) == (last, "e")
