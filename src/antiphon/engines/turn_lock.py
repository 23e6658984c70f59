"""A lock for work that is done in steps: whoever holds it can let the others have a step in between."""

from __future__ import annotations

import threading
from types import TracebackType


class TurnLock:
    """Threads get it in the order in which they ask. Held within ``with``."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked = 0
        self._served = 0

    def __enter__(self) -> None:
        with self._changed:
            number = self._asked
            self._asked += 1
            self._changed.wait_for(lambda: self._served == number)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._served += 1
            self._changed.notify_all()

    def pass_on(self) -> None:
        """Lets everybody who waits have a turn, and returns when they had it. The caller holds it before and after."""
        with self._changed:
            if self._asked == self._served + 1:
                return
            number = self._asked
            self._asked += 1
            self._served += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._served == number)
