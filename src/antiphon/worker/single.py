"""A call that is one piece of work, and so one segment to those who hold it up or stop it: a turn, an answer."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from antiphon.worker.outbox import Hold, Outbox

M = TypeVar("M")


class SingleWork(Generic[M]):
    """A ``Running`` whose messages leave by an outbox. Who runs it waits for ``stopping`` too."""

    def __init__(self, limit: int) -> None:
        """``limit`` is that of the outbox."""
        self.outbox: Outbox[M] = Outbox(limit)
        self.session = ""
        self.stopping = asyncio.Event()

    def pause(self) -> int:
        self.outbox.hold(Hold.SESSION)
        return 1

    def resume(self) -> int:
        self.outbox.release(Hold.SESSION)
        return 1

    def stop(self) -> int:
        self.stopping.set()
        return 1
