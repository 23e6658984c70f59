"""Runs the command line as a child that does not outlive its parent: `python -m antiphon.apps.child serve ...`."""

from __future__ import annotations

import ctypes
import faulthandler
import signal
import sys

_PR_SET_PDEATHSIG = 1
"""From linux/prctl.h."""


def die_with_parent() -> None:
    """Asks the kernel, where it is Linux, to end this process when the one that started it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)


if __name__ == "__main__":
    faulthandler.enable()  # a crash within a library says where it was, in the parent's log
    from antiphon.apps.cli import main

    die_with_parent()
    main()
