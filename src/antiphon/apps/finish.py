"""How a command ends."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Coroutine
from typing import Any

EXIT_INTERRUPTED = 130
"""What shells give a program that Ctrl-C ended."""
STOP_LIMIT_S = 1.8
"""So long after the first signal a process ends, whatever still hangs: users are promised 2 s."""


def leave_after(seconds: float = STOP_LIMIT_S, code: int = 0) -> None:
    """Ends the process by then, with that exit code, unless it has ended before: work in threads cannot be stopped."""

    def leave() -> None:
        sys.stderr.write("antiphon: some work did not stop in time and was left behind\n")
        sys.stderr.flush()
        os._exit(code)

    timer = threading.Timer(seconds, leave)
    timer.daemon = True
    timer.start()


def finish(work: Coroutine[Any, Any, int]) -> int:
    """Runs a command's work to its exit code; Ctrl-C ends it in order."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
