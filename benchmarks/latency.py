"""Response latency on the audio, stage by stage.

Two servers, one after the other: the embedded engines, answering questions that a second voice speaks; and engines that
take stated times, in which whatever is more than those times is the server's own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from antiphon.apps.selftest.caller import Utterance
from antiphon.apps.server_process import local_server
from benchmarks.conversation import SCRIPTED_SERVER, Turn, ask, calling, spoken_questions, tone_questions
from benchmarks.tables import arguments, save, show, spread

STAGES = ("end_of_turn_ms", "recognizer_ms", "brain_ms", "voice_ms", "server_ms", "response_ms")
PAUSE_S = 0.5
"""Between an answer and the next question."""


async def measure(server: Sequence[str], questions: Sequence[Utterance], rounds: int) -> list[Turn]:
    turns = []
    async with local_server(server) as running, calling(running.url) as caller:
        for _ in range(rounds):
            for question in questions:
                turns.append(await ask(caller, question))
                await asyncio.sleep(PAUSE_S)
    return turns


def report(name: str, turns: Sequence[Turn]) -> dict[str, dict[str, float]]:
    figures = {"on the audio": spread([turn.response_ms for turn in turns])}
    figures |= {stage: spread([turn.figures[stage] for turn in turns]) for stage in STAGES}
    rows = [(stage, *values.values()) for stage, values in figures.items()]
    show(f"Response latency in ms, {name}", ("stage", "p50", "p95", "p99", "max", "turns"), rows)
    return figures


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each of the ten questions is asked")
    options = parser.parse_args()
    embedded = await measure(("--llm", "alice"), await spoken_questions(), options.rounds)
    stated = await measure(SCRIPTED_SERVER, tone_questions(), options.rounds)
    figures = {
        "embedded": report("embedded engines", embedded),
        "stated": report(f"engines of stated times ({' '.join(SCRIPTED_SERVER)})", stated),
    }
    save(options.json, figures)


if __name__ == "__main__":
    asyncio.run(main())
