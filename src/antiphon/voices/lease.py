"""A place at a worker, for one request."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from antiphon.core.fleet import Worker
from antiphon.voices.channel import Connection


@dataclass(slots=True)
class Lease:
    """A place at a worker, for one request. A context manager: leaving gives the place back."""

    connection: Connection
    worker: Worker
    """As it was when it was chosen."""
    model: str
    _calls: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.connection.begun()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for call in self._calls:
            self.connection.calls.discard(call)
        self.connection.ended()

    def watch(self, call: Any) -> None:
        """Cancels the call when the worker falls silent."""
        self._calls.append(call)
        self.connection.calls.add(call)
