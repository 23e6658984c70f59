"""Which worker serves a request. Pure: told the time, and given the workers as they were last seen."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum

HEARTBEAT_LIMIT_S = 60.0
"""A worker that was not heard of for so long is left out."""

FAILURE_HOLD_S = 2.0
"""A worker that failed at a request is left out for so long, or until it is seen to serve again."""

BUSY_RETRY_S = 1.0
"""When a full fleet is worth another try: about the length of a clause, after which places become free."""

ABSENT_RETRY_S = 5.0
"""When a fleet without a fitting worker is worth another try: about what a worker needs to start."""

QUEUE_WEIGHT, RTF_WEIGHT = 0.7, 0.3
"""What a worker's load and its slowness count in the weighted policy. Load goes from 0 to 1 as the worker fills up; a
worker that takes as long as the audio lasts has an RTF of 1."""


class Policy(Enum):
    """How one of several equal workers is chosen."""

    LEAST_LOADED = "least_loaded"
    ROUND_ROBIN = "round_robin"
    LEAST_LATENCY = "least_latency"
    WEIGHTED = "weighted"


class Health(Enum):
    """How a worker stands, as seen from here."""

    UNKNOWN = "unknown"
    """It has not answered yet."""
    SERVING = "serving"
    DRAINING = "draining"
    """It ends what it has and takes no more."""
    DOWN = "down"


def base_language(tag: str) -> str:
    """The language of a BCP 47 tag, by which a worker and a request meet: "en" of "en-GB"."""
    return tag.replace("_", "-").partition("-")[0].lower()


@dataclass(frozen=True, slots=True)
class Worker:
    """What is known of one worker. Times are in the caller's seconds."""

    address: str
    stage: str
    """``tts``, ``asr`` or ``llm``."""
    instance: str = ""
    """The process: another one at each start."""
    health: Health = Health.SERVING
    heartbeat_at: float = 0.0
    """When it was last heard of."""
    failed_at: float = -math.inf
    languages: frozenset[str] = frozenset()
    """By ``base_language``; none where it takes any."""
    capabilities: frozenset[str] = frozenset()
    """Of ``streaming``, ``zero_shot``, ``lora``, ``cpu``, ``emotion``, ``hears``."""
    models: frozenset[str] = frozenset()
    resident: frozenset[str] = frozenset()
    hearing: frozenset[str] = frozenset()
    """Those of its models that take what the user said as audio."""
    max_concurrent: int = 0
    """0 for no limit."""
    active: int = 0
    queued: int = 0
    sessions: int = 0
    """Conversations that made themselves known there."""
    rtf: float = 0.0
    """Seconds of work for a second of audio; 0 while nothing was measured."""
    latency_ms: float = 0.0
    """To the first answer, as measured from here; 0 while nothing was."""

    @property
    def load(self) -> float:
        """From 0 to 1, and over it where requests wait."""
        return (self.active + self.queued) / (self.max_concurrent or 64)

    @property
    def has_room(self) -> bool:
        return not self.max_concurrent or self.active + self.queued < self.max_concurrent


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the fleet."""

    stage: str
    models: tuple[str, ...] = ()
    """The wanted one, and what may stand in for it, best first. None: whatever a worker has by default."""
    language: str = ""
    needs: frozenset[str] = frozenset()
    """Capabilities."""
    affinity: str | None = None
    """The address that served the same session before."""
    avoid: frozenset[str] = frozenset()
    """Instances that failed at this very request."""
    if_resident: frozenset[str] = frozenset()
    """Models that somebody unloaded: they may serve where they still are in memory, and are not to be loaded."""


@dataclass(frozen=True, slots=True)
class Load:
    """A model that a worker should load in the background."""

    address: str
    model: str


@dataclass(frozen=True, slots=True)
class Choice:
    worker: Worker
    model: str
    """One of the request's; empty for the worker's default."""
    load: Load | None = None
    """Asked for when the wanted model is nowhere ready, so that it is the next time."""


_Measure = Callable[[Worker], tuple[float, ...]]


class Shortage(Enum):
    """Why nobody takes a request."""

    BUSY = "every worker is busy"
    FAILED = "every worker failed a moment ago"
    ABSENT = "no worker that could take it is up"
    UNKNOWN_MODEL = "no worker has the model"


@dataclass(frozen=True, slots=True)
class Full:
    """Nobody takes the request now. It is not queued: who asks may come back after ``retry_after_s``."""

    shortage: Shortage
    retry_after_s: float


class Router:
    """Chooses. It keeps only whose turn it is; with one seed it makes the same choices for the same questions."""

    def __init__(self, policy: Policy = Policy.LEAST_LOADED, seed: int | None = None) -> None:
        self._policy = policy
        self._random = random.Random(seed)
        self._turn = 0
        self._turns: dict[str, int] = {}
        """Of each address, when it was chosen last."""

    def choose(self, request: Request, workers: Collection[Worker], now: float) -> Choice | Full:
        """A worker with room. Where the wanted model is resident goes before everything, then where another of the
        request's models is resident, then where one can be loaded; among equals the session's own worker, then the
        policy.
        """
        able = self._able(request, workers, now)
        free = [worker for worker in able if worker.has_room]
        if not free:
            return _full(request, able, workers, now)
        if not request.models:
            return Choice(self._pick(request, [w for w in free if w.resident] or free), "")
        for place, model in enumerate(request.models):
            warm = [worker for worker in free if model in worker.resident]
            if warm:
                load = self._load(request, free) if place else None
                return Choice(self._pick(request, warm), model, load)
        for model in request.models:
            if model in request.if_resident:
                continue
            cold = [worker for worker in free if model in worker.models]
            if cold:
                worker = self._pick(request, cold)
                return Choice(worker, model, Load(worker.address, model))
        return _full(request, able, workers, now)

    def _able(self, request: Request, workers: Collection[Worker], now: float) -> list[Worker]:
        """Those that could serve the request, if they had room."""
        stage, needs, avoid = request.stage, request.needs, request.avoid
        models = frozenset(request.models)
        language = base_language(request.language)
        heard_since, failed_before = now - HEARTBEAT_LIMIT_S, now - FAILURE_HOLD_S
        return [
            worker
            for worker in workers
            if worker.stage == stage
            and worker.health is Health.SERVING
            and worker.heartbeat_at > heard_since
            and worker.failed_at <= failed_before
            and (not models or not models.isdisjoint(worker.models))
            and (not language or not worker.languages or language in worker.languages)
            and needs <= worker.capabilities
            and worker.instance not in avoid
        ]

    def _load(self, request: Request, free: Sequence[Worker]) -> Load | None:
        """Who should load the wanted model, while another one stands in for it."""
        wanted = request.models[0]
        if wanted in request.if_resident:
            return None
        able = [worker for worker in free if wanted in worker.models]
        return Load(self._least(able, _load_of).address, wanted) if able else None

    def _pick(self, request: Request, workers: Sequence[Worker]) -> Worker:
        own = [worker for worker in workers if worker.address == request.affinity]
        chosen = own[0] if own else self._by_policy(workers)
        self._turn += 1
        self._turns[chosen.address] = self._turn
        return chosen

    def _by_policy(self, workers: Sequence[Worker]) -> Worker:
        match self._policy:
            case Policy.LEAST_LOADED:
                return self._least(workers, _load_of)
            case Policy.ROUND_ROBIN:
                return min(workers, key=lambda worker: (self._turns.get(worker.address, 0), worker.address))
            case Policy.LEAST_LATENCY:
                return self._least(workers, _latency_of)
            case Policy.WEIGHTED:
                return self._least(workers, _weight_of)

    def _least(self, workers: Sequence[Worker], measure: _Measure) -> Worker:
        """The one with the least of it; among equals a random one, so that several servers do not all pick the same."""
        measured = [measure(worker) for worker in workers]
        least = min(measured)
        return self._random.choice([w for w, value in zip(workers, measured, strict=True) if value == least])

    def forget(self, address: str) -> None:
        """The worker is gone for good."""
        self._turns.pop(address, None)


def _full(request: Request, able: Sequence[Worker], workers: Collection[Worker], now: float) -> Full:
    """Why nobody takes it."""
    if able:
        return Full(Shortage.BUSY, BUSY_RETRY_S)
    serving = [w for w in workers if w.stage == request.stage and w.health is not Health.DRAINING]
    offering = [w for w in serving if not request.models or not w.models.isdisjoint(request.models)]
    if serving and not offering and all(worker.health is Health.SERVING for worker in serving):
        return Full(Shortage.UNKNOWN_MODEL, ABSENT_RETRY_S)
    held_s = [w.failed_at + FAILURE_HOLD_S - now for w in offering if w.health is Health.SERVING]
    held_s = [wait_s for wait_s in held_s if wait_s > 0]
    return Full(Shortage.FAILED, min(held_s)) if held_s else Full(Shortage.ABSENT, ABSENT_RETRY_S)


def _load_of(worker: Worker) -> tuple[float, ...]:
    """Among workers that do as little, the one at home to the fewest conversations."""
    return worker.load, worker.sessions


def _latency_of(worker: Worker) -> tuple[float, ...]:
    return (worker.latency_ms,)


def _weight_of(worker: Worker) -> tuple[float, ...]:
    return QUEUE_WEIGHT * worker.load + RTF_WEIGHT * worker.rtf, worker.sessions
