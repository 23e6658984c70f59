"""How a command ends."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

EXIT_INTERRUPTED = 130
"""What shells give a program that Ctrl-C ended."""


def finish(work: Coroutine[Any, Any, int]) -> int:
    """Runs a command's work to its exit code; Ctrl-C ends it in order."""
    import asyncio

    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
