"""Records that clients asked for: bounded, fetched while they grow, gone in time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.session.recording import Bounds
from antiphon.session.shelf import Shelf
from antiphon.sim.caller import call, scripted_suite
from antiphon.sim.replay import replay
from antiphon.sim.virtual_time import run_virtual

KEPT_S = 600.0
BOUNDS = Bounds(audio_bytes=300_000, max_bytes=400_000)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    """With room for two records that go on."""
    made = Shelf(tmp_path / "records", kept_s=KEPT_S, bounds=BOUNDS, max_bytes=2 * BOUNDS.max_bytes)
    yield made
    made.close()


async def talk(shelf: Shelf, session: str, *, seconds: float = 0) -> None:
    async with call(scripted_suite(llm="tokens=5"), recorder=shelf.recorder(session)) as caller:
        await caller.type("count")
        await caller.answer()
        await caller.pause(seconds * 1000)


def test_a_record_can_be_fetched_while_the_session_goes_on_and_after_it(shelf: Shelf) -> None:
    async def main() -> None:
        assert shelf.open("sess_1") is not None
        async with call(scripted_suite(llm="tokens=5"), recorder=shelf.recorder("sess_1")) as caller:
            await caller.say("tell me")
            await caller.answer()
            path = await shelf.file("sess_1")
            assert path is not None
            part = replay(path)
            assert (part.identical, part.complete) == (True, False)
            assert part.duration_s == pytest.approx(caller.now, abs=0.05)
        path = await shelf.file("sess_1")
        assert path is not None
        whole = replay(path)
        assert (whole.identical, whole.complete) == (True, True)
        assert whole.events > part.events

    run_virtual(main())


def test_only_the_token_opens_it(shelf: Shelf) -> None:
    one, two = shelf.open("sess_1"), shelf.open("sess_2")
    assert one is not None
    assert two is not None
    assert one.kept_s == KEPT_S
    assert shelf.opened_by("sess_1", one.token)
    assert not shelf.opened_by("sess_1", two.token)
    assert not shelf.opened_by("sess_1", "")
    assert not shelf.opened_by("sess_3", one.token)
    assert len(one.token) >= 32


def test_it_is_deleted_in_time(shelf: Shelf, tmp_path: Path) -> None:
    async def main() -> None:
        shelf.open("sess_1")
        await talk(shelf, "sess_1")
        recorder = shelf.recorder("sess_1")
        assert recorder is not None
        assert recorder.closed_at is not None
        over_at = recorder.closed_at
        shelf.expire(over_at + KEPT_S - 1)
        assert await shelf.file("sess_1") is not None
        shelf.expire(over_at + KEPT_S)
        assert await shelf.file("sess_1") is None
        await recorder.flush()
        assert list((tmp_path / "records").iterdir()) == []

    run_virtual(main())


def test_a_session_that_goes_on_is_never_expired(shelf: Shelf) -> None:
    shelf.open("sess_1")
    shelf.expire(1e9)
    assert shelf.recorder("sess_1") is not None


def test_the_oldest_that_are_over_make_room_and_those_that_go_on_stay(shelf: Shelf) -> None:
    async def main() -> None:
        for session in ("sess_1", "sess_2", "sess_3"):
            assert shelf.open(session) is not None
            await talk(shelf, session, seconds=5)
        assert shelf.recorder("sess_1") is None, "it made room"
        assert shelf.recorder("sess_3") is not None
        assert shelf.open("sess_4") is not None
        assert shelf.open("sess_5") is not None
        assert shelf.open("sess_6") is None, "two go on, and may become as large as they may be"
        assert shelf.recorder("sess_4") is not None
        assert shelf.recorder("sess_6") is None

    run_virtual(main())


def test_what_was_never_begun_can_be_forgotten(shelf: Shelf) -> None:
    shelf.open("sess_1")
    shelf.forget("sess_1")
    assert shelf.recorder("sess_1") is None
