"""What ``core.residency`` is told and what it answers: frozen values in two unions."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NewType

Ticket = NewType("Ticket", int)
"""A request for a lease or for an unload. Whoever asks chooses it, never the same twice."""


class ModelState(Enum):
    ABSENT = "absent"
    LOADING = "loading"
    """It is being loaded, or waits its turn."""
    RESIDENT = "resident"
    UNLOADING = "unloading"
    FAILED = "failed"
    """The last load failed. It is tried again when somebody asks."""


class Reason(Enum):
    """Why something is refused."""

    UNKNOWN = "unknown"
    """There is no such model here."""
    NO_ROOM = "no room"
    """As many models as there may be are held, or were loaded just now."""
    FAILED = "failed"
    """It cannot be loaded, or could not a moment ago."""
    LEAVING = "leaving"
    """It is being unloaded because somebody asked for that."""
    ENDING = "ending"
    """The worker ends."""


@dataclass(frozen=True, slots=True)
class ResidencySettings:
    """``models`` are the names there are. Times are in seconds."""

    models: tuple[str, ...]
    preload: tuple[str, ...] = ()
    """Loaded at the start, in this order."""
    cap: int | None = None
    """How many may be in memory; None for all."""
    ttl_s: float = 600.0
    min_residency_s: float = 120.0
    parallel_loads: int = 2
    retry_after_s: float = 1.0
    """After a first failed load nobody may try again for so long; each further failure doubles it ..."""
    retry_after_max_s: float = 60.0
    """... up to this."""


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """How a model stands, for people to see. ``idle_s`` is 0 while it is held or not in memory."""

    name: str
    state: ModelState
    error: str
    leases: int
    idle_s: float
    preload: bool
    dismissed: bool = False
    """Somebody sent it away, and nobody has asked for it since."""


# What happens.


@dataclass(frozen=True, slots=True)
class Started:
    """The preloaded models may come."""


@dataclass(frozen=True, slots=True)
class Offered:
    """There is a further model; one that is known already stays as it is."""

    model: str


@dataclass(frozen=True, slots=True)
class LeaseWanted:
    """``session`` wants to use the model; empty for nobody's.

    ``insist``: a person asks, and neither the wait after a failure nor another's minimum residency holds it up.
    ``resting``: nothing is made with it now. It keeps the model from leaving by age and by a polite request, and does
    not hold it when another model needs the place; it lasts until it ends, whether the model is in memory or not.
    """

    ticket: Ticket
    model: str
    session: str = ""
    insist: bool = False
    resting: bool = False


@dataclass(frozen=True, slots=True)
class LeaseEnded:
    """It is not needed any more, or not wanted any more if it was not granted yet. Unknown ones are no error."""

    ticket: Ticket


@dataclass(frozen=True, slots=True)
class UnloadWanted:
    """Somebody asks for its memory. ``force``: who holds it loses it; otherwise they are waited for."""

    ticket: Ticket
    model: str
    force: bool = False


@dataclass(frozen=True, slots=True)
class Loaded:
    model: str


@dataclass(frozen=True, slots=True)
class LoadFailed:
    model: str
    why: str


@dataclass(frozen=True, slots=True)
class Unloaded:
    model: str


@dataclass(frozen=True, slots=True)
class DeadlineReached:
    """The time that ``deadline`` named has come."""


Event = Started | Offered | LeaseWanted | LeaseEnded | UnloadWanted | Loaded | LoadFailed | Unloaded | DeadlineReached


# What to do.


@dataclass(frozen=True, slots=True)
class Load:
    """Ends in ``Loaded`` or ``LoadFailed``."""

    model: str


@dataclass(frozen=True, slots=True)
class Unload:
    """Ends in ``Unloaded``."""

    model: str


@dataclass(frozen=True, slots=True)
class Grant:
    """The model is in memory, and stays until ``LeaseEnded``."""

    ticket: Ticket
    model: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """``retry_after_s`` says when it may go better here, if that is known."""

    ticket: Ticket
    model: str
    reason: Reason
    message: str
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Revoke:
    """Whoever holds this lease must end it soon."""

    ticket: Ticket
    model: str


@dataclass(frozen=True, slots=True)
class Confirm:
    """The model is out of memory, as this ticket wanted."""

    ticket: Ticket
    model: str


Action = Load | Unload | Grant | Refuse | Revoke | Confirm
