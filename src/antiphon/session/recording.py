"""Recordings of sessions: every input with its time, and what was decided, as JSON Lines.

The first line is the header: the settings and the seed of the turn table's identifiers. Then, in order, the events that
the turn table took and the actions that it gave, the client's commands, and the user's audio, mono s16 at 16 kHz: its
lines say when how many bytes of it came. The bytes lie in a raw file beside, or as base64 in the lines themselves
(``Form.ONE_FILE``). The last line says that it is the last.

Writing is done by one thread for all sessions. Nothing is recorded unless somebody makes an ``Archive``.
"""

from __future__ import annotations

import asyncio
import binascii
import os
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from pathlib import Path
from typing import IO

import orjson
import structlog

from antiphon.core.actions import Action
from antiphon.core.commands import Command
from antiphon.core.events import Event
from antiphon.core.settings import SessionSettings
from antiphon.session.codec import TAG, to_json
from antiphon.session.meter import Recorder

log = structlog.get_logger(__name__)

FORMAT = "antiphon session"
VERSION = 1
SUFFIX = ".jsonl"
AUDIO_SUFFIX = ".pcm"

_MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""When the disk is so far behind, a recording is broken off: the sessions come first."""

_FLUSH_LIMIT_S = 5.0

_MiB = 1024 * 1024


class Form(Enum):
    """Where the user's audio goes."""

    NO_AUDIO = auto()
    BESIDE = auto()
    """Into a raw file of its own."""
    ONE_FILE = auto()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a recording of one file may become."""

    audio_bytes: int = 48 * _MiB
    """When it has so much it goes on without audio, and can still be replayed: some 20 minutes."""
    max_bytes: int = 64 * _MiB
    """Then it is broken off."""


@dataclass(frozen=True, slots=True)
class _Job:
    recorder: FileRecorder
    work: Callable[[], None]
    weight_bytes: int


class Archive:
    """A folder of recordings, and the thread that writes them. ``close`` it to have all on the disk.

    Raises OSError when the folder cannot be made.
    """

    def __init__(self, folder: Path, form: Form = Form.BESIDE, bounds: Bounds | None = None) -> None:
        """``bounds`` are those of each recording of ``Form.ONE_FILE``; others have none."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.form = form
        self.bounds = bounds or Bounds()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.backlog_bytes = 0
        """About how much waits for the disk. Two threads count it, which may cost it a few bytes, no more."""
        self._thread = threading.Thread(target=self._work, name="antiphon-archive", daemon=True)
        self._thread.start()

    def recorder(self, name: str) -> FileRecorder:
        """A recorder for one session, into ``name``.jsonl. The files are made with the first line."""
        return FileRecorder(self, self._folder / name)

    def put(self, recorder: FileRecorder, work: Callable[[], None], weight_bytes: int = 0) -> None:
        """Has the thread do something for a recorder, after all that was put before."""
        self.backlog_bytes += weight_bytes
        self._jobs.put(_Job(recorder, work, weight_bytes))

    def close(self) -> None:
        """Returns when all is written."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job.work()
            except OSError as error:
                job.recorder.failed(error)
            self.backlog_bytes -= job.weight_bytes


class FileRecorder:
    """Records one session. ``begin`` to ``close`` are the session's side and never block."""

    def __init__(self, archive: Archive, stem: Path) -> None:
        self._archive = archive
        self.path = stem.with_name(stem.name + SUFFIX)
        self._audio_path = stem.with_name(stem.name + AUDIO_SUFFIX)
        self._lines: IO[bytes] | None = None
        self._audio: IO[bytes] | None = None
        self.size_bytes = 0
        """Of all lines so far, written or not."""
        self.closed_at: float | None = None
        """When the session was over, in the loop's time."""
        self.broken = False
        """No more is written; the file lacks its last line."""

    def begin(self, now: float, settings: SessionSettings, seed: int) -> None:
        self._put(
            "header",
            now,
            format=FORMAT,
            version=VERSION,
            recorded_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            seed=seed,
            audio=self._audio_path.name if self._archive.form is Form.BESIDE else None,
            settings=to_json(settings),
        )

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        self._put("event", now, event=to_json(event), actions=to_json(list(actions)))

    def audio(self, now: float, pcm: bytes) -> None:
        match self._archive.form:
            case Form.NO_AUDIO:
                self._put("audio", now, bytes=len(pcm))
            case Form.BESIDE:
                self._put("audio", now, pcm, bytes=len(pcm))
            case Form.ONE_FILE if self.size_bytes + len(pcm) * 4 // 3 > self._archive.bounds.audio_bytes:
                self._put("audio", now, bytes=len(pcm))
            case Form.ONE_FILE:
                self._put("audio", now, bytes=len(pcm), pcm=binascii.b2a_base64(pcm, newline=False).decode())

    def command(self, now: float, command: Command) -> None:
        self._put("command", now, command=to_json(command))

    def close(self, now: float) -> None:
        self._put("end", now)
        self.closed_at = now
        self._archive.put(self, self._finish)

    def _put(self, kind: str, now: float, beside: bytes = b"", **values: object) -> None:
        if self.broken:
            return
        line = orjson.dumps({TAG: kind, "at": now, **values}, option=orjson.OPT_APPEND_NEWLINE)
        self.size_bytes += len(line)
        if self._archive.form is Form.ONE_FILE and self.size_bytes > self._archive.bounds.max_bytes:
            self._break_off("it is too long")
        elif self._archive.backlog_bytes > _MAX_BACKLOG_BYTES:
            self._break_off("the disk is too slow")
        else:
            self._archive.put(self, lambda: self._write(line, beside), len(line) + len(beside))

    def _break_off(self, reason: str) -> None:
        self.broken = True
        log.error("a recording is broken off", file=str(self.path), reason=reason)

    async def flush(self) -> None:
        """Returns when all lines so far are in the file, or the disk takes too long."""
        done = threading.Event()
        self._archive.put(self, lambda: self._flush(done))
        await asyncio.to_thread(done.wait, _FLUSH_LIMIT_S)

    def remove(self) -> None:
        """Deletes the files, once what was said before is done. The recording must be closed."""
        self._archive.put(self, self._remove)

    # The writing thread's side.

    def failed(self, error: OSError) -> None:
        """What was put before it was known may fail as well."""
        if not self.broken:
            self._break_off(str(error))

    def _write(self, line: bytes, pcm: bytes) -> None:
        if self._lines is None:
            self._lines = _created(self.path)
        self._lines.write(line)
        if pcm:
            if self._audio is None:
                self._audio = _created(self._audio_path)
            self._audio.write(pcm)

    def _flush(self, done: threading.Event) -> None:
        try:
            if self._lines is not None and not self._lines.closed:
                self._lines.flush()
        finally:
            done.set()

    def _finish(self) -> None:
        for file in (self._lines, self._audio):
            if file is not None:
                file.close()

    def _remove(self) -> None:
        self._finish()
        for path in (self.path, self._audio_path):
            path.unlink(missing_ok=True)


def _created(path: Path) -> IO[bytes]:
    """For this user alone: these are people's voices and words."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")


class SeveralRecorders:
    """Recorders that all get the same."""

    def __init__(self, recorders: Sequence[Recorder]) -> None:
        self._recorders = tuple(recorders)

    def begin(self, now: float, settings: SessionSettings, seed: int) -> None:
        for recorder in self._recorders:
            recorder.begin(now, settings, seed)

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        for recorder in self._recorders:
            recorder.event(now, event, actions)

    def audio(self, now: float, pcm: bytes) -> None:
        for recorder in self._recorders:
            recorder.audio(now, pcm)

    def command(self, now: float, command: Command) -> None:
        for recorder in self._recorders:
            recorder.command(now, command)

    def close(self, now: float) -> None:
        for recorder in self._recorders:
            recorder.close(now)
