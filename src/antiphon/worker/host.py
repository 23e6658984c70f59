"""What the three services share: the models, the conversations, the places, and the calls about them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import grpc
import structlog

from antiphon.core.residency_events import ModelState, Reason
from antiphon.engines.base import Engine, VoiceInfo
from antiphon.engines.capabilities import Capabilities, capabilities_of
from antiphon.engines.optional import Remembering
from antiphon.v1 import models_pb2 as pb
from antiphon.worker.manager import Lease, ModelInfo, ModelManager, ModelRefusedError
from antiphon.worker.meter import WorkMeter
from antiphon.worker.refusals import BadRequestError, Failure, StoppedError, expected, failure_of
from antiphon.worker.sessions import Running, Sessions

E = TypeVar("E", bound=Engine)

RETRY_AFTER_KEY = "retry-after-s"
"""In the trailing metadata of a refusal: whole seconds after which it may go better here."""

LAST_WRITE_S = 1.0
"""How long a message may take on its way out when the call ends with an error."""

_log = structlog.get_logger(__name__)

_STATES = {
    ModelState.ABSENT: pb.MODEL_STATE_ABSENT,
    ModelState.LOADING: pb.MODEL_STATE_LOADING,
    ModelState.RESIDENT: pb.MODEL_STATE_RESIDENT,
    ModelState.UNLOADING: pb.MODEL_STATE_UNLOADING,
    ModelState.FAILED: pb.MODEL_STATE_FAILED,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """``capabilities`` are those of each model, as far as they are known before it is loaded."""

    stage: str
    worker: str
    default_model: str
    max_concurrent: int
    capabilities: dict[str, Capabilities] = field(default_factory=dict)


class Disk(Protocol):
    """What is on disk for a worker's engines, and may change."""

    async def look(self) -> dict[str, Capabilities]:
        """The models that there are now, and what is known of them before they are loaded."""
        ...

    async def unread(self, resident: Collection[str], model: str) -> tuple[str, ...]:
        """As ``Stage.unread``."""
        ...


class Host(Generic[E]):
    """One worker's state. Belongs to one event loop."""

    def __init__(
        self,
        identity: Identity,
        models: ModelManager[E],
        disk: Disk | None = None,
    ) -> None:
        self.identity = identity
        self.models = models
        self._disk = disk
        self.sessions = Sessions(on_ended=self._forget)
        self.meter = WorkMeter()

    async def lease(self, model: str, session: str, **options: Any) -> Lease[E]:
        """The model of that name, or the default one. Raises ModelRefusedError."""
        return await self.models.lease(model or self.identity.default_model, session, **options)

    def _forget(self, session: str) -> None:
        for info in self.models.info():
            if isinstance(info.engine, Remembering):
                info.engine.forget(session)

    async def reload(self, model: str = "") -> int:
        """As ``ModelManager.reload``; models that have come to be there are taken first."""
        unread: tuple[str, ...] = ()
        if self._disk is not None:
            for name, known in (await self._disk.look()).items():
                self.identity.capabilities[name] = known
                self.models.offer(name)
            resident = [info.status.name for info in self.models.info() if info.engine is not None]
            unread = await self._disk.unread(resident, model)
        if model and model not in self.identity.capabilities and not unread:
            raise ModelRefusedError(f"there is no model {model!r} here", Reason.UNKNOWN)
        return await self.models.reload(model, also_wrong=unread)

    @property
    def full(self) -> bool:
        return self.sessions.running >= self.identity.max_concurrent

    @contextmanager
    def place(self, request: Running) -> Iterator[None]:
        """Within the block ``request`` has one of the places. Ask ``full`` first."""
        with self.sessions.run(request):
            yield

    def capabilities(self) -> pb.GetCapabilitiesResponse:
        known = dict(self.identity.capabilities)
        infos = self.models.info()
        known |= {info.status.name: capabilities_of(info.engine) for info in infos if info.engine is not None}
        languages = {language: None for each in known.values() for language in each.languages}
        return pb.GetCapabilitiesResponse(
            stage=self.identity.stage,
            worker=self.identity.worker,
            streaming=any(each.streaming for each in known.values()),
            zero_shot=any(each.zero_shot for each in known.values()),
            lora=any(each.lora for each in known.values()),
            cpu=all(each.cpu for each in known.values()),
            languages=list(languages),
            emotion=any(each.emotion for each in known.values()),
            max_concurrent=self.identity.max_concurrent,
            resident=[info.status.name for info in infos if info.status.state is ModelState.RESIDENT],
            models=[info.status.name for info in infos],
            rtf=self.meter.rtf(asyncio.get_running_loop().time()),
            active=self.sessions.running,
            queued=self.models.waiting,
            default_model=self.identity.default_model,
            sessions=len(self.sessions),
            hears=any(each.hears for each in known.values()),
            hearing=[name for name, each in known.items() if each.hears],
        )


class Streaming(Running, Protocol):
    """What a streaming call does."""

    async def run(self, requests: AsyncIterator[Any], send: Callable[[Any], Awaitable[None]]) -> None:
        """Serves the call to its end. Raises BadRequestError and StoppedError."""
        ...


