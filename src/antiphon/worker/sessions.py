"""The conversations that a worker knows: what runs for each, and the model that is kept near for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from antiphon.worker.manager import Lease

LAPSE_S = 600.0
"""A conversation of which nothing was heard for so long has lost its server; its models are no longer kept."""


class Running(Protocol):
    """A request under way. Each method returns on how many segments it acted."""

    @property
    def session(self) -> str:
        """Empty until the request has named it."""
        ...

    def pause(self) -> int:
        """Nothing leaves any more; the work goes on behind it."""
        ...

    def resume(self) -> int:
        """What waits leaves, from where it stopped."""
        ...

    def stop(self) -> int:
        """Ends the work."""
        ...


@dataclass(slots=True)
class _Session:
    lease: Lease[Any]
    lapse: asyncio.TimerHandle | None = None


class Sessions:
    def __init__(self, lapse_s: float = LAPSE_S, on_ended: Callable[[str], None] = lambda session: None) -> None:
        """``on_ended`` is told the name of each conversation that ends."""
        self._lapse_s = lapse_s
        self._on_ended = on_ended
        self._known: dict[str, _Session] = {}
        self._running: set[Running] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        """Conversations that made themselves known and have not ended."""
        return len(self._known)

    @property
    def running(self) -> int:
        """Requests under way."""
        return len(self._running)

    def known(self, session: str) -> str:
        """The name itself, of a conversation that made itself known; else an empty one, since nobody tells its end."""
        return session if session in self._known else ""

    async def idle(self) -> None:
        """Waits until no request is under way."""
        await self._idle.wait()

    @contextmanager
    def run(self, request: Running) -> Iterator[None]:
        """Within the block ``request`` is under way."""
        self._running.add(request)
        self._idle.clear()
        try:
            yield
        finally:
            self._running.discard(request)
            if not self._running:
                self._idle.set()
            self.touch(request.session)

    def touch(self, session: str) -> None:
        """Something was heard of the conversation."""
        known = self._known.get(session)
        if known is not None:
            if known.lapse is not None:
                known.lapse.cancel()
            known.lapse = asyncio.get_running_loop().call_later(self._lapse_s, self._lapse, session)

    def keep(self, session: str, lease: Lease[Any]) -> None:
        """Keeps a model for the conversation, in place of what was kept before, until its end."""
        known = self._known.get(session)
        if known is None:
            self._known[session] = _Session(lease)
        else:
            known.lease.end()
            known.lease = lease
        self.touch(session)

    def end(self, session: str) -> None:
        """Stops all that runs for it and ends its lease. Unknown ones are no error."""
        for request in self._of(session):
            request.stop()
        known = self._known.pop(session, None)
        if known is None:
            return
        if known.lapse is not None:
            known.lapse.cancel()
        self._on_ended(session)
        known.lease.end()

    def pause(self, session: str) -> int:
        return sum(request.pause() for request in self._of(session))

    def resume(self, session: str) -> int:
        return sum(request.resume() for request in self._of(session))

    def stop(self, session: str) -> int:
        return sum(request.stop() for request in self._of(session))

    def close(self) -> None:
        for session in list(self._known):
            self.end(session)

    def _of(self, session: str) -> list[Running]:
        self.touch(session)
        return [request for request in self._running if request.session == session]

    def _lapse(self, session: str) -> None:
        if any(request.session == session for request in self._running):
            self.touch(session)
        else:
            self.end(session)
