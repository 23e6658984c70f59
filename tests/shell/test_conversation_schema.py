"""A file of conversations that an older version made, or that two processes make at the same time."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import orjson
import pytest

from antiphon.apps.conversation_file import ConversationFile
from antiphon.apps.conversation_schema import prepare, transaction
from antiphon.core.conversation import Item
from antiphon.ids import ItemId
from antiphon.session.codec import to_json
from antiphon.session.keeping import Change

HELLO = Item(ItemId("item_1"), "message", "user", text="hello")
FIRST_VERSION = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, created_at REAL NOT NULL, changed_at REAL NOT NULL, notes TEXT NOT NULL, covered TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE items (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    id TEXT NOT NULL, place INTEGER NOT NULL, item TEXT NOT NULL, PRIMARY KEY (conversation, id)
) WITHOUT ROWID;
CREATE INDEX by_change ON conversations (changed_at);
INSERT INTO conversations VALUES ('conv_1', 1800000000, 1800000060, 'They said hello.', '["item_1"]');
PRAGMA user_version = 1;
"""


def old_file(path: Path) -> None:
    database = sqlite3.connect(path)
    database.executescript(FIRST_VERSION)
    text = orjson.dumps(to_json(HELLO)).decode()
    database.execute("INSERT INTO items VALUES ('conv_1', 'item_1', 0, ?)", (text,))
    database.commit()
    database.close()


async def test_a_file_of_the_first_version_goes_on(tmp_path: Path) -> None:
    old_file(tmp_path / "kept.db")
    for agent in ("", "night"):
        file = ConversationFile(tmp_path / "kept.db", None)
        await file.open()
        kept = await file.claim("conv_1", "sess_1")
        assert kept is not None
        assert (kept.items, kept.notes, kept.covered, kept.agent) == (
            (HELLO,),
            "They said hello.",
            frozenset(["item_1"]),
            agent,
        )
        assert await file.save("conv_1", Change({}, (), kept.notes, kept.covered, "night"), "sess_1")
        await file.close()


async def test_those_who_open_it_at_the_same_time_make_it_once(tmp_path: Path) -> None:
    old_file(tmp_path / "old.db")
    for name, count in (("old.db", 1), ("new.db", 0)):
        files = [ConversationFile(tmp_path / name, None) for _ in range(8)]
        await asyncio.gather(*(file.open() for file in files))
        assert [len(await file.listed()) for file in files] == [count] * 8
        for file in files:
            await file.close()


def test_what_fails_in_a_transaction_leaves_nothing_behind(tmp_path: Path) -> None:
    database = sqlite3.connect(tmp_path / "kept.db", isolation_level=None)
    prepare(database)
    row = "INSERT INTO conversations (id, created_at, changed_at, notes, covered) VALUES ('conv_1', 0, 0, '', '[]')"
    with pytest.raises(sqlite3.IntegrityError), transaction(database):
        database.executemany(row, [(), ()])
    with transaction(database):
        [count] = database.execute("SELECT count(*) FROM conversations").fetchone()
    assert count == 0
    database.close()
