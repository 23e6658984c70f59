"""From the VAD's edge to the last frame of the reply, on the frames, for 1 and for 10 sessions.

The server tells a client that asked for it when its state becomes ``barged_in``. Frames and states come on one
connection in the order in which they left, so a frame of the reply that arrives after that state left after the edge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from antiphon.apps.realtime_client import Arrival, send
from antiphon.apps.selftest.caller import Caller, Utterance
from antiphon.apps.server_process import local_server
from antiphon.audio import FRAME_MS
from benchmarks.conversation import calling, spoken_questions
from benchmarks.tables import arguments, save, show, spread

LONG = "Tell me about yourself."
INTERRUPTION = "Stop. How old are you?"
SPEAKING_S = 1.0


@dataclass(frozen=True, slots=True)
class BargeIn:
    onset_to_edge_ms: float
    """From the true onset of the user's sound until the state ``barged_in`` arrived."""
    frames_after_edge: int
    edge_to_last_frame_ms: float
    """When the last frame came, after the edge; 0 if it came before it."""
    decision_ms: float


async def interrupt(caller: Caller, long: Utterance, interruption: Utterance) -> BargeIn:
    spoken = await caller.say(long)
    reply = await caller.reply_began(spoken.mark)
    await caller.heard_for(reply, SPEAKING_S, spoken.mark)
    over = await caller.say(interruption)
    await caller.finished(reply, spoken.mark)
    arrivals = caller.journal.since(over.mark)
    edge = next(index for index, arrival in enumerate(arrivals) if _barged_in(arrival))
    frames = [arrival for arrival in arrivals[edge:] if _is_frame(arrival, reply)]
    timing = next(arrival for arrival in arrivals[edge:] if "decision_ms" in arrival.child("figures"))
    answer = await caller.reply_began(over.mark)
    await send(caller.client, {"type": "response.cancel", "response_id": answer})
    await caller.finished(answer, over.mark)
    return BargeIn(
        onset_to_edge_ms=(arrivals[edge].at - over.onset_at) * 1000,
        frames_after_edge=len(frames),
        edge_to_last_frame_ms=(frames[-1].at - arrivals[edge].at) * 1000 if frames else 0.0,
        decision_ms=float(timing.child("figures")["decision_ms"]),
    )


def _barged_in(arrival: Arrival) -> bool:
    return arrival.kind == "antiphon.state" and arrival.text("state") == "barged_in"


def _is_frame(arrival: Arrival, reply: str) -> bool:
    return arrival.kind == "response.output_audio.delta" and arrival.text("response_id") == reply


async def measure(url: str, sessions: int, rounds: int, lines: Sequence[Utterance]) -> list[BargeIn]:
    async def session(number: int) -> list[BargeIn]:
        async with calling(url) as caller:
            await asyncio.sleep(number * 0.37)  # people do not interrupt in chorus
            return [await interrupt(caller, *lines) for _ in range(rounds)]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(session(number)) for number in range(sessions)]
    return [barge_in for task in tasks for barge_in in task.result()]


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--rounds", type=int, default=5, help="barge-ins in each session")
    options = parser.parse_args()
    lines = await spoken_questions((LONG, INTERRUPTION))
    figures = {}
    async with local_server(("--llm", "alice")) as server:
        for sessions in options.sessions:
            found = await measure(server.url, sessions, options.rounds, lines)
            rows = {
                "true onset to edge": spread([one.onset_to_edge_ms for one in found]),
                "edge to last frame": spread([one.edge_to_last_frame_ms for one in found]),
                "decision": spread([one.decision_ms for one in found]),
            }
            late = sum(one.frames_after_edge for one in found)
            figures[str(sessions)] = {**rows, "frames_after_edge": late}
            title = f"Barge-in in ms, {sessions} session(s); {late} frames of {FRAME_MS} ms left after the edge"
            table = [(name, *values.values()) for name, values in rows.items()]
            show(title, ("figure", "p50", "p95", "p99", "max", "barge-ins"), table)
    save(options.json, figures)


if __name__ == "__main__":
    asyncio.run(main())
