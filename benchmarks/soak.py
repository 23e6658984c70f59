"""A server and its workers under people and accidents: what grows that should not, and who is cut off.

A number of callers converse, change voices, interrupt, hang up and call again, while workers are killed and models are
loaded and unloaded at random times. Figures are taken while nobody calls, before and after, and every few seconds
between. Only a worker with another one beside it is killed: no caller may be lost by that.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp
import grpc.aio
import numpy as np
import psutil
from prometheus_client.parser import text_string_to_metric_families

from antiphon.apps.logs import logging_to
from antiphon.apps.realtime_client import ClientError
from antiphon.apps.selftest.caller import Caller, Utterance
from antiphon.apps.server_process import LocalServer, local_server
from antiphon.v1 import models_pb2
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub
from benchmarks.conversation import calling, tone_questions
from benchmarks.tables import arguments, save, show

SERVER = (
    *("--vad", "scripted"),
    *("--asr", "scripted:final_ms=0"),
    *("--llm", "scripted:first_token_ms=50,token_ms=20,tokens=12"),
    *("--tts", "pico,espeak"),
    *("--tts-workers", "2"),
)
MODELS = ("pico", "espeak")
VOICES = ("pico:en-US", "pico:en-GB", "espeak:en-US", "espeak:de-DE")
QUESTIONS = ("count to 3", "count to 8", "count to 20")
TURNS = (1, 5)
"""Of a call, at least and at most."""
ACCIDENT_S = (1.5, 5.0)
"""Between two accidents."""
SAMPLE_S = 5.0
SETTLE_S = 8.0
"""What servers and workers get to come to rest before the figures of nobody calling are taken."""
CALL_S = 30.0
MB = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float
    rss_mb: float
    descriptors: int
    threads: int
    tasks: int
    sessions: int
    worker_rss_mb: dict[str, float]
    worker_descriptors: dict[str, int]


@dataclass(slots=True)
class Events:
    """What happened."""

    calls: int = 0
    turns: int = 0
    barge_ins: int = 0
    swaps: int = 0
    failed_replies: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    accidents: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Accidents that a worker did not allow."""


class Place:
    """The server, as somebody sees it who may look into its processes."""

    def __init__(self, server: LocalServer, http: aiohttp.ClientSession) -> None:
        self._server = server
        self._http = http
        self._began_at = time.monotonic()
        self._process = psutil.Process(server.pid)

    @property
    def url(self) -> str:
        return self._server.url

    async def workers(self) -> dict[str, dict[str, Any]]:
        """Those that serve, by their names."""
        async with self._http.get(f"{self.url}/health") as answer:
            health = await answer.json()
        return {worker["name"]: worker for worker in health["workers"] if worker["state"] == "serving"}

    async def metrics(self) -> dict[str, float]:
        """The sum over the labels of each figure."""
        async with self._http.get(f"{self.url}/metrics") as answer:
            families = list(text_string_to_metric_families(await answer.text()))
        sums: Counter[str] = Counter()
        for sample in (sample for family in families for sample in family.samples):
            sums[sample.name] += sample.value  # type: ignore[assignment]
        return dict(sums)

    async def sample(self) -> Sample:
        figures, workers = await self.metrics(), await self.workers()
        rss, descriptors = {}, {}
        for name, worker in workers.items():
            try:
                process = psutil.Process(worker["pid"])
                rss[name], descriptors[name] = process.memory_info().rss / MB, process.num_fds()
            except psutil.NoSuchProcess:
                continue  # an accident
        return Sample(
            at_s=time.monotonic() - self._began_at,
            rss_mb=self._process.memory_info().rss / MB,
            descriptors=self._process.num_fds(),
            threads=self._process.num_threads(),
            tasks=round(figures["antiphon_event_loop_tasks"]),
            sessions=round(figures["antiphon_sessions_active"]),
            worker_rss_mb=rss,
            worker_descriptors=descriptors,
        )


