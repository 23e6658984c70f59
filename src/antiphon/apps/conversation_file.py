"""Conversations that are kept in a file: SQLite, in a thread of its own.

Each is one session's at a time, in whatever process: ``conversation_leases`` says how that is kept in the file.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import orjson
import structlog

from antiphon.apps import conversation_leases as leases
from antiphon.apps.conversation_schema import prepare, transaction
from antiphon.core.conversation import Item
from antiphon.errors import ConfigError
from antiphon.ids import ItemId
from antiphon.session.codec import from_json, to_json
from antiphon.session.keeping import About, Change, HeldError, Kept, StoreError

DAY_S = 86_400.0
BUSY_S = 5.0
"""How long to wait for another process that writes to the same file."""

SAVE_S = 30.0
"""How long what was said waits to be written while others write."""

EXPIRE_EVERY_S = 3600.0
_LOOK_EVERY_S = 0.1
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

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
        self._held: dict[str, str] = {}
        """By conversation the session of this process that has it."""

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
        """What there is of it, whoever has it."""
        return await self._run(lambda: self._load(conversation))

    async def claim(self, conversation: str, holder: str) -> Kept | None:
        until, awaited = time.monotonic() + leases.CLAIM_S, ""
        while time.monotonic() < until:
            found = await self._run(partial(self._claim, conversation, holder, awaited))
            if not isinstance(found, leases.Held):
                if found is not None:
                    self._held[conversation] = holder
                return found
            awaited = found.holder
            await asyncio.sleep(_LOOK_EVERY_S)
        raise HeldError("the session that has it does not let go of it")

    async def save(self, conversation: str, change: Change, holder: str) -> bool:
        saved = await self._run(lambda: self._save(conversation, change, holder))
        if saved and change.begins:
            self._held[conversation] = holder
        return saved

    def leave(self, conversation: str, holder: str) -> None:
        if self._held.get(conversation) == holder:
            del self._held[conversation]
        self._thread.submit(self._leave, conversation, holder).add_done_callback(_tell_failure)

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

    async def hold(self, lose: Callable[[str], None]) -> None:
        """Keeps for the sessions of this process what they have, until it is cancelled. ``lose`` is called with the id
        of a session whose conversation another process wants, or has."""
        while True:
            await asyncio.sleep(leases.BEAT_S)
            held = dict(self._held)
            try:
                lost = await self._run(partial(self._renew, held)) if held else ()
            except StoreError as error:
                _log.warning("conversations could not be held", reason=str(error))
                continue
            for holder in lost:
                lose(holder)

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
        """What was begun is done in its order, also where nobody waits for it any more."""
        try:
            return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))
        except sqlite3.Error as error:
            raise StoreError(f"{error}") from error

    def _open(self) -> None:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        # The thread is the only one that uses it, and has ended when it is closed.
        self._database = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._patiently(partial(prepare, self._database))

    @property
    def _connected(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError("the file is not open")
        return self._database

    def _load(self, conversation: str) -> Kept | None:
        found = self._connected.execute(
            "SELECT notes, covered, agent FROM conversations WHERE id = ?", (conversation,)
        ).fetchone()
        if found is None:
            return None
        rows = self._connected.execute(
            "SELECT item FROM items WHERE conversation = ? ORDER BY place", (conversation,)
        ).fetchall()
        notes, covered, agent = found
        return Kept(tuple(_items(rows)), notes, frozenset(map(ItemId, orjson.loads(covered))), agent)

    def _claim(self, conversation: str, holder: str, awaited: str) -> Kept | leases.Held | None:
        with transaction(self._connected):
            held = leases.claim(self._connected, conversation, holder, awaited, self._now())
            return held or self._load(conversation)

    def _leave(self, conversation: str, holder: str) -> None:
        self._patiently(partial(leases.leave, self._connected, conversation, holder))

    def _renew(self, held: Mapping[str, str]) -> Sequence[str]:
        return leases.renew(self._connected, held, self._now())

    def _save(self, conversation: str, change: Change, holder: str) -> bool:
        return self._patiently(partial(self._save_now, conversation, change, holder))

    def _patiently(self, work: Callable[[], T]) -> T:
        """Others may write for long; what is to be kept waits for them."""
        until = time.monotonic() + SAVE_S
        while True:
            try:
                return work()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > until:
                    raise
                time.sleep(_LOOK_EVERY_S)  # SQLite does not wait by itself where it sees a deadlock

    def _save_now(self, conversation: str, change: Change, holder: str) -> bool:
        database, now = self._connected, self._now()
        covered = orjson.dumps(sorted(change.covered)).decode()
        with transaction(database):
            if change.begins:
                begin = (
                    "INSERT INTO conversations (id, created_at, changed_at, notes, covered, holder) "
                    "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
                )
                database.execute(begin, (conversation, now, now, change.notes, covered, holder))
            there = database.execute(
                "UPDATE conversations SET changed_at = ?, notes = ?, covered = ?, agent = ?, held_until = ? "
                "WHERE id = ? AND holder = ?",
                (now, change.notes, covered, change.agent, now + leases.LEASE_S, conversation, holder),
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


def _tell_failure(left: Future[None]) -> None:
    if (error := left.exception()) is not None:
        _log.warning("a conversation could not be left; it can be gone on with in a moment", reason=str(error))


def _items(rows: Sequence[tuple[str]]) -> list[Item]:
    """What another version wrote, and this one does not understand, is left out."""
    found: list[Item] = []
    for (text,) in rows:
        try:
            found.append(from_json(Item, orjson.loads(text)))
        except (ConfigError, orjson.JSONDecodeError, TypeError) as error:
            _log.warning("an item of a conversation cannot be read", reason=str(error))
    return found
