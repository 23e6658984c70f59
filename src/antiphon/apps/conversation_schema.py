"""The tables of a file of conversations, and how an older file becomes one of today."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from antiphon.session.keeping import StoreError

_SETTINGS = ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "secure_delete = ON")

_STEPS = (
    """
    CREATE TABLE conversations (
        id TEXT PRIMARY KEY, created_at REAL NOT NULL, changed_at REAL NOT NULL,
        notes TEXT NOT NULL, covered TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE items (
        conversation TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
        id TEXT NOT NULL, place INTEGER NOT NULL, item TEXT NOT NULL, PRIMARY KEY (conversation, id)
    ) WITHOUT ROWID;
    CREATE INDEX by_change ON conversations (changed_at)
    """,
    """
    ALTER TABLE conversations ADD COLUMN agent TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversations ADD COLUMN holder TEXT NOT NULL DEFAULT '';
    ALTER TABLE conversations ADD COLUMN held_until REAL NOT NULL DEFAULT 0;
    ALTER TABLE conversations ADD COLUMN claimed_at REAL NOT NULL DEFAULT 0;
    ALTER TABLE conversations ADD COLUMN wanted INTEGER NOT NULL DEFAULT 0
    """,
)
"""What makes each version (``user_version``, from 1 on) of the one before."""


def prepare(database: sqlite3.Connection) -> None:
    """Brings the file up to date, once, also where several processes open it at the same time.

    Raises StoreError where a newer version of this program has made it, sqlite3.Error where it is of no use.
    """
    for setting in _SETTINGS:
        database.execute(f"PRAGMA {setting}")
    if _version(database) == len(_STEPS):
        return
    with transaction(database):
        version = _version(database)
        if version > len(_STEPS):
            raise StoreError(f"it was made by another version of this program ({version}); name another file")
        for step in _STEPS[version:]:
            for statement in step.split(";"):
                database.execute(statement)
        database.execute(f"PRAGMA user_version = {len(_STEPS)}")


def _version(database: sqlite3.Connection) -> int:
    [version] = database.execute("PRAGMA user_version").fetchone()
    return int(version)


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Within the block all is written, or nothing, and no other process writes."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
