"""What a bad line does to the user's words: our ear for RTP beside aiortc's stock receive buffer, on the same packets.

First on virtual time, with human speech through a lossy line: missing audio, delay, word error rate of the embedded
recognizer, and the edges of speech that the VAD finds, against those of a clean line. Then two peers over sockets:
the echo's round trip through a lossy relay, and the server's CPU for a session that hears and speaks all the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import jiwer

from antiphon.audio import samples_of
from antiphon.core.speech_gate import SpeechGate
from antiphon.core.text import words_of
from antiphon.engines.base import VAD_WINDOW_SAMPLES
from antiphon.engines.moonshine import Moonshine
from antiphon.engines.silero import Silero
from antiphon.session.pacer import Pacer
from antiphon.sim.lossy_line import LineQuality
from antiphon.sim.speech import recordings
from antiphon.sim.udp_relay import UdpRelay
from benchmarks.tables import arguments, save, show, spread
from benchmarks.webrtc_echo import Caller, echo_server
from benchmarks.webrtc_line import Heard, through_ours, through_stock

LINES = {
    "clean": LineQuality(),
    "1 % loss": LineQuality(loss=0.01),
    "5 % loss": LineQuality(loss=0.05),
    "10 % loss": LineQuality(loss=0.1),
    "20 % loss": LineQuality(loss=0.2),
    "5 % loss in bursts of 3": LineQuality(loss=0.05, burst_packets=3),
    "20 % loss in bursts of 3": LineQuality(loss=0.2, burst_packets=3),
    "100 ms jitter": LineQuality(jitter_ms=100),
    "5 % loss, 100 ms jitter": LineQuality(loss=0.05, jitter_ms=100),
    "10 % reordered by 30 ms": LineQuality(reordered=0.1),
    "10 % doubled": LineQuality(duplicated=0.1),
}
BUFFERS: dict[str, Callable[[LineQuality, int], Heard]] = {"ours": through_ours, "stock": through_stock}
ECHO_LINES = ("clean", "5 % loss", "100 ms jitter", "5 % loss, 100 ms jitter")

SAME_EDGE_S = 0.15
"""An edge of speech is the same as on the clean line when it is known within this time of it."""
TURN_ENDS_S = 0.5
"""A pause of this length ends a turn."""

ECHO_SECONDS = 20.0
CPU_SESSIONS = 8
CPU_SECONDS = 15.0


async def word_error_rate(recognizer: Moonshine, pcm: bytes) -> float:
    said = " ".join(recording.text for recording in recordings())
    stream = recognizer.open(lambda partial: None)
    stream.feed(pcm)
    heard = await stream.final()
    stream.close()
    return float(jiwer.wer(" ".join(words_of(said)), " ".join(words_of(heard.text))))


async def edges(vad: Silero, heard: Heard) -> list[tuple[str, float]]:
    """The edges of speech, and when they were known: in the line's time, as turn-taking goes by."""
    answers: asyncio.Queue[float] = asyncio.Queue()
    stream, gate, found = vad.open(answers.put_nowait), SpeechGate(), list[tuple[str, float]]()
    waiting, count = b"", 0
    for at, pcm in heard.pieces:
        waiting += pcm
        while len(waiting) >= VAD_WINDOW_SAMPLES * 2:
            stream.push(samples_of(waiting[: VAD_WINDOW_SAMPLES * 2]))
            waiting = waiting[VAD_WINDOW_SAMPLES * 2 :]
            count += 1
            if edge := gate.push(await answers.get(), count * 32):
                found.append((type(edge).__name__, at))
    stream.close()
    return found