# People.


async def converse(caller: Caller, lines: list[Utterance], dice: random.Random, events: Events) -> None:
    """One call. Raises ClientError when it is cut off, or waits in vain."""
    for _ in range(dice.randint(*TURNS)):
        if dice.random() < 0.3:
            events.swaps += 1
            await caller.configure({"audio": {"output": {"voice": dice.choice(VOICES)}}})
        spoken = await caller.say(dice.choice(lines))
        mark = spoken.mark
        reply = await caller.reply_began(mark)
        if dice.random() < 0.2:
            events.barge_ins += 1
            await asyncio.sleep(dice.uniform(0.1, 1.0))
            mark = (await caller.say(lines[0])).mark
            await caller.finished(reply, spoken.mark)
            continue
        answer = await caller.answer(mark)
        events.turns += 1
        if answer.status == "failed":
            events.failed_replies.append(answer.reason)
        await asyncio.sleep(dice.uniform(0.1, 1.0))


async def call_again_and_again(
    url: str, until: float, lines: list[Utterance], dice: random.Random, events: Events
) -> None:
    while time.monotonic() < until:
        events.calls += 1
        try:
            async with calling(url) as caller:
                await converse(caller, lines, dice, events)
        except ClientError as error:
            events.lost.append(str(error))


# Accidents.


async def accidents(place: Place, dice: random.Random, events: Events) -> None:
    """Until cancelled."""
    while True:
        await asyncio.sleep(dice.uniform(*ACCIDENT_S))
        speaking = {name: worker for name, worker in (await place.workers()).items() if worker["stage"] == "tts"}
        if not speaking:
            continue
        worker = dice.choice(list(speaking.values()))
        what = dice.choice(("kill", "unload", "unload by force", "load", "load"))
        if what == "kill":
            if len(speaking) > 1:
                events.accidents[what] += 1
                psutil.Process(worker["pid"]).kill()
            continue
        events.accidents[what] += 1
        try:
            await order(worker["pid"], what, dice.choice(MODELS))
        except (grpc.aio.AioRpcError, psutil.NoSuchProcess) as error:
            events.refused[error.code().name if isinstance(error, grpc.aio.AioRpcError) else "gone"] += 1


async def order(pid: int, what: str, model: str) -> None:
    """Has a worker load or unload a model. Raises AioRpcError, and NoSuchProcess."""
    command = psutil.Process(pid).cmdline()
    address = command[command.index("--listen") + 1]
    async with grpc.aio.insecure_channel(address, options=(("grpc.use_local_subchannel_pool", 1),)) as channel:
        stub: Any = SynthesizerStub(channel)  # type: ignore[no-untyped-call]
        if what == "load":
            await stub.LoadModel(models_pb2.LoadModelRequest(model=model), timeout=CALL_S)
        else:
            request = models_pb2.UnloadModelRequest(model=model, force=what.endswith("force"))
            await stub.UnloadModel(request, timeout=CALL_S)


# The course of it.


async def at_rest(place: Place) -> Sample:
    await asyncio.sleep(SETTLE_S)
    return await place.sample()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Within the block ``work`` goes on; what it raises is raised at the end."""
    task: asyncio.Task[None] = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, Exception):
            raise outcome


async def watch(place: Place, samples: list[Sample]) -> None:
    while True:
        await asyncio.sleep(SAMPLE_S)
        samples.append(await place.sample())


async def soak(
    minutes: float, sessions: int, seed: int, events: Events
) -> tuple[Sample, Sample, list[Sample], dict[str, float]]:
    """Figures of nobody calling before and after, those between, and the server's metrics in the end."""
    lines, samples = tone_questions(QUESTIONS), list[Sample]()
    async with local_server(SERVER) as server, aiohttp.ClientSession() as http:
        place = Place(server, http)
        warming = Events()
        await asyncio.gather(*(one_call(place.url, lines, random.Random(n), warming) for n in range(sessions)))
        before = await at_rest(place)
        until = time.monotonic() + minutes * 60
        async with beside(watch(place, samples)), beside(accidents(place, random.Random(seed), events)):
            callers = [random.Random(f"{seed}:{number}") for number in range(sessions)]
            await asyncio.gather(*(call_again_and_again(place.url, until, lines, dice, events) for dice in callers))
        after = await at_rest(place)
        return before, after, samples, await place.metrics()


