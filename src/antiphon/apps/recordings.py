"""What is recorded of a server's sessions: all of them, for who runs it, and single ones, for their own clients."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
from pathlib import Path

from antiphon.apps.config import Config
from antiphon.errors import ConfigError
from antiphon.session.meter import Recorder
from antiphon.session.recording import Archive, SeveralRecorders
from antiphon.session.shelf import Shelf


class Recordings:
    """All is on the disk, and what belongs to clients is gone from it, when ``stack`` is closed."""

    def __init__(self, config: Config, stack: contextlib.AsyncExitStack) -> None:
        """Raises ConfigError for a folder that cannot be used."""
        self._archive = _archive(config.record, stack) if config.record is not None else None
        self.shelf = _shelf(stack) if config.client_records else None

    def recorder(self, session_id: str) -> Recorder | None:
        """What records a session; None for nothing."""
        client = self.shelf.recorder(session_id) if self.shelf is not None else None
        if self._archive is None:
            return client
        own = self._archive.recorder(session_id)
        return own if client is None else SeveralRecorders((own, client))


def _archive(folder: Path, stack: contextlib.AsyncExitStack) -> Archive:
    try:
        archive = Archive(folder)
    except OSError as error:
        raise ConfigError(f"--record {folder}: {error.strerror}") from error
    stack.push_async_callback(asyncio.to_thread, archive.close)
    return archive


def _shelf(stack: contextlib.AsyncExitStack) -> Shelf:
    """In the folder for temporary files, which a server that was killed cannot clear: the next one does."""
    try:
        if sys.platform == "win32":
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="antiphon-")))
        else:
            from antiphon.apps.runtime_folder import runtime_folder

            folder = stack.enter_context(runtime_folder(Path(tempfile.gettempdir())))
    except OSError as error:
        raise ConfigError(f"no folder for the records of clients, see --no-client-records: {error}") from error
    shelf = Shelf(folder)
    stack.push_async_callback(asyncio.to_thread, shelf.close)
    return shelf
