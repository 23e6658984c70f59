"""What is told of the workers of a stage while they serve, for the metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from antiphon.core.fleet import Shortage


@dataclass(frozen=True, slots=True)
class Handover:
    """A request went on at another worker, or at the one that took its place."""

    stage: str
    from_address: str
    to_address: str
    gap_s: float
    """From the loss to the first audio, word or token of the next."""
    exact: bool
    """It went on at the very sample; otherwise at a word."""


class Watcher(Protocol):
    """Hears what happens, for the metrics."""

    def handed_over(self, handover: Handover) -> None: ...

    def refused(self, stage: str, shortage: Shortage) -> None: ...


class NoWatcher:
    def handed_over(self, handover: Handover) -> None:
        pass

    def refused(self, stage: str, shortage: Shortage) -> None:
        pass
