"""The folder of a server's sockets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_FOLDER_PREFIX = "antiphon-"
_LOCK = "lock"


@contextlib.contextmanager
def runtime_folder() -> Iterator[Path]:
    """A folder for sockets that only this user may enter; it goes when the block is left.

    Those that killed servers left behind go too: a folder in use has a lock that its server holds.
    """
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    if not os.access(base, os.W_OK):
        base = Path(tempfile.gettempdir())
    _remove_left_behind(base)
    folder = Path(tempfile.mkdtemp(prefix=_FOLDER_PREFIX, dir=base))  # 0700
    try:
        new = folder / "new"
        with new.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            new.rename(folder / _LOCK)  # it is never seen without its owner's lock on it
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_behind(base: Path) -> None:
    for path in base.glob(f"{_FOLDER_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid != os.getuid():
                continue
            with path.open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while its server lives
                shutil.rmtree(path.parent, ignore_errors=True)
