"""Conversations that are kept in a file: SQLite, in a thread of its own."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import orjson
import structlog

from antiphon.core.conversation import Item
from antiphon.errors import ConfigError
from antiphon.ids import ItemId
from antiphon.session.codec import from_json, to_json
from antiphon.session.keeping import About, Change, Kept, StoreError

DAY_S = 86_400.0
BUSY_S = 5.0
"""How long to wait for another process that writes to the same file."""

EXPIRE_EVERY_S = 3600.0

_VERSION = 1
_SCHEMA = """
CREATE TABLE conversations (
    id TEXT PRIMARY KEY, created_at REAL NOT NULL, changed_at REAL NOT NULL, notes TEXT NOT NULL, covered TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE items (
    conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    id TEXT NOT NULL, place INTEGER NOT NULL, item TEXT NOT NULL, PRIMARY KEY (conversation, id)
) WITHOUT ROWID;
CREATE INDEX by_change ON conversations (changed_at);
"""

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class ConversationFile:
    """Implements ``session.keeping.ConversationStore``. ``open`` first, ``close`` last.

    Several processes may have the same file open.
    """

    def __init__(self, path: Path, keep_days: float | None, *, now: Callable[[], float] = time.time) -> None:
        """``keep_days``: what nobody has come back to for so long is deleted, at most hours later."""
        self._path = path
        self._keep_s = None if keep_days is None else keep_days * DAY_S
        self._now = now
        self._thread = ThreadPoolExecutor(1, "conversations")
        self._database: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Makes the file where there is none, for this user alone. Raises ConfigError where it cannot be used."""
        try:
            await self._run(self._open)
        except (StoreError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"--sessions {self._path}: {reason}") from error

    async def close(self) -> None:
        """May be called twice."""
        await asyncio.to_thread(self._thread.shutdown)
        if self._database is not None:
            self._database.close()
            self._database = None

    async def load(self, conversation: str) -> Kept | None:
        return await self._run(lambda: self._load(conversation))

    async def save(self, conversation: str, change: Change) -> bool:
        return await self._run(lambda: self._save(conversation, change))

    async def about(self, conversation: str) -> About | None:
        return await self._run(lambda: next(iter(self._about("WHERE id = ?", conversation)), None))

    async def listed(self) -> Sequence[About]:
        """All that are kept, the newest first."""
        return await self._run(self._about)

    async def delete(self, conversation: str) -> bool:
        return await self._run(lambda: self._delete("id = ?", conversation)) > 0

    async def expire(self) -> int:
        """Deletes what is older than it may be, and says how many there were."""
        if self._keep_s is None:
            return 0
        before = self._now() - self._keep_s
        return await self._run(lambda: self._delete("changed_at < ?", before))

    async def look_after(self) -> None:
        """Deletes what is too old, now and then, until it is cancelled."""
        while True:
            try:
                if deleted := await self.expire():
                    _log.info("conversations were deleted", count=deleted, why="nobody came back to them")
            except StoreError as error:
                _log.warning("old conversations could not be deleted", reason=str(error))
            await asyncio.sleep(EXPIRE_EVERY_S)

    # In the thread.

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"{error}") from error

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        # The thread is the only one that uses it, and has ended when it is closed.
        database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._database = database
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON"):
            database.execute(f"PRAGMA {setting}")
        [version] = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")
        elif version != _VERSION:
            raise StoreError(f"it was made by another version of this program ({version}); name another file")

    @property
    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError("the file is not open")
        return self._database

    def _load(self, conversation: str) -> Kept | None:
        found = self._connected.execute(
            "SELECT notes, covered FROM conversations WHERE id = ?", (conversation,)
        ).fetchone()
        if found is None:
            return None
        rows = self._connected.execute(
            "SELECT item FROM items WHERE conversation = ? ORDER BY place", (conversation,)
        ).fetchall()
        notes, covered = found
        return Kept(tuple(_items(rows)), notes, frozenset(map(ItemId, orjson.loads(covered))))

    def _save(self, conversation: str, change: Change) -> bool:
        database, now = self._connected, self._now()
        covered = orjson.dumps(sorted(change.covered)).decode()
        with _transaction(database):
            if change.begins:
                begin = "INSERT INTO conversations VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
                database.execute(begin, (conversation, now, now, change.notes, covered))
            there = database.execute(
                "UPDATE conversations SET changed_at = ?, notes = ?, covered = ? WHERE id = ?",
                (now, change.notes, covered, conversation),
            )
            if not there.rowcount:
                return False
            database.executemany(
                "DELETE FROM items WHERE conversation = ? AND id = ?", [(conversation, item) for item in change.removed]
            )
            database.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?) "
                "ON CONFLICT (conversation, id) DO UPDATE SET place = excluded.place, item = excluded.item",
                [
                    (conversation, item.id, place, orjson.dumps(to_json(item)).decode())
                    for place, item in change.items.items()
                ],
            )
        return True

    def _about(self, which: str = "", *values: str) -> Sequence[About]:
        rows = self._connected.execute(
            "SELECT id, created_at, changed_at, (SELECT count(*) FROM items WHERE conversation = conversations.id) "
            f"FROM conversations {which} ORDER BY changed_at DESC",
            values,
        )
        return [About(*row) for row in rows]

    def _delete(self, which: str, value: str | float) -> int:
        database = self._connected
        deleted = database.execute(f"DELETE FROM conversations WHERE {which}", (value,)).rowcount
        if deleted:  # what was said is not to stay in the write-ahead log either
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return deleted


class _transaction:  # noqa: N801
    """Within the block all is written, or nothing."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _items(rows: Sequence[tuple[str]]) -> list[Item]:
    """What another version wrote, and this one does not understand, is left out."""
    found: list[Item] = []
    for (text,) in rows:
        try:
            found.append(from_json(Item, orjson.loads(text)))
        except (ConfigError, orjson.JSONDecodeError, TypeError) as error:
            _log.warning("an item of a conversation cannot be read", reason=str(error))
    return found