class HostedService(Generic[E]):
    """The unary calls of each service, and what its streaming call begins and ends with."""

    def __init__(self, host: Host[E]) -> None:
        self._host = host

    async def StartSession(self, request: pb.StartSessionRequest, context: Any) -> pb.StartSessionResponse:  # noqa: N802
        if not request.session:
            await abort(context, Failure(grpc.StatusCode.INVALID_ARGUMENT, "a session needs a name", False))
        try:
            lease = await self._host.lease(request.model, request.session, resting=True)
        except ModelRefusedError as error:
            await refuse(context, error)
        self._host.sessions.keep(request.session, lease)
        return pb.StartSessionResponse(model=lease.model)

    async def EndSession(self, request: pb.EndSessionRequest, context: Any) -> pb.EndSessionResponse:  # noqa: N802
        if request.session:  # requests that named no conversation belong to none
            self._host.sessions.end(request.session)
        return pb.EndSessionResponse()

    async def Control(self, request: pb.ControlRequest, context: Any) -> pb.ControlResponse:  # noqa: N802
        sessions = self._host.sessions
        if request.verb == pb.ControlRequest.RELOAD:
            try:
                return pb.ControlResponse(segments=await self._host.reload(request.model))
            except ModelRefusedError as error:
                await refuse(context, error)
        act = {
            pb.ControlRequest.PAUSE: sessions.pause,
            pb.ControlRequest.RESUME: sessions.resume,
            pb.ControlRequest.STOP: sessions.stop,
        }.get(request.verb)
        if act is None or not request.session:
            missing = "no such verb" if act is None else "only RELOAD is for all sessions"
            await abort(context, Failure(grpc.StatusCode.INVALID_ARGUMENT, missing, False))
        return pb.ControlResponse(segments=act(request.session))

    async def ListModels(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:  # noqa: N802
        return pb.ListModelsResponse(models=[_model(info, self._known_voices(info)) for info in self._infos()])

    async def LoadModel(self, request: pb.LoadModelRequest, context: Any) -> pb.LoadModelResponse:  # noqa: N802
        try:
            await self._host.models.load(request.model)
        except ModelRefusedError as error:
            await refuse(context, error)
        return pb.LoadModelResponse(model=self._model(request.model))

    async def UnloadModel(self, request: pb.UnloadModelRequest, context: Any) -> pb.UnloadModelResponse:  # noqa: N802
        try:
            await self._host.models.unload(request.model, force=request.force)
        except ModelRefusedError as error:
            await refuse(context, error)
        return pb.UnloadModelResponse(model=self._model(request.model))

    async def GetCapabilities(  # noqa: N802
        self, request: pb.GetCapabilitiesRequest, context: Any
    ) -> pb.GetCapabilitiesResponse:
        return self._host.capabilities()

    async def take_place(self, context: Any) -> None:
        """Refuses the call at once when all places are taken: nobody waits here."""
        if self._host.full:
            limit = self._host.identity.max_concurrent
            message = f"{limit} requests are under way, as many as this worker takes"
            context.set_trailing_metadata(((RETRY_AFTER_KEY, "1"),))
            await abort(context, Failure(grpc.StatusCode.RESOURCE_EXHAUSTED, message, True))

    async def serve(self, work: Streaming, requests: AsyncIterator[Any], context: Any) -> None:
        """One streaming call from its beginning to its end, in one of the places."""
        await self.take_place(context)
        with self._host.place(work):
            try:
                await work.run(requests, context.write)
            except (BadRequestError, StoppedError) as error:
                await abort(context, failure_of(error))

    def _infos(self) -> list[ModelInfo[E]]:
        return self._host.models.info()

    def _model(self, name: str) -> pb.Model:
        info = next(info for info in self._infos() if info.status.name == name)
        return _model(info, self._known_voices(info))

    def _known_voices(self, info: ModelInfo[E]) -> list[pb.VoiceInfo]:
        engine = info.engine
        known = self._host.identity.capabilities.get(info.status.name, Capabilities())
        voices = getattr(engine, "voices", ()) if engine is not None else known.voices
        return [_voice(voice) for voice in voices]


def _voice(voice: VoiceInfo) -> pb.VoiceInfo:
    return pb.VoiceInfo(
        name=voice.name, language=voice.language, repeatable=voice.repeatable, takes_words=voice.takes_words
    )


def _model(info: ModelInfo[Any], voices: list[pb.VoiceInfo]) -> pb.Model:
    status = info.status
    return pb.Model(
        name=status.name,
        state=_STATES[status.state],
        error=status.error,
        leases=status.leases,
        idle_s=status.idle_s,
        load_s=info.load_s,
        preload=status.preload,
        voices=voices,
        dismissed=status.dismissed,
    )


async def abort(context: Any, failure: Failure) -> NoReturn:
    await context.abort(failure.code, failure.message)
    raise AssertionError("abort does not return")


async def refuse(context: Any, error: ModelRefusedError) -> NoReturn:
    if error.retry_after_s is not None:
        context.set_trailing_metadata(((RETRY_AFTER_KEY, str(max(1, math.ceil(error.retry_after_s)))),))
    await abort(context, failure_of(error))


def told(error: Exception, **about: Any) -> Failure:
    """How to tell a client of ``error``; what nobody raised on purpose is logged with its traceback."""
    if expected(error):
        _log.warning("request_failed", error=type(error).__name__, **about)
    else:
        _log.error("request_failed", exc_info=error, **about)
    return failure_of(error)


async def end_tasks(*tasks: asyncio.Task[Any]) -> None:
    """Cancels what still runs and waits until it is over."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def last_write(writing: asyncio.Task[None]) -> None:
    """Waits for a writer whose outbox was discarded: a status must not be sent while a message still is.

    A client that does not take the message has no claim to the status.
    """
    await asyncio.wait([writing], timeout=LAST_WRITE_S)