async def one_call(url: str, lines: list[Utterance], dice: random.Random, events: Events) -> None:
    """What a server does for the first time takes memory once."""
    async with calling(url) as caller:
        await converse(caller, lines, dice, events)


def slope_per_minute(times_s: list[float], values: list[float]) -> float:
    """By least squares, over the second half: what is taken once is taken in the first."""
    half = len(times_s) // 2
    if len(times_s) - half < 3:
        return float("nan")
    return float(np.polyfit(times_s[half:], values[half:], 1)[0] * 60)


def growth(before: Sample, after: Sample, samples: list[Sample]) -> list[tuple[str, float, float, float, float]]:
    """Rows of: what, at rest before and after, the most between, and its slope per minute."""
    rows = []
    for name, label in (
        ("rss_mb", "server, RSS MB"),
        ("descriptors", "server, descriptors"),
        ("threads", "server, threads"),
        ("tasks", "server, tasks"),
        ("sessions", "server, sessions"),
    ):
        values = [float(getattr(sample, name)) for sample in samples]
        slope = slope_per_minute([sample.at_s for sample in samples], values)
        rows.append((label, float(getattr(before, name)), float(getattr(after, name)), max(values), slope))
    for worker in sorted(before.worker_rss_mb.keys() & after.worker_rss_mb.keys()):
        for name, label in (("worker_rss_mb", "RSS MB"), ("worker_descriptors", "descriptors")):
            known = [sample for sample in samples if worker in getattr(sample, name)]
            values = [float(getattr(sample, name)[worker]) for sample in known]
            slope = slope_per_minute([sample.at_s for sample in known], values)
            rest = (float(getattr(before, name)[worker]), float(getattr(after, name)[worker]))
            rows.append((f"{worker}, {label}", *rest, max(values), slope))
    return rows


async def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    events = Events()
    before, after, samples, metrics = await soak(options.minutes, options.sessions, options.seed, events)
    rows = growth(before, after, samples)
    columns = ("", "at rest before", "at rest after", "most", "slope per minute")
    show(f"{options.minutes:g} minutes, {options.sessions} sessions, seed {options.seed}", columns, rows)
    gaps = metrics.get("antiphon_handover_gap_seconds_count", 0.0)
    happened = {
        "calls": events.calls,
        "turns": events.turns,
        "interruptions": events.barge_ins,
        "changes of voice": events.swaps,
        **dict(events.accidents),
        **{f"orders that were refused, {code}": count for code, count in events.refused.items()},
        "replies handed over": round(gaps),
        "mean gap, ms": metrics["antiphon_handover_gap_seconds_sum"] / gaps * 1000 if gaps else float("nan"),
        "replies that failed": len(events.failed_replies),
        "calls that were lost": len(events.lost),
    }
    show("What happened", ("", "times"), list(happened.items()))
    for reason, count in Counter([*events.failed_replies, *events.lost]).items():
        print(f"{count} x {reason}")
    figures = {
        "growth": [dict(zip(("what", "before", "after", "most", "slope"), row, strict=True)) for row in rows],
        "happened": happened,
        "lost": events.lost,
        "failed": events.failed_replies,
        "samples": list(map(asdict, samples)),
    }
    save(options.json, figures)
    return 1 if events.lost or events.failed_replies else 0


if __name__ == "__main__":
    with logging_to(sys.stderr, "auto", "error"):
        raise SystemExit(asyncio.run(main()))
