"""Recordings of sessions: every input with its time, and what was decided, as JSON Lines.

The first line is the header: the settings and the seed of the turn table's identifiers. Then, in order, the events that
the turn table took and the actions that it gave, the client's commands, and the user's audio: its bytes lie in a raw
file beside, mono s16 at 16 kHz, and its lines say when how many of them came. The last line says that it is the last.

Writing is done by one thread for all sessions. Nothing is recorded unless somebody makes an ``Archive``.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson
import structlog

from antiphon.core.actions import Action
from antiphon.core.commands import Command
from antiphon.core.events import Event
from antiphon.core.settings import SessionSettings
from antiphon.session.codec import TAG, to_json

log = structlog.get_logger(__name__)

FORMAT = "antiphon session"
VERSION = 1
SUFFIX = ".jsonl"
AUDIO_SUFFIX = ".pcm"

_MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""When the disk is so far behind, a recording is broken off: the sessions come first."""


@dataclass(frozen=True, slots=True)
class _Write:
    recorder: FileRecorder
    line: bytes
    pcm: bytes = b""


class Archive:
    """A folder of recordings, and the thread that writes them. ``close`` it to have all on the disk.

    Raises OSError when the folder cannot be made. ``audio``: keep the user's audio too.
    """

    def __init__(self, folder: Path, *, audio: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.audio = audio
        self._writes: queue.SimpleQueue[_Write | FileRecorder | None] = queue.SimpleQueue()
        self.backlog_bytes = 0
        """About how much waits for the disk. Two threads count it, which may cost it a few bytes, no more."""
        self._thread = threading.Thread(target=self._work, name="antiphon-archive", daemon=True)
        self._thread.start()

    def recorder(self, name: str) -> FileRecorder:
        """A recorder for one session, into ``name``.jsonl and ``name``.pcm. The files are made with the first line."""
        return FileRecorder(self, self._folder / name)

    def put(self, write: _Write | FileRecorder) -> None:
        if isinstance(write, _Write):
            self.backlog_bytes += len(write.line) + len(write.pcm)
        self._writes.put(write)

    def close(self) -> None:
        """Returns when all is written."""
        self._writes.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (job := self._writes.get()) is not None:
            recorder = job.recorder if isinstance(job, _Write) else job
            try:
                if isinstance(job, _Write):
                    recorder.write(job.line, job.pcm)
                    self.backlog_bytes -= len(job.line) + len(job.pcm)
                else:
                    recorder.finish()
            except OSError as error:
                recorder.broken = True
                log.error("a recording is broken off", file=str(recorder.path), error=str(error))


class FileRecorder:
    """Records one session. ``begin`` to ``close`` are the session's side and never block."""

    def __init__(self, archive: Archive, stem: Path) -> None:
        self._archive = archive
        self.path = stem.with_name(stem.name + SUFFIX)
        self._audio_path = stem.with_name(stem.name + AUDIO_SUFFIX)
        self._lines: IO[bytes] | None = None
        self._audio: IO[bytes] | None = None
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
            audio=self._audio_path.name if self._archive.audio else None,
            settings=to_json(settings),
        )

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        self._put("event", now, event=to_json(event), actions=to_json(list(actions)))

    def audio(self, now: float, pcm: bytes) -> None:
        self._put("audio", now, pcm if self._archive.audio else b"", bytes=len(pcm))

    def command(self, now: float, command: Command) -> None:
        self._put("command", now, command=to_json(command))

    def close(self, now: float) -> None:
        self._put("end", now)
        self._archive.put(self)

    def _put(self, kind: str, now: float, pcm: bytes = b"", **values: object) -> None:
        if self.broken:
            return
        if self._archive.backlog_bytes > _MAX_BACKLOG_BYTES:
            self.broken = True
            log.error("a recording is broken off: the disk is too slow", file=str(self.path))
            return
        line = orjson.dumps({TAG: kind, "at": now, **values}, option=orjson.OPT_APPEND_NEWLINE)
        self._archive.put(_Write(self, line, pcm))

    # The writing thread's side.

    def write(self, line: bytes, pcm: bytes) -> None:
        if self._lines is None:
            self._lines = self.path.open("wb")
        self._lines.write(line)
        if pcm:
            if self._audio is None:
                self._audio = self._audio_path.open("wb")
            self._audio.write(pcm)

    def finish(self) -> None:
        for file in (self._lines, self._audio):
            if file is not None:
                file.close()
