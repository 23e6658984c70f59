"""Which models stay in memory. Pure decisions: told what happened and when, it answers what to do.

A model is loaded when somebody asks for a lease of it, and stays while a lease is held. One that is idle leaves after
``ttl_s``, or earlier when another needs its place; then the one that was used least recently goes first, and never
before it was resident for ``min_residency_s``, so that models do not chase each other out. One that a conversation
only keeps near does not leave by age, and makes room after those that nobody does. Preloaded models do not leave by age
either; they make room when others need it, the last of all, and come back when there is a place.

Every lease and every unload that is asked for gets exactly one answer, unless it is withdrawn first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from antiphon.core.model_record import IN_MEMORY, Leave, ModelRecord, Phase
from antiphon.core.residency_events import (
    Action,
    Confirm,
    DeadlineReached,
    Event,
    Grant,
    LeaseEnded,
    LeaseWanted,
    Load,
    Loaded,
    LoadFailed,
    ModelStatus,
    Offered,
    Reason,
    Refuse,
    ResidencySettings,
    Revoke,
    Started,
    Ticket,
    Unload,
    Unloaded,
    UnloadWanted,
)


class Residency:
    """The decisions. ``handle`` each event, carry out the actions, and come back with ``DeadlineReached`` in time."""

    def __init__(self, settings: ResidencySettings) -> None:
        """Raises ValueError when the settings contradict themselves."""
        unknown = set(settings.preload) - set(settings.models)
        if unknown:
            raise ValueError(f"preloaded, but not among the models: {', '.join(sorted(unknown))}")
        if settings.parallel_loads < 1 or (settings.cap is not None and settings.cap < 1):
            raise ValueError("at least one model must find a place, and one load at a time")
        self._settings = settings
        self._records = {name: ModelRecord(name, name in settings.preload) for name in settings.models}
        self._queue: deque[str] = deque()
        self._models_of: dict[Ticket, str] = {}
        """Of the leases that are held or waited for."""
        self._resting: set[Ticket] = set()
        """Those of them that are to rest."""
        self._started = False
        self._actions: list[Action] = []

    def handle(self, event: Event, now: float) -> list[Action]:
        """Takes what happened at ``now``, a time that never goes back; returns what to do, in this order."""
        match event:
            case Started():
                self._started = True
            case Offered(model):
                self._records.setdefault(model, ModelRecord(model, preload=False))
            case LeaseWanted():
                self._want(event, now)
            case LeaseEnded(ticket):
                self._end(ticket, now)
            case UnloadWanted():
                self._dismiss(event)
            case Loaded(model):
                self._loaded(self._records[model], now)
            case LoadFailed(model, why):
                self._failed(self._records[model], why, now)
            case Unloaded(model):
                self._unloaded(self._records[model], now)
            case DeadlineReached():
                self._expire(now)
        self._bring_back()
        self._begin_loads()
        actions, self._actions = self._actions, []
        return actions

    def deadline(self) -> float | None:
        """When the next idle model is due to leave."""
        return min((record.leaves_at(self._settings) for record in self._aging()), default=None)

    def status(self, now: float) -> list[ModelStatus]:
        """All models, in the order of the settings."""
        return [record.status(now) for record in self._records.values()]

    # Leases.

    def _want(self, event: LeaseWanted, now: float) -> None:
        record = self._records.get(event.model)
        if event.resting:
            self._resting.add(event.ticket)
        if record is None:
            self._refuse(event.ticket, event.model, Reason.UNKNOWN, f"there is no model {event.model!r} here")
            return
        if record.leave is not Leave.NO and not self._may_stay(record, event.session):
            self._refuse(event.ticket, record.name, Reason.LEAVING, f"{record.name} is being unloaded")
            return
        if record.phase is Phase.RESIDENT:
            self._grant(record, event.ticket, event.session, now)
        elif record.keeps_a_place or self._find_place(record, event, now):
            record.dismissed = False
            record.waiting[event.ticket] = event.session
            self._models_of[event.ticket] = record.name

    @staticmethod
    def _may_stay(record: ModelRecord, session: str) -> bool:
        """A conversation that holds a model which leaves after its leases may still speak with it."""
        held_by = {*record.leases.values(), *record.resting.values()}
        return record.leave is Leave.AFTER_LEASES and bool(session) and session in held_by

    def _find_place(self, record: ModelRecord, event: LeaseWanted, now: float) -> bool:
        """Gives the model a place, if need be another's; else refuses."""
        if record.phase is Phase.FAILED and not event.insist:
            wait_s = record.failed_at + record.retry_after_s(self._settings) - now
            if wait_s > 0:
                self._refuse(event.ticket, record.name, Reason.FAILED, record.why, wait_s)
                return False
        if not self._make_room(event, now):
            return False
        if record.phase is not Phase.UNLOADING:
            self._enqueue(record)
        return True

    def _make_room(self, event: LeaseWanted, now: float) -> bool:
        if self._has_room():
            return True
        idle = [record for record in self._records.values() if record.idle]
        ripe = [record for record in idle if event.insist or now >= record.ripe_at(self._settings)]
        if ripe:
            self._unload(min(ripe, key=lambda record: (record.preload, bool(record.resting), record.used_at)))
            return True
        cap = self._settings.cap
        if idle:
            wait_s = min(record.ripe_at(self._settings) for record in idle) - now
            message = f"{cap} models are in memory, as many as may be, and were loaded just now"
            self._refuse(event.ticket, event.model, Reason.NO_ROOM, message, wait_s)
        else:
            message = f"{cap} models are in memory, as many as may be, and all are in use"
            self._refuse(event.ticket, event.model, Reason.NO_ROOM, message)
        return False

    def _end(self, ticket: Ticket, now: float) -> None:
        model = self._models_of.pop(ticket, None)
        self._resting.discard(ticket)
        if model is None:
            return
        record = self._records[model]
        if record.leases.pop(ticket, None) is not None or record.resting.pop(ticket, None) is not None:
            record.used_at = now
            if record.may_leave:
                self._unload(record)
            return
        del record.waiting[ticket]
        if record.phase is Phase.QUEUED and not record.waiting and not record.preload:
            self._queue.remove(record.name)
            record.phase = Phase.ABSENT

    def _grant(self, record: ModelRecord, ticket: Ticket, session: str, now: float) -> None:
        (record.resting if ticket in self._resting else record.leases)[ticket] = session
        record.used_at = now
        self._models_of[ticket] = record.name
        self._actions.append(Grant(ticket, record.name))

    def _refuse(
        self, ticket: Ticket, model: str, reason: Reason, message: str, retry_after_s: float | None = None
    ) -> None:
        self._models_of.pop(ticket, None)
        self._resting.discard(ticket)
        self._actions.append(Refuse(ticket, model, reason, message, retry_after_s))

    def _refuse_waiting(self, record: ModelRecord, reason: Reason, message: str, retry_after_s: float | None) -> None:
        waiting, record.waiting = record.waiting, {}
        for ticket in waiting:
            self._refuse(ticket, record.name, reason, message, retry_after_s)

    # Being sent away.

    def _dismiss(self, event: UnloadWanted) -> None:
        record = self._records.get(event.model)
        if record is None:
            self._refuse(event.ticket, event.model, Reason.UNKNOWN, f"there is no model {event.model!r} here")
            return
        record.dismissed = True
        if record.phase is Phase.QUEUED:
            self._queue.remove(record.name)
            record.phase = Phase.ABSENT
            self._refuse_waiting(record, Reason.LEAVING, f"{record.name} was unloaded", None)
        if record.phase in (Phase.ABSENT, Phase.FAILED):
            record.phase, record.failures = Phase.ABSENT, 0
            self._actions.append(Confirm(event.ticket, record.name))
            return
        record.unloads.append(event.ticket)
        if record.leave is not Leave.NOW:
            record.leave = Leave.NOW if event.force else Leave.AFTER_LEASES
        if event.force or record.phase is Phase.UNLOADING:
            self._refuse_waiting(record, Reason.LEAVING, f"{record.name} was unloaded", None)
        if event.force:
            self._actions.extend(Revoke(ticket, record.name) for ticket in (*record.leases, *record.resting))
        if record.may_leave:
            self._unload(record)

    def _unload(self, record: ModelRecord) -> None:
        record.phase = Phase.UNLOADING
        self._actions.append(Unload(record.name))

    def _expire(self, now: float) -> None:
        for record in list(self._aging()):
            if record.leaves_at(self._settings) <= now:
                self._unload(record)

    def _aging(self) -> Iterator[ModelRecord]:
        return (record for record in self._records.values() if record.ages)

    # What the shell reports.

    def _loaded(self, record: ModelRecord, now: float) -> None:
        record.phase = Phase.RESIDENT
        record.resident_since = record.used_at = now
        record.failures, record.why = 0, ""
        waiting, record.waiting = record.waiting, {}
        for ticket, session in waiting.items():
            self._grant(record, ticket, session, now)
        if record.may_leave:
            self._unload(record)

    def _failed(self, record: ModelRecord, why: str, now: float) -> None:
        record.phase = Phase.FAILED
        record.failures += 1
        record.failed_at, record.why = now, why
        self._refuse_waiting(record, Reason.FAILED, why, record.retry_after_s(self._settings))
        self._gone(record)

    def _unloaded(self, record: ModelRecord, now: float) -> None:
        record.phase = Phase.ABSENT
        self._gone(record)
        if record.waiting:
            self._enqueue(record)

    def _gone(self, record: ModelRecord) -> None:
        unloads, record.unloads = record.unloads, []
        record.leave = Leave.NO
        self._actions.extend(Confirm(ticket, record.name) for ticket in unloads)

    # Places.

    def _has_room(self) -> bool:
        cap = self._settings.cap
        return cap is None or sum(record.keeps_a_place for record in self._records.values()) < cap

    def _count(self, *phases: Phase) -> int:
        return sum(record.phase in phases for record in self._records.values())

    def _enqueue(self, record: ModelRecord) -> None:
        record.phase = Phase.QUEUED
        self._queue.append(record.name)

    def _bring_back(self) -> None:
        """Preloaded models come, and come back, where there is a place."""
        for name in self._settings.preload if self._started else ():
            record = self._records[name]
            if record.phase is Phase.ABSENT and not record.dismissed and self._has_room():
                self._enqueue(record)

    def _begin_loads(self) -> None:
        """A place that was given may have to be left first, so what is leaving counts here."""
        cap, at_once = self._settings.cap, self._settings.parallel_loads
        while self._queue and self._count(Phase.LOADING) < at_once:
            if cap is not None and self._count(*IN_MEMORY) >= cap:
                return
            record = self._records[self._queue.popleft()]
            record.phase = Phase.LOADING
            self._actions.append(Load(record.name))
