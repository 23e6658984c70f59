"""What a fleet's recognizer and its brain have in common: they ask for models, as its synthesizer does for voices."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from antiphon.core.fleet import Request
from antiphon.voices.fleet import Fleet
from antiphon.voices.visit import Visit


class StageEngine:
    """An engine over the workers of one stage. ``models`` are those to use, best first; none for any."""

    def __init__(self, fleet: Fleet, models: tuple[str, ...] = (), *, visit: Visit | None = None) -> None:
        """``visit`` makes it one for that conversation alone; the fleet behind it is loaded and closed by others."""
        self.fleet = fleet
        self._models = models
        self._visit = visit

    @property
    def name(self) -> str:
        known = self.fleet.connections
        return next(iter(self._models), known[0].default_model if known else "") or f"fleet:{self.fleet.stage}"

    @property
    def place(self) -> str | None:
        return self.fleet.place_of(self._visit.address if self._visit is not None else None)

    @property
    def description(self) -> str:
        count = len(self.fleet.connections)
        return f"{self.name} on {count} worker{'' if count == 1 else 's'}"

    async def load(self) -> None:
        if self._visit is None:
            await self.fleet.start()

    async def close(self) -> None:
        if self._visit is None:
            await self.fleet.close()

    @contextmanager
    def attending(self) -> Iterator[None]:
        """Within the block its conversation is known to the worker that serves it."""
        if self._visit is None:
            yield
            return
        with self._visit:
            self._visit.announce(Request(self.fleet.stage, self._models))
            yield
