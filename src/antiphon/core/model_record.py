"""The facts that ``core.residency`` decides by about one model: how far it has come, who holds it and who waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from antiphon.core.residency_events import ModelState, ModelStatus, ResidencySettings, Ticket


class Phase(Enum):
    ABSENT = "absent"
    QUEUED = "queued"
    LOADING = "loading"
    RESIDENT = "resident"
    UNLOADING = "unloading"
    FAILED = "failed"


_PUBLIC = {
    Phase.ABSENT: ModelState.ABSENT,
    Phase.QUEUED: ModelState.LOADING,
    Phase.LOADING: ModelState.LOADING,
    Phase.RESIDENT: ModelState.RESIDENT,
    Phase.UNLOADING: ModelState.UNLOADING,
    Phase.FAILED: ModelState.FAILED,
}
IN_MEMORY = (Phase.LOADING, Phase.RESIDENT, Phase.UNLOADING)
_HAS_A_PLACE = (Phase.QUEUED, Phase.LOADING, Phase.RESIDENT)


class Leave(Enum):
    """Whether somebody asked for the model to go."""

    NO = "no"
    AFTER_LEASES = "after leases"
    NOW = "now"


@dataclass(slots=True)
class ModelRecord:
    """What is known of one model. All times are on the clock of the caller, in s."""

    name: str
    preload: bool
    phase: Phase = Phase.ABSENT
    leave: Leave = Leave.NO
    dismissed: bool = False
    """Somebody sent it away: it comes back only when it is asked for, preloaded or not."""
    leases: dict[Ticket, str] = field(default_factory=dict)
    """And the session of each."""
    resting: dict[Ticket, str] = field(default_factory=dict)
    """Leases with which nothing is made; likewise."""
    waiting: dict[Ticket, str] = field(default_factory=dict)
    unloads: list[Ticket] = field(default_factory=list)
    resident_since: float = 0.0
    used_at: float = 0.0
    failures: int = 0
    failed_at: float = 0.0
    why: str = ""

    @property
    def idle(self) -> bool:
        return self.phase is Phase.RESIDENT and not self.leases

    @property
    def ages(self) -> bool:
        """It leaves when nobody has used it for long."""
        return self.idle and not self.preload and not self.resting

    @property
    def may_leave(self) -> bool:
        """It was asked to, and nobody is left who is waited for."""
        return self.idle and self.leave is not Leave.NO and (self.leave is Leave.NOW or not self.resting)

    @property
    def keeps_a_place(self) -> bool:
        """It is or will be in memory: one that leaves and is waited for comes again."""
        return self.phase in _HAS_A_PLACE or (self.phase is Phase.UNLOADING and bool(self.waiting))

    def ripe_at(self, settings: ResidencySettings) -> float:
        """When it may make room for another."""
        return self.resident_since + settings.min_residency_s

    def leaves_at(self, settings: ResidencySettings) -> float:
        return max(self.used_at + settings.ttl_s, self.ripe_at(settings))

    def retry_after_s(self, settings: ResidencySettings) -> float:
        """How long after its last failure it is not tried again."""
        return min(settings.retry_after_s * 2.0 ** min(self.failures - 1, 30), settings.retry_after_max_s)

    def status(self, now: float) -> ModelStatus:
        return ModelStatus(
            name=self.name,
            state=_PUBLIC[self.phase],
            error=self.why if self.phase is Phase.FAILED else "",
            leases=len(self.leases) + len(self.resting),
            idle_s=now - self.used_at if self.idle and not self.resting else 0.0,
            preload=self.preload,
            dismissed=self.dismissed,
        )
