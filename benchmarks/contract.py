"""What the contract between server and worker costs: the worker's CPU for a frame, and the time to the first frame.

Over a Unix socket and over TCP, beside the same engine in process. The client is in another process, so that only the
worker's CPU is measured. Frames are taken as fast as credit lets them come; a live stream takes 50 of them a second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import grpc.aio
import psutil

from antiphon.audio import FRAME_BYTES, FRAME_MS
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer
from antiphon.engines.catalog import make_one_synthesizer
from antiphon.engines.scripted import count_to
from antiphon.v1 import synthesizer_pb2 as pb
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub
from benchmarks.tables import arguments, save, show, spread

MODELS = {"scripted": "scripted:first_audio_ms=0,speed=100000", "pico": "pico"}
OPTIONS = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16384))
FIRST_FRAMES = 100
SECONDS = 6.0
STREAMS = 4
CREDIT = 25
TEXT = count_to(40)
SHORT = "Hello there."
MS, US = 1e3, 1e6

Request = pb.SynthesizeRequest


@asynccontextmanager
async def worker(listen: str) -> AsyncIterator[tuple[SynthesizerStub, psutil.Process]]:
    readable, writable = os.pipe()
    options = ["--models", ",".join(MODELS.values()), "--preload", ",".join(MODELS.values()), "--log-level", "error"]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "antiphon.apps.child", "worker", "tts", *options, "--listen", listen, "--ready-fd", str(writable)),
        pass_fds=(writable,),
    )
    os.close(writable)
    try:
        with os.fdopen(readable) as ready:
            address = (await asyncio.to_thread(ready.readline)).strip()
        async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
            yield SynthesizerStub(channel), psutil.Process(process.pid)  # type: ignore[no-untyped-call]
    finally:
        process.terminate()
        await process.wait()


async def speak(stub: SynthesizerStub, model: str, text: str, until: float) -> tuple[list[float], int]:
    """Segments of one stream until ``until``, at least one: the times to their first frames in ms, and all frames."""
    call = stub.Synthesize()
    await call.write(Request(credit=Request.Credit(frames=CREDIT)))
    first_ms: list[float] = []
    frames = segment = taken = 0
    while segment == 0 or time.perf_counter() < until:
        began_at = time.perf_counter()
        await call.write(Request(start=Request.Start(session="bench", segment=segment, model=model)))
        await call.write(Request(text=Request.Text(segment=segment, text=text)))
        await call.write(Request(flush=Request.Flush(segment=segment)))
        audio = (await call.read()).audio
        first_ms.append((time.perf_counter() - began_at) * MS)
        while True:
            frames += 1
            taken += 1
            if taken == CREDIT // 2:
                await call.write(Request(credit=Request.Credit(frames=taken)))
                taken = 0
            if audio.final:
                break
            audio = (await call.read()).audio
        segment += 1
    await call.done_writing()
    return first_ms, frames


async def over_the_contract(listen: str, model: str) -> tuple[list[float], float]:
    """Times to first frames in ms, and the worker's CPU for a frame in us."""
    async with worker(listen) as (stub, process):
        first_ms: list[float] = []
        for _ in range(FIRST_FRAMES):
            first_ms += (await speak(stub, model, SHORT, 0))[0]
        before = process.cpu_times()
        until = time.perf_counter() + SECONDS
        results = await asyncio.gather(*(speak(stub, model, TEXT, until) for _ in range(STREAMS)))
        after = process.cpu_times()
    cpu_s = after.user + after.system - before.user - before.system
    return first_ms, cpu_s * US / sum(frames for _, frames in results)


async def in_process(model: str) -> tuple[list[float], float]:
    engine = make_one_synthesizer(model)
    await engine.load()
    first_ms = []
    for _ in range(FIRST_FRAMES):
        began_at = time.perf_counter()
        first_ms.append((await _spoken(engine, SHORT))[0] * MS - began_at * MS)
    began_s, until, frames = time.process_time(), time.perf_counter() + SECONDS, 0.0
    while time.perf_counter() < until:
        spoken = await asyncio.gather(*(_spoken(engine, TEXT) for _ in range(STREAMS)))
        frames += sum(count for _, count in spoken)
    cpu_s = time.process_time() - began_s
    await engine.close()
    return first_ms, cpu_s * US / frames


async def _spoken(engine: Synthesizer, text: str) -> tuple[float, float]:
    """When its first frame was there, and how many there were."""

    async def pieces() -> AsyncIterator[str]:
        yield text

    first_at, size = 0.0, 0
    async with aclosing(engine.speak(pieces(), Voice(engine.voices[0].name))) as chunks:
        async for chunk in chunks:
            size += len(chunk.pcm)
            if not first_at and size >= FRAME_BYTES:
                first_at = time.perf_counter()
    return first_at, size / FRAME_BYTES


async def measure() -> dict[str, dict[str, float]]:
    figures: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        socket = f"unix://{Path(folder) / 'tts.sock'}"
        for name, model in MODELS.items():
            ways = {
                "in process": await in_process(model),
                "Unix socket": await over_the_contract(socket, model),
                "TCP": await over_the_contract("127.0.0.1:0", model),
            }
            for way, (first_ms, cpu_us) in ways.items():
                first = spread(first_ms)
                figures[f"{name}, {way}"] = {
                    "first_frame_p50_ms": first["p50"],
                    "first_frame_p95_ms": first["p95"],
                    "cpu_us_per_frame": round(cpu_us, 1),
                    "streams_per_core": round(FRAME_MS * US / MS / cpu_us),
                }
    return figures


def main() -> None:
    options = arguments(__doc__).parse_args()
    figures = asyncio.run(measure())
    columns = ("engine, way", "first frame p50, ms", "p95", "CPU per frame, us", "streams per core")
    show("The contract", columns, [(name, *row.values()) for name, row in figures.items()])
    save(options.json, figures)


if __name__ == "__main__":
    main()
