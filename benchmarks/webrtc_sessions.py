"""What a call costs the server, against aiortc's stock path and against the WebSocket: CPU, memory, frame jitter.

Both sides speak all the time: human speech goes in, one answer after the other comes out. Engines are scripted and
nobody decides whose turn it is, so that what is measured is the way of the audio. The callers are in this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp
import uvloop

from antiphon.apps.microphone import PacedMicrophone
from antiphon.apps.realtime_client import Arrival, Connection, Journal, connect, send
from antiphon.apps.selftest.caller import Utterance
from antiphon.audio import EAR_RATE_HZ, FRAME_MS, WIRE_PCM_RATE_HZ, first_audible, resample
from antiphon.session.pacer import Pacer
from antiphon.sim.speech import recordings
from benchmarks.soak import beside
from benchmarks.tables import arguments, save, show, spread
from benchmarks.webrtc_phone import Phone
from benchmarks.webrtc_server import MeasuredServer, measured_server

WAYS = {"WebRTC, ours": "ours", "WebRTC, aiortc's stock": "stock", "WebSocket": "ours"}
SETTLE_S = 3.0
REPLY_S = 60.0
_UPDATE = {"type": "session.update", "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}}
_ASK = {"type": "response.create"}


def speech() -> Utterance:
    pcm = b"".join(recording.spoken.tobytes() for recording in recordings())
    pcm = resample(pcm, EAR_RATE_HZ, WIRE_PCM_RATE_HZ)
    return Utterance("", pcm, 0, len(pcm) // 2)


async def ask_on(line: Connection, journal: Journal, end: str) -> None:
    """One answer after the other, until cancelled."""
    await send(line, _UPDATE)
    while True:
        mark = len(journal)
        await send(line, _ASK)
        await journal.expect(end, timeout_s=REPLY_S, since=mark)
        journal.arrivals.clear()


class _Caller:
    """One that speaks and listens. ``frames`` has the times at which audible frames came, None between answers."""

    def __init__(self) -> None:
        self.frames: list[float | None] = []

    def heard(self, at: float, pcm: bytes) -> None:
        self.frames.append(at if first_audible(pcm) is not None else None)

    def jitter_ms(self) -> list[float]:
        pairs = zip(self.frames, self.frames[1:], strict=False)
        return [abs((b - a) * 1000 - FRAME_MS) for a, b in pairs if a is not None and b is not None]


async def by_call(stack: AsyncExitStack, url: str, pacer: Pacer, said: Utterance) -> _Caller:
    caller, phone = _Caller(), Phone(pacer)
    stack.push_async_callback(phone.hang_up)
    http = await stack.enter_async_context(aiohttp.ClientSession())
    await phone.connect(http, url)
    phone.on_sound = caller.heard

    async def talk() -> None:
        while True:
            await phone.say(said)

    for work in (talk(), ask_on(phone, phone.journal, "output_audio_buffer.stopped")):
        await stack.enter_async_context(beside(work))
    return caller


async def by_socket(stack: AsyncExitStack, url: str, _pacer: Pacer, said: Utterance) -> _Caller:
    caller = _Caller()
    client = await stack.enter_async_context(connect(url))

    def take(arrival: Arrival) -> None:
        if arrival.kind == "response.output_audio.delta":
            caller.heard(arrival.at, arrival.audio())

    client.listen(take)
    microphone, journal = PacedMicrophone(client), Journal(client)

    async def talk() -> None:
        while True:
            await microphone.speak(said.pcm)

    for work in (microphone.run(), talk(), ask_on(client, journal, "response.done")):
        await stack.enter_async_context(beside(work))
    return caller


async def measure(way: str, server: MeasuredServer, sessions: int, seconds: float) -> dict[str, float]:
    said, pacer = speech(), Pacer()
    idle_mb = server.usage.memory_full_info().uss / 1e6
    async with AsyncExitStack() as stack:
        dial = by_socket if way == "WebSocket" else by_call
        callers = [await dial(stack, server.url, pacer, said) for _ in range(sessions)]
        await asyncio.sleep(SETTLE_S)
        for caller in callers:
            caller.frames.clear()
        before_s, loop = server.cpu_s(), asyncio.get_running_loop()
        began_at = loop.time()
        await asyncio.sleep(seconds)
        took_s, used_s = loop.time() - began_at, server.cpu_s() - before_s
        jitter = spread([off for caller in callers for off in caller.jitter_ms()])
        return {
            "cpu_s_per_session_minute": used_s / sessions / took_s * 60,
            "sessions_per_core": sessions * took_s / used_s,
            "mb_per_session": (server.usage.memory_full_info().uss / 1e6 - idle_mb) / sessions,
            "threads": server.usage.num_threads(),
            "jitter_p50_ms": jitter["p50"],
            "jitter_p95_ms": jitter["p95"],
            "jitter_p99_ms": jitter["p99"],
            "frames": jitter["n"],
        }


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=12.0)
    options = parser.parse_args()
    figures: dict[str, dict[str, float]] = {}
    for way, kind in WAYS.items():
        async with measured_server(kind) as server:
            figures[way] = await measure(way, server, options.sessions, options.seconds)
    report(figures, options.sessions)
    save(options.json, figures)


def report(figures: dict[str, dict[str, float]], sessions: int) -> None:
    columns: Sequence[str] = (
        *("way", "CPU s per session-minute", "sessions per core", "MB per session", "threads"),
        *("jitter p50, ms", "p95", "p99", "frames"),
    )
    show(
        f"{sessions} sessions in which both sides speak",
        columns,
        [(way, *row.values()) for way, row in figures.items()],
    )
    ours, stock = (figures[way]["cpu_s_per_session_minute"] for way in list(WAYS)[:2])
    print(f"aiortc's stock path takes {stock / ours:.2f} times the CPU of ours")


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
