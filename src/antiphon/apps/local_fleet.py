"""The engines of a server whose models are in other processes: its own workers, and those that run elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from antiphon.apps.composition import Shared
from antiphon.apps.config import Config
from antiphon.apps.fleet_models import FleetModels
from antiphon.apps.own_workers import OwnWorkers, addresses_of, command_of, name_at, own_workers_of
from antiphon.apps.remote_workers import STAGES, registries_of, tls_of
from antiphon.apps.runtime_folder import runtime_folder
from antiphon.apps.supervisor import Child, ChildState, Supervisor
from antiphon.apps.tasks import until_first
from antiphon.core.fleet import Health
from antiphon.core.settings import ReplySettings
from antiphon.engines import catalog
from antiphon.engines.base import Engine, Vad
from antiphon.engines.brain_transcripts import NAME as BY_BRAIN
from antiphon.engines.brain_transcripts import BrainRecognizer
from antiphon.engines.suite import Suite
from antiphon.errors import EngineError
from antiphon.transport.model_admin import ModelAdmin
from antiphon.v1 import models_pb2
from antiphon.voices.brain import FleetBrain
from antiphon.voices.channel import Connection
from antiphon.voices.fleet import PATIENCE_S, Fleet
from antiphon.voices.recognizer import FleetRecognizer
from antiphon.voices.registry import Registry, StaticRegistry
from antiphon.voices.succession import Move
from antiphon.voices.synthesizer import FleetSynthesizer, SessionVoice
from antiphon.voices.watcher import Watcher
from antiphon.voices.worker_tls import WorkerTls

BACK_S = 10.0
"""How long a request waits for a worker of ours that ended: what one takes to be back on a busy machine."""

_STATES = {
    models_pb2.MODEL_STATE_ABSENT: "absent",
    models_pb2.MODEL_STATE_LOADING: "loading",
    models_pb2.MODEL_STATE_RESIDENT: "resident",
    models_pb2.MODEL_STATE_UNLOADING: "unloading",
    models_pb2.MODEL_STATE_FAILED: "failed",
}


class FleetWatcher(Watcher, Protocol):
    """Hears what happens to workers, for the metrics."""

    def restarted(self, worker: str) -> None: ...


class _Like:
    """Goes by the name of the engine that its workers host."""

    like: Engine

    @property
    def name(self) -> str:
        return self.like.name

    @property
    def description(self) -> str:
        return self.like.description


class _LocalRecognizer(_Like, FleetRecognizer):
    pass


class _LocalBrain(_Like, FleetBrain):
    @property
    def description(self) -> str:
        several = f"; to choose from: {', '.join(self.models)}" if len(self.models) > 1 else ""
        return self.like.description + several


class _LocalSynthesizer(_Like, FleetSynthesizer):
    @property
    def name(self) -> str:
        """That of the voice that took its place, where it was unloaded."""
        return self.successor(self.like.name) or self.like.name


class FleetEngines:
    """What sessions are served by, and how the workers behind it stand."""

    def __init__(
        self,
        vad: Vad,
        stages: tuple[FleetRecognizer | BrainRecognizer, FleetBrain, FleetSynthesizer],
        fleets: Mapping[str, Fleet],
        supervisor: Supervisor,
        local: Mapping[str, OwnWorkers],
        folder: Path,
    ) -> None:
        """``folder`` has the sockets of the workers that are ours, or those of the server whose workers we share."""
        self.suite = Suite(vad, *stages)
        self._stages = stages
        self._fleets = fleets
        self._supervisor = supervisor
        self._local = local
        self._folder = folder
        self._models = FleetModels(fleets, vad, stages[2].succession, stages[1].model_called)

    @property
    def models(self) -> ModelAdmin:
        return self._models

    def tell_of_models_by(self, tell: Callable[[], Awaitable[None]]) -> None:
        self._models.tell = tell

    async def ask(self) -> None:
        await asyncio.gather(*(fleet.ask() for fleet in self._fleets.values()))

    def move_voices_by(self, move: Move) -> None:
        self._stages[2].succession.move = move

    @property
    def appointments(self) -> Mapping[str, str]:
        return self._stages[2].succession.appointments

    def appoint(self, appointments: Mapping[str, str]) -> None:
        for old, new in appointments.items():
            self._stages[2].succession.appoint(old, new)

    def of_session(self, session_id: str) -> Suite:
        """The engines for one conversation, which stays at one worker as long as it can."""
        recognizer, brain, synthesizer = self._stages
        brain = brain.of_session(session_id)
        return replace(
            self.suite,
            recognizer=recognizer.of_session(session_id)
            if isinstance(recognizer, FleetRecognizer)
            else BrainRecognizer(brain),
            brain=brain,
            synthesizer=synthesizer.of_session(session_id),
        )

    @contextmanager
    def attending(self, suite: Suite, settings: ReplySettings) -> Iterator[None]:
        """Within the block the conversation that has this suite is known to its workers."""
        with ExitStack() as stack:
            if isinstance(suite.recognizer, FleetRecognizer):
                stack.enter_context(suite.recognizer.attending())
            if isinstance(suite.brain, FleetBrain):
                stack.enter_context(suite.brain.attending(settings.model))
            if isinstance(suite.synthesizer, SessionVoice):
                stack.enter_context(suite.synthesizer.attending(settings.voice))
            yield

    async def load(self, engine: Engine) -> None:
        """Loads the VAD, or waits until the workers of a stage are ready. Raises ConfigError and EngineError."""
        stage = self._stage_of(engine)
        local = self._local.get(stage)
        if local is None:
            await engine.load()
            return
        ours = {child.name for child in self._supervisor.children}.intersection(local.workers(stage))
        await asyncio.gather(*(self._supervisor.ready(name) for name in ours))
        fleet = self._fleets[stage]
        needed = frozenset(local.models[: local.needed])
        await until_first(self._load(engine, fleet, local.count), _fail_with(fleet, needed))
        _check(fleet, needed)

    async def _load(self, engine: Engine, fleet: Fleet, count: int) -> None:
        await engine.load()
        while self.serving(fleet.stage) < count:
            await fleet.changed()

    def _stage_of(self, engine: Engine) -> str:
        by_stage = {"asr": self.suite.recognizer, "llm": self.suite.brain, "tts": self.suite.synthesizer}
        return next((stage for stage, known in by_stage.items() if known is engine), "vad")

    @property
    def shared(self) -> Shared:
        brain = self._local.get("llm")
        return Shared(self._folder, ",".join(brain.models) if brain is not None else "auto")

    def missing(self) -> list[str]:
        """The stages that no worker serves."""
        return [
            stage
            for stage, fleet in self._fleets.items()
            if not any(worker.health is Health.SERVING for worker in fleet.workers)
        ]

    def serving(self, stage: str) -> int:
        fleet = self._fleets.get(stage)
        return 0 if fleet is None else sum(worker.health is Health.SERVING for worker in fleet.workers)

    def workers(self) -> list[dict[str, Any]]:
        """Each worker, in plain types."""
        children = {child.name: child for child in self._supervisor.children}
        found = []
        for fleet in self._fleets.values():
            for connection in fleet.connections:
                if connection.of_another_stage:
                    continue
                name = fleet.name_of(connection.address)
                found.append(_worker(name, connection, children.get(name)))
        return found

    @property
    def changes(self) -> tuple[Callable[[], Awaitable[None]], ...]:
        """Each waits until something of the workers is different."""
        return (self._supervisor.changed, *(fleet.changed for fleet in self._fleets.values()))


def _worker(name: str, connection: Connection, child: Child | None) -> dict[str, Any]:
    about: dict[str, Any] = {"name": name, "stage": connection.stage, "state": connection.worker.health.value}
    about |= {"active": connection.in_flight, "sessions": connection.worker.sessions}
    if connection.trouble:
        about["error"] = connection.trouble
    if child is not None:
        if child.state is not ChildState.RUNNING:
            about["state"] = child.state.value
        about |= {"pid": child.pid, "restarts": child.restarts}
        if child.spare_pid is not None:
            about["spare_pid"] = child.spare_pid
        if child.last_exit:
            about["last_exit"] = child.last_exit
    return about | {"models": {model.name: _STATES.get(model.state, "unknown") for model in connection.models}}


def _check(fleet: Fleet, needed: frozenset[str]) -> None:
    """Raises EngineError for models that could not be loaded, if they are needed."""
    errors = [
        model.error
        for connection in fleet.connections
        for model in connection.models
        if model.state == models_pb2.MODEL_STATE_FAILED and model.name in needed
    ]
    if errors:
        raise EngineError("\n".join(dict.fromkeys(errors)))


async def _fail_with(fleet: Fleet, needed: frozenset[str]) -> None:
    """Raises EngineError when a model that is needed cannot be loaded; never returns."""
    while True:
        _check(fleet, needed)
        await fleet.changed()


@asynccontextmanager
async def fleet_engines(
    config: Config,
    own_port: int | None = None,
    watcher: FleetWatcher | None = None,
    shared: Path | None = None,
) -> AsyncIterator[FleetEngines]:
    """Starts the workers that are ours and follows those of others. The engines are not loaded yet.

    With ``shared`` none is started: those that another server with this configuration has in that folder are ours too.
    Raises ConfigError.
    """
    elsewhere = registries_of(config)
    stages = [stage for stage in STAGES if stage != "asr" or config.asr != BY_BRAIN]
    local = {stage: await own_workers_of(config, stage, own_port) for stage in stages if stage not in elsewhere}
    tls = tls_of(config)
    if tls is not None:
        tls.credentials()  # files of no use are told before anything is started
    vad = catalog.make_vad(config.vad)
    async with AsyncExitStack() as stack:
        folder = shared if shared is not None else stack.enter_context(runtime_folder())
        addresses = {stage: addresses_of(folder, own.workers(stage)) for stage, own in local.items()}
        commands = [
            command_of(config, stage, name, own, address)
            for stage, own in local.items()
            for name, address in zip(own.workers(stage), addresses[stage], strict=True)
        ]
        on_restart = watcher.restarted if watcher is not None else None
        supervisor = await stack.enter_async_context(Supervisor(commands if shared is None else (), on_restart))
        registries = {
            stage: elsewhere[stage] if stage in elsewhere else StaticRegistry(addresses[stage]) for stage in stages
        }
        fleets = {
            stage: _fleet(stage, registry, watcher, tls, own=stage in local) for stage, registry in registries.items()
        }
        engines = FleetEngines(vad, _engines(fleets, local), fleets, supervisor, local, folder)
        stack.push_async_callback(engines.suite.close)
        yield engines


def _engines(
    fleets: Mapping[str, Fleet], local: Mapping[str, OwnWorkers]
) -> tuple[FleetRecognizer | BrainRecognizer, FleetBrain, FleetSynthesizer]:
    brain = _LocalBrain(fleets["llm"], names=local["llm"].names) if "llm" in local else FleetBrain(fleets["llm"])
    synthesizer = _LocalSynthesizer(fleets["tts"]) if "tts" in local else FleetSynthesizer(fleets["tts"])
    recognizer: FleetRecognizer | BrainRecognizer
    if "asr" in local:
        recognizer = _LocalRecognizer(fleets["asr"])
    else:
        recognizer = FleetRecognizer(fleets["asr"]) if "asr" in fleets else BrainRecognizer(brain)
    for stage, engine in zip(STAGES, (recognizer, brain, synthesizer), strict=True):
        if isinstance(engine, _Like):
            engine.like = local[stage].like
    return recognizer, brain, synthesizer


def _fleet(stage: str, registry: Registry, watcher: Watcher | None, tls: WorkerTls | None, *, own: bool) -> Fleet:
    if not own:
        return Fleet(stage, registry, watcher=watcher, tls=tls, patience_s=PATIENCE_S)
    return Fleet(stage, registry, watcher=watcher, patience_s=BACK_S, name_of=name_at)
