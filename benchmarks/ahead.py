"""Working ahead of the end of a turn, against not doing so: response latency, tokens in vain, wrong starts.

    python -m benchmarks.ahead

Whole sessions on virtual time over the dialogues of ``benchmarks.dialogues``: real speech, the embedded voice activity
detection and recognizer, and a brain and a voice of stated times. The same audio is heard in each row, so the figures
do not depend on the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from antiphon.apps.selftest.measures import percentile
from antiphon.audio import MOUTH_RATE_HZ, first_audible
from antiphon.core.settings import SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from antiphon.engines.base import Brain
from antiphon.engines.scripted import BrainOptions, ScriptedBrain, ScriptedSynthesizer
from antiphon.engines.silero import Silero
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource
from antiphon.session.meter import NoMeter
from antiphon.session.session import Session
from antiphon.sim.caller import Caller
from antiphon.sim.outlet import HeardReply, RecordingOutlet
from antiphon.sim.virtual_time import run_virtual
from benchmarks.dialogues import ANSWERS, Dialogue, SpokenTurn, spoken_dialogues
from benchmarks.tables import arguments, save, show
from benchmarks.traced_recognizer import InlineMoonshine, InlineSilero, TracedRecognizer

SILENCE_MS = 500
"""What ends a turn: the protocol's default."""

SPEEDS = tuple((first, rate) for first in (50, 200, 400) for rate in (20, 60))
"""Time to the first token in ms, and tokens a second."""

VOICE = "first_audio_ms=80,speed=5"

_LISTENED_S = 0.6
"""So much of each answer is heard before the user speaks again."""


SETTINGS = SessionSettings(TurnSettings(paced=True, silence_duration_ms=SILENCE_MS))


def answering(options: BrainOptions) -> Brain:
    """Of stated speed; what it answers does not depend on the words that were recognized."""
    return ScriptedBrain(options, answers=ANSWERS)


@dataclass(frozen=True, slots=True)
class Way:
    """How a session comes to its answers."""

    name: str
    ahead: Ahead
    brain: Callable[[BrainOptions], Brain] = answering
    settings: SessionSettings = SETTINGS
    listens: bool = False
    """The brain reads the words while the user still speaks."""


TURN_BASED = Way("turn-based", Ahead.NOTHING)
TEXT_AHEAD = Way("text ahead", Ahead.BRAIN)
WORK_AHEAD = Way("work ahead", Ahead.VOICE)
WAYS = (TURN_BASED, TEXT_AHEAD, WORK_AHEAD)


@dataclass(slots=True)
class Found:
    """What a way came to, over all dialogues."""

    response_ms: list[float] = field(default_factory=list)
    """From the true end of the user's last word to the first sound of the answer."""
    ready_ms: list[float] = field(default_factory=list)
    """To the voice's first audio of it: negative when it was ready before."""
    turns: int = 0
    unanswered: int = 0
    thrown_away: int = 0
    tokens: float = 0
    interrupted: int = 0
    """Answers that began while the user had not finished."""

    @property
    def wrong_starts(self) -> float:
        """In a hundred turns."""
        return 100 * (self.thrown_away + self.interrupted) / max(self.turns, 1)

    def row(self) -> dict[str, float]:
        return {
            "response_p50_ms": round(percentile(self.response_ms, 0.5), 1),
            "response_p95_ms": round(percentile(self.response_ms, 0.95), 1),
            "ready_p50_ms": round(percentile(self.ready_ms, 0.5), 1),
            "wasted_tokens_a_turn": round(self.tokens / max(self.turns, 1), 2),
            "wrong_starts_in_100": round(self.wrong_starts, 1),
            "unanswered": self.unanswered,
            "turns": self.turns,
        }


class _Waste(NoMeter):
    def __init__(self, found: Found) -> None:
        self._found = found

    def work_ahead(self, figures: dict[str, float]) -> None:
        self._found.thrown_away += int(figures["thrown_away"])
        self._found.tokens += figures["wasted_tokens"]


@asynccontextmanager
async def _session(way: Way, suite: Suite, found: Found) -> AsyncIterator[Caller]:
    outlet = RecordingOutlet()
    session = Session(suite, outlet, way.settings, ids=IdSource(1), meter=_Waste(found), room_ahead=lambda: way.ahead)
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


async def _ask(caller: Caller, turn: SpokenTurn, found: Found) -> None:
    """One turn, and the beginning of its answer."""
    outlet = caller.outlet
    began_at, before = caller.now, len(outlet.replies)
    await caller.utter(turn.pcm)
    ended_at = began_at + turn.length_s
    found.turns += 1
    try:
        async with asyncio.timeout(5):
            await outlet.until(lambda: _answer(outlet, before, ended_at) is not None)
    except TimeoutError:
        found.unanswered += 1
        return
    answer = _answer(outlet, before, ended_at)
    assert answer is not None and answer.first_audio_at is not None
    await caller.pause(_LISTENED_S * 1000)
    sound = (first_audible(bytes(answer.audio)) or 0) / MOUTH_RATE_HZ
    found.response_ms.append((answer.first_audio_at + sound - ended_at) * 1000)
    ready = [each.args[0] for each in outlet.named("answered") if each.args[0].reply == answer.id]
    found.ready_ms += [told.marks["voice_first_audio"] for told in ready]
    early = [reply for reply in list(outlet)[before:] if reply.first_audio_at is not None and reply is not answer]
    found.interrupted += len(early)
    caller.cancel()
    await caller.rest()
    await caller.pause(400)


def _answer(outlet: RecordingOutlet, before: int, ended_at: float) -> HeardReply | None:
    """The first of the new replies that sounds after the user's last word."""
    later = (reply for reply in list(outlet)[before:] if reply.first_audio_at is not None)
    return next((reply for reply in later if reply.first_audio_at and reply.first_audio_at >= ended_at), None)


async def hold(
    way: Way, speed: tuple[int, int], dialogues: Sequence[Dialogue], vad: Silero, recognizer: TracedRecognizer
) -> Found:
    """All dialogues, each in a session of its own."""
    found = Found()
    options = BrainOptions(first_token_ms=speed[0], token_ms=1000 / speed[1])
    for dialogue in dialogues:
        suite = Suite(vad, recognizer, way.brain(options), ScriptedSynthesizer.from_options(VOICE))
        async with _session(way, suite, found) as caller:
            await caller.pause(500)
            for turn in dialogue:
                await _ask(caller, turn, found)
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
    "wrong starts in 100 turns", "unanswered", "turns",
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
