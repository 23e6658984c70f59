"""The server's figures for Prometheus, in a registry of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from antiphon.apps.own_load import OwnLoad
from antiphon.apps.streaming_metrics import StreamingMetrics
from antiphon.core.admission import Admission
from antiphon.core.shedding import Shedding
from antiphon.core.speech_memory import SpeechMemory

if TYPE_CHECKING:
    from antiphon.core.fleet import Shortage
    from antiphon.voices.watcher import Handover

LATENCY_BUCKETS_S = (
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.075,
    0.1,
    0.15,
    0.2,
    0.25,
    0.3,
    0.4,
    0.5,
    0.6,
    0.8,
    1.0,
    1.5,
    2.0,
    3.0,
)
"""Finest where a conversation is felt to be quick or slow: from one frame of 20 ms to three seconds."""

LAG_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)

LAG_INTERVAL_S = 0.25

REFUSALS = ("full", "load", "key", "origin")
"""Why a request may be refused."""

TURN_PARTS = {
    "end_of_turn_ms": "From the end of the user's speech to the decision that the turn is over",
    "recognizer_ms": "From that decision to the recognizer's final",
    "brain_ms": "From the final to the brain's first token",
    "voice_ms": "From there to the voice's first audio",
    "server_ms": "The rest of the response time: what the server itself adds",
    "response_ms": "From the end of the user's speech to the first sound of the reply",
}
"""The figures of a turn (``session.meter``) and what they mean."""

BARGE_IN_PARTS = {
    "onset_to_edge_ms": "From the true start of the user's speech over a reply to the VAD's edge",
    "edge_to_pause_ms": "From the VAD's edge to the last frame of the reply",
    "decision_ms": "From the pause to the decision to cut the reply or to go on",
}


class Metrics:
    """Counts what the server does: the ``Meter`` of its sessions and the ``Watcher`` of its connections."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, with the time of its making
        self.registry = CollectorRegistry()
        self._active = self._gauge("sessions_active", "Sessions that are open")
        self._queued = self._gauge("outgoing_queued_bytes", "Bytes that wait to be sent to clients")
        self._sessions = self._counter("sessions", "Sessions that were opened")
        self._refused = self._counter("sessions_refused", "Requests that were refused", "reason")
        for reason in REFUSALS:
            self._refused.labels(reason)
        self._sent = self._counter("sent_bytes", "Bytes sent to clients")
        self._received = self._counter("received_bytes", "Bytes received from clients")
        self._turns = self._counter("turns", "Turns of users that were answered")
        self._barge_ins = self._counter("barge_ins", "Sounds over a reply that cut it")
        self._resumes = self._counter("resumes", "Sounds over a reply after which it went on")
        self._failures = self._counter("engine_failures", "Failures of an engine", "stage")
        for stage in ("asr", "llm", "tts"):
            self._failures.labels(stage)
        self._ahead_won = self._counter("ahead_won_seconds", "Time by which working ahead brought answers forward")
        self._ahead_thrown_away = self._counter("ahead_thrown_away", "Replies that were prepared and not wanted")
        self._ahead_tokens = self._counter("ahead_wasted_tokens", "Tokens of replies that were not wanted")
        self._ahead_wasted = self._counter("ahead_wasted_seconds", "Work on replies that were not wanted", "stage")
        for stage in ("llm", "tts"):
            self._ahead_wasted.labels(stage)
        self._tokens = self._counter(
            "brain_tokens", "Tokens of the language model: read anew, cached from before, written", "kind"
        )
        for kind in ("read", "cached", "written"):
            self._tokens.labels(kind)
        self._turn_parts = {name: self._latency("turn", name, text) for name, text in TURN_PARTS.items()}
        self._barge_in_parts = {name: self._latency("barge_in", name, text) for name, text in BARGE_IN_PARTS.items()}
        self._lag = Histogram(
            "antiphon_event_loop_lag_seconds",
            "How late the event loop runs what is due",
            buckets=LAG_BUCKETS_S,
            registry=self.registry,
        )
        self._tasks = self._gauge("event_loop_tasks", "Tasks that the event loop has")
        self.streaming = StreamingMetrics()
        self.admission = Admission()
        """What these figures say of one more call over WebRTC."""
        self.shedding = Shedding()
        """What they say of working ahead."""
        self._gauge("ahead_level", "What is done ahead: 0 nothing, 1 text, 2 speech too").set_function(
            lambda: self.shedding.level
        )
        self._own_load = OwnLoad()

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"antiphon_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"antiphon_{name}", text, registry=self.registry)

    def _latency(self, of: str, name: str, text: str) -> Histogram:
        full = f"antiphon_{of}_{name.removesuffix('_ms')}_seconds"
        return Histogram(full, text, buckets=LATENCY_BUCKETS_S, registry=self.registry)

    def watch(
        self, *, sessions: Callable[[], int], queued_bytes: Callable[[], int], workers: Callable[[], Iterable[int]]
    ) -> None:
        """Says where the figures that are looked up when they are read come from. ``workers``: the process ids of the
        server's own.
        """
        self._active.set_function(sessions)
        self._queued.set_function(queued_bytes)
        self._own_load = OwnLoad(workers)

    def watch_memory(self, memory: SpeechMemory) -> None:
        """Of what was said before."""
        self._gauge("speech_cache_bytes", "Audio that is kept for when it is said again").set_function(
            lambda: memory.used_bytes
        )
        self._gauge("speech_cache_hits", "How often something was said from memory").set_function(lambda: memory.hits)

    # The Watcher of the connections.

    def opened(self) -> None:
        self._sessions.inc()

    def refused(self, reason: str) -> None:
        self._refused.labels(reason).inc()

    def traffic(self, sent_bytes: int, received_bytes: int) -> None:
        self._sent.inc(sent_bytes)
        self._received.inc(received_bytes)

    # The Meter of the sessions.

    def turn(self, figures: dict[str, float]) -> None:
        self._turns.inc()
        _observe(self._turn_parts, figures)
        self.streaming.take(figures)

    def barge_in(self, figures: dict[str, float]) -> None:
        (self._resumes if figures.get("resumed") else self._barge_ins).inc()
        _observe(self._barge_in_parts, figures)
        self.streaming.take(figures)

    def work_ahead(self, figures: dict[str, float]) -> None:
        self._ahead_won.inc(figures["won_ms"] / 1000)
        self._ahead_thrown_away.inc(figures["thrown_away"])
        self._ahead_tokens.inc(figures["wasted_tokens"])
        self._ahead_wasted.labels("llm").inc(figures["wasted_brain_ms"] / 1000)
        self._ahead_wasted.labels("tts").inc(figures["wasted_voice_ms"] / 1000)

    def failed(self, stage: str) -> None:
        self._failures.labels(stage).inc()

    def tokens(self, read: int, cached: int, written: int) -> None:
        """Of one answer of a brain, or of what it has read ahead of one."""
        for kind, count in (("read", read), ("cached", cached), ("written", written)):
            self._tokens.labels(kind).inc(count)

    async def watch_event_loop(self) -> None:
        """Samples the event loop's lag until cancelled. The one task that metrics need."""
        loop = asyncio.get_running_loop()
        self._tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        while True:
            await self.sample_lag()

    async def sample_lag(self) -> None:
        """Takes one sample, which takes ``LAG_INTERVAL_S``."""
        loop = asyncio.get_running_loop()
        began_at, cpu_s = loop.time(), time.thread_time()
        await asyncio.sleep(LAG_INTERVAL_S)
        now = loop.time()
        lag_s = max(0.0, now - began_at - LAG_INTERVAL_S)
        self._lag.observe(lag_s)
        busy = (time.thread_time() - cpu_s) / (now - began_at)
        self.admission.sample(now, busy, lag_s)
        self.shedding.sample(now, busy=busy, late_s=lag_s, machine=self._own_load.share(now))

    def render(self) -> tuple[bytes, str]:
        """The text exposition and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4


class FleetMetrics:
    """Counts what happens to workers: the ``Watcher`` of the fleets. In the server's registry, beside its own figures.

    Without workers its series stay empty.
    """

    def __init__(self, registry: CollectorRegistry, serving: Callable[[str], int]) -> None:
        """``serving`` says how many workers serve a stage."""
        workers = Gauge("antiphon_workers_serving", "Workers that serve", ("stage",), registry=registry)
        for stage in ("asr", "llm", "tts"):
            workers.labels(stage).set_function(partial(serving, stage))
        self._restarts = Counter(
            "antiphon_worker_restarts", "Workers of the server's own that ended", ("worker",), registry=registry
        )
        self._refused = Counter(
            "antiphon_fleet_refusals", "Requests that no worker could take", ("stage", "reason"), registry=registry
        )
        self._gaps = Histogram(
            "antiphon_handover_gap_seconds",
            "From the loss of a worker in the middle of its work to what the next one gives",
            ("stage",),
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )

    def handed_over(self, handover: Handover) -> None:
        self._gaps.labels(handover.stage).observe(handover.gap_s)

    def refused(self, stage: str, shortage: Shortage) -> None:
        self._refused.labels(stage, shortage.name.lower()).inc()

    def restarted(self, worker: str) -> None:
        self._restarts.labels(worker).inc()


class MediaMetrics:
    """The figures of each process that carries calls, in the server's registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._sessions = Gauge(
            "antiphon_webrtc_process_sessions", "Calls that a process carries", ("process",), registry=registry
        )
        self._load = Gauge(
            "antiphon_webrtc_process_load", "The share of its core that it takes", ("process",), registry=registry
        )

    def watch(self, process: str, sessions: Callable[[], float], load: Callable[[], float]) -> None:
        self._sessions.labels(process).set_function(sessions)
        self._load.labels(process).set_function(load)


def _observe(histograms: dict[str, Histogram], figures: dict[str, float]) -> None:
    for name, histogram in histograms.items():
        if name in figures:
            histogram.observe(max(0.0, figures[name]) / 1000)
