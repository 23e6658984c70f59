"""Working ahead of the end of a turn, against not doing so: response latency, tokens in vain, wrong starts.

    python -m benchmarks.ahead

Whole sessions on virtual time over the dialogues of ``benchmarks.dialogues``: real speech, the embedded voice activity
detection and recognizer, and a brain and a voice of stated times. The same audio is heard in each row, so the figures
do not depend on the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from antiphon.apps.selftest.measures import percentile
from antiphon.audio import MOUTH_RATE_HZ, first_audible
from antiphon.core.settings import SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from antiphon.engines.scripted import ScriptedSynthesizer
from antiphon.engines.silero import Silero
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource
from antiphon.session.session import Session
from antiphon.sim.caller import Caller
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.outlet import RecordingOutlet
from antiphon.sim.virtual_time import run_virtual
from benchmarks.dialogues import ANSWERS, Dialogue, SpokenTurn, spoken_dialogues
from benchmarks.stated_brain import StatedBrain
from benchmarks.tables import arguments, save, show
from benchmarks.traced_recognizer import InlineMoonshine, InlineSilero, TracedRecognizer

SILENCE_MS = 500
"""What ends a turn: the protocol's default."""

SPEEDS = tuple((first, rate) for first in (50, 200, 400) for rate in (20, 60))
"""Time to the first token in ms, and tokens a second."""

VOICE = "first_audio_ms=80,speed=5"

_LISTENED_MS = 600
"""So much of each answer is heard before the user goes on."""

_REST_MS = 400
_LONGEST_S = 6.0


_TURN_BY_TURN = SessionSettings(TurnSettings(paced=True, silence_duration_ms=SILENCE_MS))


@dataclass(frozen=True, slots=True)
class Way:
    """How a session comes to its answers."""

    name: str
    ahead: Ahead
    settings: SessionSettings = _TURN_BY_TURN
    listens: bool = False
    """The brain reads the words while the user still speaks."""
    judges: bool = False
    """And says nothing while it has not heard the whole turn."""
    keeps: int = 0
    """So many tokens at most of what it has thrown away stay the same, and need not be written again."""


WHOLE = 1000
"""More tokens than any answer has."""

TURN_BASED = Way("turn-based", Ahead.NOTHING)
TEXT_AHEAD = Way("text ahead", Ahead.BRAIN)
WORK_AHEAD = Way("work ahead", Ahead.VOICE)
OWN_WORK_AHEAD = Way("work ahead, own model", Ahead.VOICE, keeps=WHOLE)
WAYS = (TURN_BASED, TEXT_AHEAD, WORK_AHEAD)


@dataclass(slots=True)
class Found:
    """What a way came to, over all dialogues."""

    response_ms: list[float] = field(default_factory=list)
    """From the true end of the user's last word to the first sound of the answer."""
    ready_ms: list[float] = field(default_factory=list)
    """To the voice's first audio of it: negative when it was ready before."""
    tokens: int = 0
    """Written and not used."""
    wrong_starts: int = 0
    """Runs of the brain that wrote something that was not used."""
    spoke_too_soon: int = 0
    """Turns in which an answer sounded before the user had finished."""
    unanswered: int = 0
    turns: int = 0

    def row(self) -> dict[str, float]:
        hundred = 100 / max(self.turns, 1)
        return {
            "response_p50_ms": round(percentile(self.response_ms, 0.5), 1),
            "response_p95_ms": round(percentile(self.response_ms, 0.95), 1),
            "ready_p50_ms": round(percentile(self.ready_ms, 0.5), 1),
            "wasted_tokens_a_turn": round(self.tokens / max(self.turns, 1), 2),
            "wrong_starts_in_100": round(self.wrong_starts * hundred, 1),
            "too_soon_in_100": round(self.spoke_too_soon * hundred, 1),
            "unanswered": self.unanswered,
            "turns": self.turns,
        }


@asynccontextmanager
async def _session(way: Way, suite: Suite) -> AsyncIterator[Caller]:
    outlet = RecordingOutlet()
    session = Session(suite, outlet, way.settings, ids=IdSource(1), room_ahead=lambda: way.ahead)
    caller = Caller(session, outlet)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        microphone = group.create_task(caller.microphone())
        try:
            yield caller
        finally:
            microphone.cancel()
            session.close()
            await running


