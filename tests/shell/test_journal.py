"""Which events a client gets that has missed some."""

from __future__ import annotations

import tracemalloc

import orjson

from antiphon.transport.journal import Journal


def event(number: int) -> bytes:
    return orjson.dumps({"type": "error", "event_id": f"event_{number}"})


def numbers(journal: Journal, last: int | None) -> list[int]:
    missed = journal.missed(None if last is None else f"event_{last}")
    return [int(orjson.loads(entry.data)["event_id"].removeprefix("event_")) for entry in missed]


def filled(journal: Journal, first: int, last: int, *, media: bool = False) -> None:
    for number in range(first, last + 1):
        journal.add(event(number), media=media)


def test_a_client_that_knows_what_it_has_gets_the_rest() -> None:
    journal = Journal()
    filled(journal, 1, 9)
    assert numbers(journal, 6) == [7, 8, 9]
    assert numbers(journal, 9) == []


def test_a_client_that_does_not_know_gets_what_came_since_it_was_lost() -> None:
    journal = Journal()
    filled(journal, 1, 5)
    journal.mark()
    assert numbers(journal, None) == []
    filled(journal, 6, 7)
    assert numbers(journal, None) == [6, 7]


def test_old_events_are_forgotten() -> None:
    journal = Journal(most_bytes=3 * len(event(1)))
    journal.mark()
    filled(journal, 1, 9)
    assert numbers(journal, None) == [7, 8, 9]
    assert numbers(journal, 2) == [7, 8, 9], "it is older than all that is left"


def test_audio_that_nobody_wants_any_more_is_not_sent() -> None:
    journal = Journal()
    filled(journal, 1, 1)
    filled(journal, 2, 3, media=True)
    journal.mark()
    filled(journal, 4, 5, media=True)
    filled(journal, 6, 6)
    journal.drop_media()
    assert numbers(journal, None) == [6]
    assert numbers(journal, 1) == [6]


def test_the_events_take_about_as_much_memory_as_they_have_bytes() -> None:
    journal, count = Journal(), 1000
    tracemalloc.start()
    filled(journal, 1, count)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < count * (len(event(count)) + 300), "with what Python adds to each object"
