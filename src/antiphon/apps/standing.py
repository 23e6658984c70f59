"""How a server stands: its stages, its workers; told by ``/health``, and to clients when it changes."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from antiphon.apps.composition import Engines
from antiphon.core.fleet import Health
from antiphon.engines.optional import IN_PROCESS

SETTLE_S = 0.05
"""What changes within so short a time is told at once: models of a worker that starts become ready one by one."""

_BUSINESS = frozenset(("active", "sessions"))
"""What a worker has to do at the moment is no news."""


def standing_of(engines: Engines, status: str) -> dict[str, Any]:
    """The workers, as in an ``antiphon.fleet`` event. ``status`` is the server's own."""
    missing = engines.missing()
    return {
        "status": "degraded" if status == "ok" and missing else status,
        "missing": missing,
        "workers": engines.workers(),
    }


def health_of(engines: Engines, status: str) -> dict[str, Any]:
    """All that ``/health`` says of engines and processes, in plain types."""
    standing = standing_of(engines, status)
    suite = engines.suite
    names = {"vad": suite.vad, "asr": suite.recognizer, "llm": suite.brain, "tts": suite.synthesizer}
    stages = {stage: _stage(stage, engine.name, standing) for stage, engine in names.items()}
    told = {stage: engine.name for stage, engine in names.items()}
    missing: list[str] = standing["missing"]
    reason = f"no worker serves {' and '.join(missing)}" if missing else ""
    return {**standing, "reason": reason, "pid": os.getpid(), "engines": told, "stages": stages}


def _stage(stage: str, engine: str, standing: dict[str, Any]) -> dict[str, Any]:
    workers = [worker for worker in standing["workers"] if worker["stage"] == stage]
    serving = [worker["name"] for worker in workers if worker["state"] == Health.SERVING.value]
    down = stage in standing["missing"]
    return {
        "engine": engine,
        "state": "down" if down else "serving",
        "workers": serving if workers or down else [IN_PROCESS],
    }


class Informed(Protocol):
    """Wants to know how the workers stand: a session's ``Outlet``, or who passes it on."""

    def fleet(self, standing: dict[str, Any]) -> None: ...


class News:
    """Tells every client that wants to know when a worker is gone, back, or has other models.

    ``run`` must be running; all else is called from the same event loop.
    """

    def __init__(self, standing: Callable[[], dict[str, Any]]) -> None:
        self._standing = standing
        # An outlet lives as long as its session, and nobody need say when that is over.
        self._outlets: weakref.WeakSet[Informed] = weakref.WeakSet()
        self._told: dict[str, Any] = {}
        self._look_at: asyncio.TimerHandle | None = None

    def subscribe(self, outlet: Informed) -> None:
        self._outlets.add(outlet)

    def take(self, standing: Mapping[str, Any]) -> None:
        """From now on it stands as the server says that this process works for."""
        self._standing = lambda: dict(standing)
        self._look_soon()

    async def run(self, changes: Iterable[Callable[[], Awaitable[None]]]) -> None:
        """Until it is cancelled. Each of ``changes`` waits for the next change of something."""
        self._told = _news(self._standing())
        try:
            async with asyncio.TaskGroup() as group:
                for change in changes:
                    group.create_task(self._follow(change))
        finally:
            if self._look_at is not None:
                self._look_at.cancel()

    async def _follow(self, change: Callable[[], Awaitable[None]]) -> None:
        while True:
            await change()
            self._look_soon()

    def _look_soon(self) -> None:
        if self._look_at is None:
            self._look_at = asyncio.get_running_loop().call_later(SETTLE_S, self._look)

    def _look(self) -> None:
        self._look_at = None
        standing = self._standing()
        news = _news(standing)
        if news != self._told:
            self._told = news
            for outlet in tuple(self._outlets):
                outlet.fleet(standing)


def _news(standing: dict[str, Any]) -> dict[str, Any]:
    workers = [{key: value for key, value in worker.items() if key not in _BUSINESS} for worker in standing["workers"]]
    return {**standing, "workers": workers}
