"""Threads for tools that are plain functions.

A function cannot be made to stop. One that hangs keeps its thread, and nothing else waits for it: not the conversation,
which goes on without its result, and not the end of the program.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Executor, Future
from typing import Any

from antiphon.agents.base import ToolError

MOST_THREADS = 64
"""Functions that run at the same time, in all conversations. When so many hang, no other can be called."""


class ToolThreads(Executor):
    """Runs each function in a thread of its own that ends with the program."""

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._free = threading.BoundedSemaphore(most)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Raises ToolError when too many run."""
        if not self._free.acquire(blocking=False):
            raise ToolError("Too many things are being done at once; try again in a moment")
        future: Future[Any] = Future()
        thread = threading.Thread(target=self._work, args=(future, fn, args, kwargs), name="antiphon-tool", daemon=True)
        thread.start()
        return future

    def _work(self, future: Future[Any], fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except (StopIteration, CancelledError, asyncio.CancelledError) as error:
                # A future does not carry the first, and means something else by the others.
                failure = RuntimeError(f"the function raised {type(error).__name__}")
                failure.__cause__ = error
                future.set_exception(failure)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
        finally:
            self._free.release()


THREADS = ToolThreads()
"""All tools of the process share them."""