def turns(found: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """The edges without the pauses that end no turn."""
    kept: list[tuple[str, float]] = []
    for kind, at in found:
        if kept and kind == "SpeechStarted" and at - kept[-1][1] < TURN_ENDS_S:
            kept.pop()
        else:
            kept.append((kind, at))
    return kept


def agreement(clean: list[tuple[str, float]], found: list[tuple[str, float]], shift_s: float) -> float:
    """The share of edges that both have: twice those in common over all (the F1 score)."""
    left = list(found)
    common = 0
    for kind, at in clean:
        same = [edge for edge in left if edge[0] == kind and abs(edge[1] - shift_s - at) <= SAME_EDGE_S]
        if same:
            left.remove(min(same, key=lambda edge: abs(edge[1] - shift_s - at)))
            common += 1
    return 2 * common / max(len(clean) + len(found), 1)


async def over_lines(seeds: int) -> dict[str, dict[str, float]]:
    recognizer, vad = Moonshine(), Silero()
    await recognizer.load()
    await vad.load()
    reference = await edges(vad, await asyncio.to_thread(through_ours, LineQuality(), 1))
    figures: dict[str, dict[str, float]] = {}
    for line, quality in LINES.items():
        for name, through in BUFFERS.items():
            rows: list[dict[str, float]] = []
            for seed in range(1, seeds + 1 if quality != LineQuality() else 2):
                heard = await asyncio.to_thread(through, quality, seed)
                delay = spread(heard.delays_ms)
                found, usual_s = await edges(vad, heard), delay["p50"] / 1000
                rows.append(
                    {
                        "missing_percent": heard.missing * (1 - heard.restored) * 100,
                        "restored_percent": heard.missing * heard.restored * 100,
                        "delay_p50_ms": delay["p50"],
                        "delay_p95_ms": delay["p95"],
                        "delay_max_ms": delay["max"],
                        "word_error_percent": await word_error_rate(recognizer, heard.pcm) * 100,
                        "edges_agree_percent": agreement(reference, found, usual_s) * 100,
                        "turns_agree_percent": agreement(turns(reference), turns(found), usual_s) * 100,
                    }
                )
            figures[f"{line}, {name}"] = {key: round(sum(row[key] for row in rows) / len(rows), 2) for key in rows[0]}
    await recognizer.close()
    await vad.close()
    return figures


async def round_trips() -> dict[str, dict[str, float]]:
    figures = {}
    for line in ECHO_LINES:
        for kind in BUFFERS:
            async with echo_server(kind) as server, UdpRelay(LINES[line]) as relay:
                caller = Caller(Pacer())
                await caller.connect(server, relay)
                await asyncio.sleep(ECHO_SECONDS)
                await caller.hang_up()
            figures[f"{line}, {kind}"] = spread(caller.round_trips_ms[1:])
    return figures


async def cpu() -> dict[str, dict[str, float]]:
    figures = {}
    for kind in BUFFERS:
        async with echo_server(kind) as server:
            pacer = Pacer()
            callers = [Caller(pacer) for _ in range(CPU_SESSIONS)]
            for caller in callers:
                await caller.connect(server)
            await asyncio.sleep(2)
            before = server.cpu_s()
            await asyncio.sleep(CPU_SECONDS)
            used_s = server.cpu_s() - before
            figures[kind] = {
                "cpu_s_per_session_minute": round(used_s / CPU_SESSIONS / CPU_SECONDS * 60, 3),
                "sessions_per_core": round(CPU_SESSIONS * CPU_SECONDS / used_s, 1),
                "threads": server.usage.num_threads(),
                "resident_mb": round(server.usage.memory_info().rss / 2**20, 1),
            }
            for caller in callers:
                await caller.hang_up()
    return figures


async def measure(seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    return {"lines": await over_lines(seeds), "echo": await round_trips(), "cpu": await cpu()}


def _show(title: str, first: str, columns: Sequence[str], rows: dict[str, dict[str, float]]) -> None:
    show(title, (first, *columns), [(name, *row.values()) for name, row in rows.items()])


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many times each line")
    options = parser.parse_args()
    figures = asyncio.run(measure(options.seeds))
    first = ("missing %", "restored %", "delay p50, ms", "p95", "max", "word errors %", "same edges %", "turns %")
    _show("Human speech over a line", "line, buffer", first, figures["lines"])
    _show("Round trip of an echo", "line, server", ("p50, ms", "p95", "p99", "max", "beeps"), figures["echo"])
    last = ("CPU s per session-minute", "sessions per core", "threads", "resident MB")
    _show(f"{CPU_SESSIONS} echoes", "server", last, figures["cpu"])
    save(options.json, figures)


if __name__ == "__main__":
    main()
