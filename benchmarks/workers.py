"""The fleet of workers: barge-in and frame pacing over gRPC, what loading a model takes, and what a kill costs.

Barge-in and pacing are measured at the client of a server whose engines run in worker processes, and of the same server
with its engines in process, at each number of sessions. Pico speaks; the other engines are scripted, so that the
machine carries the sessions. A model's load is asked for in a new process each time, so that it includes the imports.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc.aio

from antiphon.apps.logs import logging_to
from antiphon.apps.selftest.caller import Caller, Utterance
from antiphon.apps.server_process import local_server
from antiphon.audio import FRAME_MS, MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.v1 import generator_pb2_grpc, models_pb2, recognizer_pb2_grpc, synthesizer_pb2_grpc
from antiphon.voices.fleet import Fleet
from antiphon.voices.registry import StaticRegistry
from antiphon.voices.synthesizer import FleetSynthesizer
from antiphon.voices.watcher import Handover, NoWatcher
from benchmarks.barge_in import BargeIn, interrupt
from benchmarks.conversation import calling, tone_questions
from benchmarks.tables import arguments, save, show, spread

SERVER = (
    *("--vad", "scripted"),
    *("--asr", "scripted:final_ms=0"),
    *("--llm", "scripted:first_token_ms=50,token_ms=20,tokens=12"),
    *("--tts", "pico"),
)
WAYS = {"workers": (), "in process": ("--in-process",)}
QUESTIONS = ("count to 60", "count to 5")
BUNDLED = (("tts", "pico"), ("tts", "espeak"), ("asr", "moonshine"), ("llm", "alice"))
STUBS: dict[str, Any] = {
    "tts": synthesizer_pb2_grpc.SynthesizerStub,
    "asr": recognizer_pb2_grpc.RecognizerStub,
    "llm": generator_pb2_grpc.GeneratorStub,
}
LOAD_LIMIT_S = 120.0
AHEAD_S = 0.2
"""So much audio the reader of a reply takes before its time, as a server does."""
TEXT = "The first worker begins this sentence, and the second one brings it to its end, as if nothing had been."
MS = 1e3


@dataclass(frozen=True, slots=True)
class WorkerProcess:
    process: asyncio.subprocess.Process
    address: str
    ready_s: float


@asynccontextmanager
async def worker(stage: str, *options: str) -> AsyncIterator[WorkerProcess]:
    """``antiphon worker`` with further ``options``, ready."""
    readable, writable = os.pipe()
    began_at = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "antiphon.apps.child", "worker", stage, "--log-level", "error"),
        *(*options, "--ready-fd", str(writable)),
        pass_fds=(writable,),
    )
    os.close(writable)
    try:
        with os.fdopen(readable) as ready:
            address = (await asyncio.to_thread(ready.readline)).strip()
        if not address:
            raise RuntimeError(f"the {stage} worker did not start")
        yield WorkerProcess(process, address, time.perf_counter() - began_at)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def jitter_ms(caller: Caller) -> list[float]:
    """How far the time between two frames of a reply was off, for all replies that came."""
    frames: dict[str, list[float]] = defaultdict(list)
    for arrival in caller.journal.since(0, "response.output_audio.delta"):
        frames[arrival.text("response_id")].append(arrival.at)
    return [abs((after - before) * MS - FRAME_MS) for times in frames.values() for before, after in pairwise(times)]


async def conversations(
    url: str, sessions: int, rounds: int, lines: Sequence[Utterance]
) -> tuple[list[BargeIn], list[float]]:
    """The barge-ins of all sessions, and the jitter of all their frames in ms."""

    async def session(number: int) -> tuple[list[BargeIn], list[float]]:
        async with calling(url) as caller:
            await asyncio.sleep(number * 0.37)  # people do not interrupt in chorus
            found = [await interrupt(caller, *lines) for _ in range(rounds)]
            return found, jitter_ms(caller)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session(number)) for number in range(sessions)]
    results = [task.result() for task in tasks]
    return [one for found, _ in results for one in found], [off for _, jitter in results for off in jitter]


async def barge_in_rows(numbers: Sequence[int], rounds: int) -> dict[str, dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    lines = tone_questions(QUESTIONS)
    for way, options in WAYS.items():
        async with local_server((*SERVER, *options)) as server:
            for sessions in numbers:
                found, jitter = await conversations(server.url, sessions, rounds, lines)
                last, off = spread([one.edge_to_last_frame_ms for one in found]), spread(jitter)
                rows[f"{way}, {sessions} sessions"] = {
                    "edge_to_last_frame_p50_ms": last["p50"],
                    "edge_to_last_frame_p95_ms": last["p95"],
                    "edge_to_last_frame_max_ms": last["max"],
                    "barge_ins": last["n"],
                    "jitter_p50_ms": off["p50"],
                    "jitter_p95_ms": off["p95"],
                    "jitter_p99_ms": off["p99"],
                    "frames": off["n"],
                }
    return rows


async def load_once(stage: str, model: str) -> tuple[float, float]:
    """Seconds until a new process is ready without a model, and those that loading and warming up then take."""
    async with (
        worker(stage, "--models", model, "--preload", "", "--listen", "127.0.0.1:0") as started,
        grpc.aio.insecure_channel(started.address) as channel,
    ):
        began_at = time.perf_counter()
        request = models_pb2.LoadModelRequest(model=model)
        await STUBS[stage](channel).LoadModel(request, timeout=LOAD_LIMIT_S)
        return started.ready_s, time.perf_counter() - began_at


async def load_rows(times: int) -> dict[str, dict[str, float]]:
    rows = {}
    for stage, model in BUNDLED:
        measured = [await load_once(stage, model) for _ in range(times)]
        ready, load = (spread([pair[place] for pair in measured]) for place in (0, 1))
        rows[f"{stage} {model}"] = {
            "process_p50_s": ready["p50"],
            "load_p50_s": load["p50"],
            "load_p95_s": load["p95"],
            "loads": load["n"],
        }
    return rows


class Handovers(NoWatcher):
    def __init__(self) -> None:
        self.found: list[Handover] = []

    def handed_over(self, handover: Handover) -> None:
        self.found.append(handover)


async def speak_and_kill(synthesizer: FleetSynthesizer, by_address: dict[str, WorkerProcess], at_s: float) -> float:
    """Kills the worker that speaks after so much speech. The longest time in ms that a listener then waited.

    The reader takes the audio as it is played, but for ``AHEAD_S``.
    """

    async def pieces() -> AsyncIterator[str]:
        yield TEXT

    session = synthesizer.of_session("bench")
    began_at, samples, silent_s, killed = 0.0, 0, 0.0, False
    async with aclosing(session.speak(pieces(), Voice("pico:en-US"))) as chunks:
        async for chunk in chunks:
            now = time.perf_counter()
            began_at = began_at or now
            late_s = now - (began_at + samples / MOUTH_RATE_HZ)
            if late_s > 0:  # nothing is left to play: what follows is played later
                silent_s, began_at = max(silent_s, late_s), began_at + late_s
            samples += len(chunk.pcm) // 2
            if samples / MOUTH_RATE_HZ >= at_s and not killed:
                killed = True
                by_address[session.address or ""].process.kill()
            await asyncio.sleep(began_at + samples / MOUTH_RATE_HZ - AHEAD_S - time.perf_counter())
    return silent_s * MS


async def failover(times: int, dice: random.Random) -> dict[str, dict[str, float]]:
    silences, watcher = [], Handovers()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(times):
            async with AsyncExitStack() as stack:
                found = [
                    await stack.enter_async_context(
                        worker("tts", "--models", "pico", "--listen", f"unix://{Path(folder)}/{number}-{place}.sock")
                    )
                    for place in range(2)
                ]
                by_address = {one.address: one for one in found}
                fleet = Fleet("tts", StaticRegistry(tuple(by_address)), watcher=watcher)
                stack.push_async_callback(fleet.close)
                await fleet.start()
                while sum(one.health.value == "serving" for one in fleet.workers) < len(found):
                    await fleet.changed()
                silences.append(await speak_and_kill(FleetSynthesizer(fleet), by_address, dice.uniform(0.5, 5.0)))
    gaps = [handover.gap_s * MS for handover in watcher.found]
    return {"loss to the next audio, ms": spread(gaps), "silence heard, ms": spread(silences)}


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[3, 20])
    parser.add_argument("--rounds", type=int, default=3, help="barge-ins in each session")
    parser.add_argument("--loads", type=int, default=10, help="how often each model is loaded")
    parser.add_argument("--kills", type=int, default=20, help="how many workers are killed in mid-speech")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    columns: tuple[str, ...]
    figures["failover"] = await failover(options.kills, random.Random(options.seed))
    columns = ("a worker is killed in mid-speech", "p50", "p95", "p99", "max", "kills")
    show("Failover with a standby", columns, [(name, *row.values()) for name, row in figures["failover"].items()])
    figures["loads"] = await load_rows(options.loads)
    columns = ("model", "process ready p50, s", "load and warm-up p50, s", "p95", "loads")
    show("Loads", columns, [(name, *row.values()) for name, row in figures["loads"].items()])
    figures["barge_in"] = await barge_in_rows(options.sessions, options.rounds)
    columns = ("", "edge to last\nframe p50, ms", "p95", "max", "barge-ins", "jitter\np50, ms", "p95", "p99", "frames")
    show("Barge-in and pacing", columns, [(name, *row.values()) for name, row in figures["barge_in"].items()])
    save(options.json, figures)


if __name__ == "__main__":
    with logging_to(sys.stderr, "auto", "error"):
        asyncio.run(main())
