"""Calls an agent's hooks one after the other, beside the conversation."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger(__name__)

HOOK_LIMIT_S = 5.0
END_LIMIT_S = 2.0
"""All that is left to be called when the conversation is over may take so long together."""
_MOST_WAITING = 100

_Call = Callable[[], Awaitable[None]]


class HookRunner:
    """``run`` is a task of the conversation. A hook that fails, or takes too long, is logged and changes nothing."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, _Call]] = deque()
        self._wake = asyncio.Event()
        self._over = False

    def add(self, name: str, call: _Call) -> None:
        """Calls a hook after those before it. Where too many wait, the oldest is left out."""
        if len(self._waiting) == _MOST_WAITING:
            left_out, _ = self._waiting.popleft()
            log.warning("a hook is left out: those before it take too long", hook=left_out)
        self._waiting.append((name, call))
        self._wake.set()

    def finish(self) -> None:
        """Nothing more is added: ``run`` returns when all was called."""
        self._over = True
        self._wake.set()

    async def run(self) -> None:
        while True:
            while self._waiting:
                await self._call(*self._waiting.popleft())
            if self._over:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _call(self, name: str, call: _Call) -> None:
        try:
            async with asyncio.timeout(HOOK_LIMIT_S):
                await call()
        except TimeoutError:
            log.warning("a hook took too long", hook=name, limit_s=HOOK_LIMIT_S)
        except asyncio.CancelledError:
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            log.error("a hook was cancelled by itself", hook=name)
        except (Exception, SystemExit, KeyboardInterrupt):  # an event loop ends by the latter, and the server with it
            log.exception("a hook failed", hook=name)
