"""The connection to one worker: its channel, and what is known of it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any, Protocol

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antiphon.core.fleet import Health, Worker, base_language
from antiphon.v1 import generator_pb2_grpc, models_pb2, recognizer_pb2_grpc, synthesizer_pb2_grpc
from antiphon.voices.worker_tls import Trouble, WorkerTls, trouble_of

log = structlog.get_logger(__name__)

OPTIONS = (
    # Without these two and credits, a server was measured to run 60 s of audio ahead of a client that had stopped
    # reading.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 16384),
    # A worker that is started again is back within some 100 ms; the default first wait is a second.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.use_local_subchannel_pool", 1),
)

_SLOWEST_RECONNECT_MS = {"unix": 100, "": 1000}
"""By the address: to knock at a socket of this machine costs next to nothing."""

POLL_S = 2.0
"""How often a worker is asked what it has and does. Between these its load is reckoned."""

ANSWER_S = 2.0
"""A worker that takes longer to say how it is counts as gone."""

FIRST_STATUS_S = 5.0
"""Whether it serves is asked again when it has said nothing for so long."""

VOICES_EVERY = 8
"""Its voices are asked for again at each so manyth poll, and when its models change."""

_LATENCY_SHARE = 0.2
"""What the newest latency counts in the running mean."""

_STUBS: dict[str, Callable[[grpc.aio.Channel], Any]] = {
    "tts": synthesizer_pb2_grpc.SynthesizerStub,
    "asr": recognizer_pb2_grpc.RecognizerStub,
    "llm": generator_pb2_grpc.GeneratorStub,
}
_ABILITIES = ("streaming", "zero_shot", "lora", "cpu", "emotion", "hears")


class Call(Protocol):
    """A stream that is open to the worker."""

    def cancel(self) -> bool: ...


class Connection:
    """To one worker. ``run`` keeps it up and must be running; all else is called from the same event loop."""

    def __init__(
        self,
        address: str,
        stage: str,
        on_change: Callable[[], None],
        tls: WorkerTls | None = None,
        *,
        poll_s: float = POLL_S,
    ) -> None:
        self.address = address
        self.stage = stage
        self.in_flight = 0
        """Requests of ours."""
        self.visits = 0
        """Conversations of ours that made themselves known there."""
        self.calls: set[Call] = set()
        """Streams of ours; they are cancelled when the worker falls silent."""
        self.models: tuple[models_pb2.Model, ...] = ()
        """As it listed them last, with their voices."""
        self._on_change = on_change
        self._poll_s = poll_s
        slowest_ms = _SLOWEST_RECONNECT_MS["unix" if address.startswith("unix:") else ""]
        options = (*OPTIONS, ("grpc.max_reconnect_backoff_ms", slowest_ms))
        self._tls = None if address.startswith("unix:") else tls
        if self._tls is None:
            self._channel = grpc.aio.insecure_channel(address, options=options)
        else:
            self._channel = grpc.aio.secure_channel(address, self._tls.credentials(), options=options)
        self.stub = _STUBS[stage](self._channel)
        self._loop = asyncio.get_running_loop()
        self._health = Health.UNKNOWN
        self._says_serving = False
        self._heartbeat_at = -math.inf
        self._failed_at = -math.inf
        self._latency_ms = 0.0
        self._told = models_pb2.GetCapabilitiesResponse()
        self._in_flight_when_told = 0
        self._visits_when_told = 0
        self._polls = 0
        self._worker: Worker | None = None
        self._asking = asyncio.Lock()
        self._trouble: Trouble | None = None
        self.of_another_stage = False
        """It answers, and does other work: workers whose stage is not told are asked for all of them."""

    @property
    def trouble(self) -> str:
        """Why it cannot be reached, while it cannot."""
        return self._trouble.reason if self._trouble is not None else ""

    @property
    def hopeless(self) -> bool:
        """It cannot be reached, and time alone will not change that."""
        return self._trouble is not None and self._trouble.lasting

    @property
    def worker(self) -> Worker:
        """What is known of it now."""
        if self._worker is None:
            self._worker = self._describe()
        return self._worker

    def _describe(self) -> Worker:
        told = self._told
        return Worker(
            self.address,
            self.stage,
            told.worker,
            health=self._health,
            heartbeat_at=self._heartbeat_at,
            failed_at=self._failed_at,
            languages=frozenset(map(base_language, told.languages)),
            capabilities=frozenset(name for name in _ABILITIES if getattr(told, name)),
            models=frozenset(told.models) | frozenset(told.resident),
            resident=frozenset(told.resident),
            hearing=frozenset(told.hearing),
            max_concurrent=told.max_concurrent,
            # What it said, and what we have begun and ended since.
            active=max(told.active + self.in_flight - self._in_flight_when_told, self.in_flight),
            queued=told.queued,
            sessions=max(told.sessions + self.visits - self._visits_when_told, self.visits),
            rtf=told.rtf,
            latency_ms=self._latency_ms,
        )

    @property
    def default_model(self) -> str:
        return self._told.default_model

    def _changed(self) -> None:
        self._worker = None
        self._on_change()

    # What its users tell.

    def begun(self) -> None:
        self.in_flight += 1
        self._changed()

    def ended(self) -> None:
        self.in_flight -= 1
        self._changed()

    def arrived(self) -> None:
        """A conversation makes itself known there."""
        self.visits += 1
        self._changed()

    def left(self) -> None:
        self.visits -= 1
        self._changed()

    def failed(self, instance: str) -> None:
        """The process failed at a request: it gets none for a moment. One that has taken its place is not to blame."""
        if instance != self._told.worker:
            return
        self._failed_at = self._loop.time()
        self._changed()

    def answered(self, latency_ms: float) -> None:
        """It took so long to its first answer."""
        share = _LATENCY_SHARE if self._latency_ms else 1.0
        self._latency_ms += share * (latency_ms - self._latency_ms)
        self._changed()

    # What it tells.

    async def run(self) -> None:
        """Follows the worker until cancelled; closes the channel then."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_health())
                group.create_task(self._watch_channel())
                group.create_task(self._poll())
        finally:
            await self._channel.close()

    async def _watch_channel(self) -> None:
        """A channel that cannot connect tells nobody who waits for it: somebody has to ask why."""
        while True:
            state = self._channel.get_state(try_to_connect=True)
            if state is grpc.ChannelConnectivity.READY:
                self._trouble = None
            elif state is grpc.ChannelConnectivity.TRANSIENT_FAILURE:
                await self._ask_why()
            await self._channel.wait_for_state_change(state)

    async def _ask_why(self) -> None:
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=ANSWER_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or self._leaves:
                return
            known, self._trouble = self._trouble, trouble_of(error.details() or "", self._tls)
            if self._health is not Health.DOWN:
                self._down(self._trouble.reason)
            elif known != self._trouble:
                log.warning("worker_unreachable", address=self.address, stage=self.stage, reason=self.trouble)
                self._changed()

    @property
    def _leaves(self) -> bool:
        """It takes no new connection, and what runs there ends over the one of before, as its health stream does."""
        return self._health is Health.DRAINING

    async def _watch_health(self) -> None:
        """The standard health service pushes each change; its stream breaks when the process ends."""
        stub: Any = health_pb2_grpc.HealthStub(self._channel)
        while True:
            call = stub.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
            try:
                async with asyncio.timeout(FIRST_STATUS_S) as patience:
                    async for status in call:
                        patience.reschedule(None)
                        await self._told_health(status.status)
                reason = "its health stream ended"
            except TimeoutError:
                reason = "it does not say whether it serves"
            except grpc.aio.AioRpcError as error:
                reason = f"{error.code().name}: {error.details()}"
            finally:
                call.cancel()
            self._says_serving = False
            self._down(reason)
            await asyncio.sleep(ANSWER_S if "UNIMPLEMENTED" in reason else 0.05)

    async def _told_health(self, status: int) -> None:
        self._says_serving = status == health_pb2.HealthCheckResponse.SERVING
        if self._says_serving:
            await self.ask()
        elif self._health is Health.SERVING:
            self._health = Health.DRAINING
            log.info("worker_draining", address=self.address)
            self._changed()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(self._poll_s)
            if self._says_serving:
                await self.ask()

    async def ask(self, *, voices: bool = False) -> None:
        """Asks it what it has and does, and which voices it has if they may be others: then, or with ``voices``."""
        async with self._asking:  # an answer from before a change is not to come after one from behind it
            await self._ask(voices=voices)

    async def _ask(self, *, voices: bool) -> None:
        in_flight, visits = self.in_flight, self.visits
        try:
            told = await self.stub.GetCapabilities(models_pb2.GetCapabilitiesRequest(), timeout=ANSWER_S)
            if voices or self._wants_voices(told):
                listed = await self.stub.ListModels(models_pb2.ListModelsRequest(), timeout=ANSWER_S)
                self.models = tuple(listed.models)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                self._is_not_ours()
            elif not self._leaves:
                self._down(f"{error.code().name}: {error.details()}")
            return
        self.of_another_stage = False
        self._polls += 1
        restarted = told.worker != self._told.worker
        self._told = told
        self._in_flight_when_told = max(in_flight, self.in_flight)  # it counted somewhere between the two
        self._visits_when_told = max(visits, self.visits)
        self._heartbeat_at = self._loop.time()
        if not self._says_serving:
            return
        if self._health is not Health.SERVING or restarted:
            self._health = Health.SERVING
            self._failed_at = -math.inf
            log.info("worker_serving", address=self.address, stage=self.stage, instance=told.worker)
        self._changed()

    def _wants_voices(self, told: models_pb2.GetCapabilitiesResponse) -> bool:
        known = self._told
        same = (told.worker, list(told.models), list(told.resident)) == (
            known.worker,
            list(known.models),
            list(known.resident),
        )
        return not same or self._polls % VOICES_EVERY == 0

    def _is_not_ours(self) -> None:
        self.of_another_stage = True
        self._health = Health.DOWN
        log.debug("worker_of_another_stage", address=self.address, stage=self.stage)
        self._changed()

    def _down(self, reason: str) -> None:
        if self._health is not Health.DOWN:
            log.warning("worker_down", address=self.address, stage=self.stage, reason=reason)
            self._health = Health.DOWN
        for call in tuple(self.calls):
            call.cancel()
        self._changed()
