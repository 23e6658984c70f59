"""Records of sessions that their own clients asked for: kept for a while, bounded, fetched with a token."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from pathlib import Path

import structlog

from antiphon.session.recording import Archive, Bounds, FileRecorder, Form

log = structlog.get_logger(__name__)

KEPT_S = 600.0
"""How long a record stays after the end of its session."""

MAX_BYTES = 1024 * 1024 * 1024
"""All records of a server together."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a client is told of the record of its session."""

    session_id: str
    token: str
    """Who has it may fetch the record."""
    kept_s: float


@dataclass(frozen=True, slots=True)
class _Record:
    ticket: Ticket
    recorder: FileRecorder


class Shelf:
    """A folder of records. Belongs to one event loop; ``expire`` must be called now and then.

    The folder is to be readable by nobody else, and its owner removes it after ``close``.
    """

    def __init__(
        self, folder: Path, *, kept_s: float = KEPT_S, bounds: Bounds | None = None, max_bytes: int = MAX_BYTES
    ) -> None:
        self._archive = Archive(folder, Form.ONE_FILE, bounds)
        self._kept_s = kept_s
        self._max_bytes = max_bytes
        self._records: dict[str, _Record] = {}

    def open(self, session_id: str) -> Ticket | None:
        """The session is to be recorded. None when there is no room: others that go on are not broken off for it."""
        self._make_room(self._archive.bounds.max_bytes)
        if self._reserved_bytes() + self._archive.bounds.max_bytes > self._max_bytes:
            log.warning("a session is not recorded: there are too many records", records=len(self._records))
            return None
        ticket = Ticket(session_id, secrets.token_urlsafe(24), self._kept_s)
        self._records[session_id] = _Record(ticket, self._archive.recorder(session_id))
        return ticket

    def recorder(self, session_id: str) -> FileRecorder | None:
        """What writes the session's record; None if none was opened."""
        record = self._records.get(session_id)
        return record.recorder if record is not None else None

    def forget(self, session_id: str) -> None:
        """Deletes the record, which must be closed, or not begun."""
        self._records.pop(session_id).recorder.remove()

    def _make_room(self, wanted_bytes: int) -> None:
        """Deletes records whose sessions are over, the oldest first, if that helps."""
        over = sorted(
            (record.recorder.closed_at, session)
            for session, record in self._records.items()
            if record.recorder.closed_at is not None
        )
        for _, session in over:
            if self._reserved_bytes() + wanted_bytes <= self._max_bytes:
                return
            self.forget(session)

    def _reserved_bytes(self) -> int:
        """What there is, and what those that go on may yet become."""
        largest = self._archive.bounds.max_bytes
        recorders = [record.recorder for record in self._records.values()]
        return sum(largest if each.closed_at is None else each.size_bytes for each in recorders)

    def expire(self, now: float) -> None:
        """Deletes what was kept long enough. ``now`` is the loop's time."""
        for session, record in tuple(self._records.items()):
            closed_at = record.recorder.closed_at
            if closed_at is not None and now - closed_at >= self._kept_s:
                self.forget(session)

    def opened_by(self, session_id: str, token: str) -> bool:
        """Whether the token is that of the session's record."""
        record = self._records.get(session_id)
        return record is not None and hmac.compare_digest(record.ticket.token.encode(), token.encode())

    async def file(self, session_id: str) -> Path | None:
        """The record with all that has happened until now; None if there is none, or no longer."""
        recorder = self.recorder(session_id)
        if recorder is None:
            return None
        await recorder.flush()
        return recorder.path if session_id in self._records and recorder.path.exists() else None

    def close(self) -> None:
        """Returns when nothing is written any more."""
        self._archive.close()
