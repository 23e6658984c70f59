"""Which session has a conversation, in the file that several processes share.

A session has it from its claim until it leaves it. Its process renews that each second, so that what a killed process
had is free a few seconds later. Who wants a conversation that is held says so in the file; the holder sees that when it
renews, ends its session, and leaves it with all that was said. Times are of the wall clock, which processes that can
share a file of SQLite have in common.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from antiphon.apps.conversation_schema import transaction
from antiphon.session.keeping import HeldError

BEAT_S = 1.0
"""What is held is renewed so often."""

LEASE_S = 5.0
"""What was not renewed for so long is nobody's any more."""

CLAIM_S = 8.0
"""So long a claim waits for the holder to let go."""

SETTLE_S = 1.0
"""Two claims within so long were made at once: the second one is refused, rather than that it ends the first."""


@dataclass(frozen=True, slots=True)
class Held:
    holder: str


def claim(database: sqlite3.Connection, conversation: str, holder: str, awaited: str, now: float) -> Held | None:
    """Makes the conversation the holder's, if there is one, or says who has it, who is asked to let go.

    Within a transaction. ``awaited`` is who had it when this claim looked before. Raises HeldError where another claim
    was first.
    """
    row = database.execute(
        "SELECT holder, held_until, claimed_at FROM conversations WHERE id = ?", (conversation,)
    ).fetchone()
    if row is None:
        return None
    former, until, claimed_at = row
    if former and former != holder and now < until <= now + LEASE_S:  # else the clock was set back since
        if (awaited and awaited != former) or 0 <= now - claimed_at < SETTLE_S:
            raise HeldError("another session has just begun to go on with it")
        database.execute("UPDATE conversations SET wanted = 1 WHERE id = ?", (conversation,))
        return Held(former)
    database.execute(
        "UPDATE conversations SET holder = ?, held_until = ?, claimed_at = ?, wanted = 0 WHERE id = ?",
        (holder, now + LEASE_S, now, conversation),
    )
    return None


def renew(database: sqlite3.Connection, held: Mapping[str, str], now: float) -> Sequence[str]:
    """Holds on to conversations, given with their holders. Those holders come back that are to let go, or have lost
    theirs to another; what was deleted is nobody's."""
    lost: list[str] = []
    with transaction(database):
        for conversation, holder in held.items():
            row = database.execute("SELECT holder, wanted FROM conversations WHERE id = ?", (conversation,)).fetchone()
            if row is None:
                continue
            if row[0] != holder or row[1]:
                lost.append(holder)
            database.execute(
                "UPDATE conversations SET held_until = ? WHERE id = ? AND holder = ?",
                (now + LEASE_S, conversation, holder),
            )
    return lost


def leave(database: sqlite3.Connection, conversation: str, holder: str) -> None:
    database.execute(
        "UPDATE conversations SET holder = '', wanted = 0 WHERE id = ? AND holder = ?", (conversation, holder)
    )
