"""Conversations in a file: what was kept comes back, also after the process, and what was deleted is gone."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from antiphon.apps.conversation_file import DAY_S, ConversationFile
from antiphon.core.conversation import Item
from antiphon.core.segments import Segment
from antiphon.errors import ConfigError
from antiphon.ids import ItemId
from antiphon.session.keeping import Change, StoreError

HELLO = Item(ItemId("item_1"), "message", "user", text="Hello ⚓", segments=(Segment("Ann", "Hello ⚓", 0, 400),))
PICTURE = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
LOOK = Item(ItemId("item_2"), "message", "user", text="Look", content=({"type": "input_text", "text": "Look"}, PICTURE))
CALL = Item(ItemId("item_3"), "function_call", call_id="call_1", name="look", arguments="{}")
CUT = Item(ItemId("item_4"), "message", "assistant", "incomplete", text="I see a", audio=True)
ALL = (HELLO, LOOK, CALL, CUT)
ANN, BOB = "sess_ann", "sess_bob"


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def opened(
    path: Path, keep_days: float | None = None, clock: Clock | None = None
) -> AsyncIterator[ConversationFile]:
    file = ConversationFile(path, keep_days, now=clock or Clock())
    await file.open()
    try:
        yield file
    finally:
        await file.close()


def change(*items: Item, begins: bool = True, notes: str = "") -> Change:
    return Change(dict(enumerate(items)), notes=notes, begins=begins)


async def test_what_was_kept_comes_back_in_its_order(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    async with opened(path) as file:
        assert await file.save("conv_1", change(HELLO, LOOK, CALL, notes="They said hello."), ANN)
        between = Change({1: CUT, 2: LOOK, 3: CALL}, (), "Newer.", frozenset([HELLO.id]))
        assert await file.save("conv_1", between, ANN)
        assert await file.save("conv_1", Change(removed=(CALL.id,), notes="Newer.", covered=frozenset([HELLO.id])), ANN)
    async with opened(path) as file:
        kept = await file.load("conv_1")
        assert kept is not None
        assert kept.items == (HELLO, CUT, LOOK)
        assert (kept.notes, kept.covered) == ("Newer.", frozenset([HELLO.id]))
        assert await file.load("conv_2") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_it_is_listed_and_deleted_and_leaves_no_words(tmp_path: Path) -> None:
    path, clock = tmp_path / "kept.db", Clock()
    async with opened(path, clock=clock) as file:
        await file.save("conv_1", change(*ALL), ANN)
        clock.now += 60
        await file.save("conv_2", change(HELLO), ANN)
        listed = await file.listed()
        assert [(about.id, about.items, about.changed_at - about.created_at) for about in listed] == [
            ("conv_2", 1, 0),
            ("conv_1", 4, 0),
        ]
        assert await file.delete("conv_1")
        assert not await file.delete("conv_1")
        assert await file.load("conv_1") is None
        assert not await file.save("conv_1", change(CUT, begins=False), ANN), "its session still writes"
        assert await file.load("conv_1") is None
        assert b"I see a" not in whole(tmp_path)
    assert b"I see a" not in whole(tmp_path)


def whole(folder: Path) -> bytes:
    """All that is on the disk."""
    return b"".join(file.read_bytes() for file in folder.iterdir())


async def test_what_nobody_comes_back_to_goes_in_time(tmp_path: Path) -> None:
    clock = Clock()
    async with opened(tmp_path / "kept.db", 30.0, clock) as file:
        await file.save("conv_1", change(HELLO), ANN)
        await file.save("conv_2", change(HELLO), ANN)
        clock.now += 20 * DAY_S
        await file.save("conv_2", change(CUT, begins=False), ANN)
        clock.now += 11 * DAY_S
        assert await file.expire() == 1
        assert [about.id for about in await file.listed()] == ["conv_2"]
    async with opened(tmp_path / "kept.db", None, clock) as file:
        clock.now += 1000 * DAY_S
        assert await file.expire() == 0


async def test_two_processes_may_have_it_open(tmp_path: Path) -> None:
    path = tmp_path / "kept.db"
    async with opened(path) as one, opened(path) as two:
        await one.save("conv_1", change(HELLO), ANN)
        assert await two.load("conv_1") is not None
        assert await two.delete("conv_1")
        assert not await one.save("conv_1", change(CUT, begins=False), ANN)


async def test_what_another_version_wrote_is_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "kept.db") as file:
        await file.save("conv_1", change(HELLO, CUT), ANN)
        file._connected.execute("UPDATE items SET item = replace(item, '\"role\"', '\"rank\"') WHERE id = ?", (CUT.id,))
        kept = await file.load("conv_1")
        assert kept is not None
        assert kept.items == (HELLO,)


async def test_a_file_of_no_use_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("These are no conversations at all, and no database either." * 50)
    for path, reason in ((tmp_path / "text.db", "not a database"), (tmp_path / "nowhere" / "kept.db", "No such file")):
        with pytest.raises(ConfigError, match=f"--sessions .*{reason}"):
            async with opened(path):
                pass
    async with opened(tmp_path / "newer.db") as file:
        file._connected.execute("PRAGMA user_version = 7")
    with pytest.raises(ConfigError, match="another version"):
        async with opened(tmp_path / "newer.db"):
            pass


async def test_a_file_that_is_not_open_says_so(tmp_path: Path) -> None:
    file = ConversationFile(tmp_path / "kept.db", None)
    with pytest.raises(StoreError, match="not open"):
        await file.load("conv_1")
    await file.close()