async def _ask(caller: Caller, brain: StatedBrain, turn: SpokenTurn, found: Found) -> None:
    """One turn, and the beginning of its answer."""
    outlet = caller.outlet
    began_at, before, runs = caller.now, len(outlet.replies), len(brain.runs)
    await caller.utter(turn.pcm)
    ended_at = began_at + turn.length_s
    found.turns += 1
    try:
        async with asyncio.timeout(_LONGEST_S):
            await outlet.until(lambda: _answer(outlet, before, ended_at) is not None)
    except TimeoutError:
        found.unanswered += 1
    else:
        answer = _answer(outlet, before, ended_at)
        assert answer is not None and answer.first_audio_at is not None
        await caller.pause(_LISTENED_MS)
        lead_s = (first_audible(bytes(answer.audio)) or 0) / MOUTH_RATE_HZ
        found.response_ms.append((answer.first_audio_at + lead_s - ended_at) * 1000)
        told = [each.args[0] for each in outlet.named("answered") if each.args[0].reply == answer.id]
        found.ready_ms += [each.marks["voice_first_audio"] for each in told]
        of_answer = [run for run in brain.runs[runs:] if run.at <= answer.first_audio_at and run.tokens][-1:]
        in_vain = [run for run in brain.runs[runs:] if run.tokens and run not in of_answer]
        found.tokens += sum(run.tokens for run in in_vain)
        found.wrong_starts += len(in_vain)
    early = [reply for reply in list(outlet)[before:] if reply.first_audio_at and reply.first_audio_at < ended_at]
    found.spoke_too_soon += bool(early)
    if outlet.live:
        caller.cancel()
    await caller.rest()
    await caller.pause(_REST_MS)


def _answer(outlet: RecordingOutlet, before: int, ended_at: float) -> HeardReply | None:
    """The first of the new replies that sounds after the user's last word."""
    new = list(outlet)[before:]
    return next((reply for reply in new if reply.first_audio_at and reply.first_audio_at >= ended_at), None)


async def hold(
    way: Way, speed: tuple[int, int], dialogues: Sequence[Dialogue], vad: Silero, recognizer: TracedRecognizer
) -> Found:
    """All dialogues, each in a session of its own."""
    found = Found()
    for dialogue in dialogues:
        brain = StatedBrain(*speed, judges=way.judges, keeps=way.keeps)
        suite = Suite(vad, recognizer, brain, ScriptedSynthesizer.from_options(VOICE))
        async with _session(way, suite) as caller:
            await caller.pause(_REST_MS)
            for turn, answer in zip(dialogue, ANSWERS, strict=True):
                brain.expect(turn.text, answer)
                await _ask(caller, brain, turn, found)
    return found


Results = dict[tuple[str, tuple[int, int]], Found]


async def measure(ways: Sequence[Way], speeds: Sequence[tuple[int, int]]) -> Results:
    vad, recognizer = InlineSilero(), TracedRecognizer(InlineMoonshine())
    await vad.load()
    await recognizer.load()
    dialogues = await spoken_dialogues()
    results = {}
    for speed in speeds:
        for way in ways:
            results[way.name, speed] = await hold(way, speed, dialogues, vad, recognizer)
    await recognizer.close()
    await vad.close()
    return results


COLUMNS = (
    "way", "first token, ms", "tokens/s", "response p50, ms", "p95", "audio ready p50, ms", "tokens in vain a turn",
    "wrong starts in 100 turns", "spoke too soon in 100", "unanswered", "turns",
)  # fmt: skip


def table_rows(results: Results) -> list[list[object]]:
    return [[name, *speed, *found.row().values()] for (name, speed), found in results.items()]


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--all", action="store_true", help="all speeds of the brain")
    options = parser.parse_args()
    results = run_virtual(measure(WAYS, SPEEDS if options.all else SPEEDS[2:3]))
    show("Working ahead", COLUMNS, table_rows(results))
    save(options.json, {f"{name} {first} {rate}": found.row() for (name, (first, rate)), found in results.items()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
