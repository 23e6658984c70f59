"""Turn-taking over bad lines: the decisions of whole sessions, on virtual time, against those over a clean line.

A caller speaks human and synthetic questions, interrupts answers, and coughs over them. All that it says goes through
Opus, a lossy line and our ear into a session with the real voice activity detection, the real recognizer and paced
replies. The models' own time is taken out, so that the same line gives the same decisions on any machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np

from antiphon.apps.loadtest.question import breaths
from antiphon.audio import (
    EAR_RATE_HZ,
    FRAME_BYTES,
    FRAME_MS,
    FRAME_SAMPLES,
    MOUTH_RATE_HZ,
    WIRE_PCM_RATE_HZ,
    Samples,
    resample,
)
from antiphon.core.commands import CancelResponse
from antiphon.core.settings import SessionSettings, TurnSettings
from antiphon.engines.moonshine import Moonshine, _Job
from antiphon.engines.scripted import ScriptedBrain, ScriptedSynthesizer
from antiphon.engines.silero import Silero, SileroStream
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource
from antiphon.session.pacer import Pacer
from antiphon.session.session import Session
from antiphon.sim.caller import noise
from antiphon.sim.lossy_line import LineQuality, LossyLine
from antiphon.sim.outlet import RecordingOutlet
from antiphon.sim.speech import recordings
from antiphon.sim.virtual_time import run_virtual
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.opus import OpusEncoder
from benchmarks.conversation import spoken_questions
from benchmarks.tables import arguments, save, show

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

SILENCE_MS = 500
"""What ends a turn: the protocol's default."""
DECIDED_S = 2.0
"""A decision that has not come so long after the sound is missed."""
TALK_S = 0.8
"""How much of an answer is heard before something is said over it."""
COUGH_MS = 200
_ANSWER = "this is an answer that goes on for a while so that somebody may interrupt it if they want to do so now"


class _InlineSilero(Silero):
    """Judges at once, in virtual no time."""

    def enqueue(self, stream: SileroStream, window: Samples) -> None:
        stream.add(window)
        taken, fresh, skipped, _ = stream.take()
        self._deliver(self._judge([(stream, taken, fresh, skipped)]))


class _InlineMoonshine(Moonshine):
    """The same."""

    def submit(self, job: _Job) -> None:
        assert self._model is not None
        self._settle(job, job.stream.recognize(self._model, job.end_bytes, lambda: False))


@dataclass(slots=True)
class Decisions:
    turns: int = 0
    missed_ends: int = 0
    """Turns that had no answer in time."""
    false_ends: int = 0
    """Turns that were cut in two or more."""
    interruptions: int = 0
    missed_barge_ins: int = 0
    coughs: int = 0
    false_barge_ins: int = 0

    @property
    def made(self) -> int:
        return self.turns + self.interruptions + self.coughs

    @property
    def wrong_percent(self) -> float:
        wrong = self.missed_ends + self.false_ends + self.missed_barge_ins + self.false_barge_ins
        return 100 * wrong / max(self.made, 1)


class _Person:
    """At the far end of the line."""

    def __init__(self, session: Session, outlet: RecordingOutlet, ear: Ear, line: LossyLine, percent: int) -> None:
        self._session, self._outlet, self._ear, self._line = session, outlet, ear, line
        self._encoder = OpusEncoder(complexity=9, loss_percent=percent)
        self._unsaid = bytearray()
        self._silent = asyncio.Event()
        self.decisions = Decisions()

    async def microphone(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        next_at = loop.time()
        while True:
            frame = bytes(self._unsaid[:FRAME_BYTES]).ljust(FRAME_BYTES, b"\0")
            del self._unsaid[:FRAME_BYTES]
            payload = self._encoder.encode(frame)
            for delay_s in self._line.fate():
                loop.call_later(
                    delay_s, self._ear.packet, "opus", 1, number % 2**16, number * FRAME_SAMPLES % 2**32, payload
                )
            if not self._unsaid:
                self._silent.set()
            number += 1
            next_at += FRAME_MS / 1000
            await asyncio.sleep(next_at - loop.time())

    async def utter(self, pcm: bytes) -> None:
        self._silent.clear()
        self._unsaid += pcm
        await self._silent.wait()

    def _count(self, name: str) -> int:
        return len(self._outlet.named(name))

    async def _more(self, name: str, than: int) -> bool:
        """Whether the outlet is called once more in time."""
        try:
            async with asyncio.timeout(DECIDED_S):
                await self._outlet.until(lambda: self._count(name) > than)
        except TimeoutError:
            return False
        return True

    async def ask(self, pcm: bytes) -> bool:
        """A turn of its own; whether an answer is to be heard."""
        ends, started = self._count("committed"), self._count("playout_started")
        await self.utter(pcm)
        self.decisions.turns += 1
        came = await self._more("committed", ends)
        heard = came and await self._more("playout_started", started)
        await asyncio.sleep(TALK_S)
        self.decisions.missed_ends += not heard
        self.decisions.false_ends += self._count("committed") > ends + 1
        return heard and self._outlet.playing is not None

    async def interrupt(self, pcm: bytes) -> None:
        cuts = self._count("playout_cut")
        self.decisions.interruptions += 1
        await self.utter(pcm)
        self.decisions.missed_barge_ins += not await self._more("playout_cut", cuts)
        await asyncio.sleep(DECIDED_S)

    async def cough(self) -> None:
        cuts = self._count("playout_cut")
        self.decisions.coughs += 1
        await self.utter(noise_at_mouth(COUGH_MS, seed=self.decisions.coughs))
        self.decisions.false_barge_ins += await self._more("playout_cut", cuts)

    async def end_answer(self) -> None:
        if self._outlet.live or self._outlet.playing is not None:
            self._session.post(CancelResponse(None))
        await asyncio.sleep(DECIDED_S)


def noise_at_mouth(ms: int, seed: int) -> bytes:
    return resample(noise(ms, seed=seed), EAR_RATE_HZ, MOUTH_RATE_HZ)


async def phrases() -> list[bytes]:
    """At 48 kHz: human speech in one breath, and questions in Pico's voice."""
    human = [piece.tobytes() for recording in recordings() for piece in breaths(recording.spoken)]
    spoken = [resample(question.pcm, WIRE_PCM_RATE_HZ, MOUTH_RATE_HZ) for question in await spoken_questions()]
    return [resample(pcm, EAR_RATE_HZ, MOUTH_RATE_HZ) for pcm in human] + spoken


@asynccontextmanager
async def _models() -> AsyncIterator[tuple[Silero, Moonshine]]:
    vad, recognizer = _InlineSilero(), _InlineMoonshine()
    await vad.load()
    await recognizer.load()
    try:
        yield vad, recognizer
    finally:
        await recognizer.close()
        await vad.close()


async def over(quality: LineQuality, seed: int, said: Sequence[bytes], vad: Silero, recognizer: Moonshine) -> Decisions:
    suite = Suite(vad, recognizer, ScriptedBrain(answers=[_ANSWER]), ScriptedSynthesizer())
    settings = SessionSettings(turn=TurnSettings(paced=True, silence_duration_ms=SILENCE_MS))
    outlet, pacer = RecordingOutlet(), Pacer()
    session = Session(suite, outlet, settings, ids=IdSource(seed), pacer=pacer)
    ear = Ear(session.hear, pacer)
    person = _Person(session, outlet, ear, LossyLine(quality, seed), round(quality.loss * 100))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(session.run())
        microphone = group.create_task(person.microphone())
        await asyncio.sleep(1)
        for number, pcm in enumerate(said):
            if await person.ask(pcm):
                if number % 2:
                    await person.cough()
                else:
                    await person.interrupt(said[(number + 1) % len(said)])
            await person.end_answer()
        microphone.cancel()
        session.close()
        await running
    ear.close()
    return person.decisions


async def measure(lines: Sequence[str], seeds: int, count: int) -> dict[str, Decisions]:
    found: dict[str, Decisions] = {}
    said = await phrases()
    said = [said[number] for number in np.linspace(0, len(said) - 1, min(count, len(said))).astype(int)]
    async with _models() as (vad, recognizer):
        for name in lines:
            total = found[name] = Decisions()
            for seed in range(1, seeds + 1):
                decisions = await over(LINES[name], seed, said, vad, recognizer)
                for part in Decisions.__slots__:
                    setattr(total, part, getattr(total, part) + getattr(decisions, part))
    return found


def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--seeds", type=int, default=1, help="how many times each line")
    parser.add_argument("--phrases", type=int, default=8, help="how many of the phrases are said")
    parser.add_argument("--lines", nargs="+", choices=LINES, default=["clean", "5 % loss", "20 % loss in bursts of 3"])
    parser.add_argument("--all", action="store_true", help="all lines and all phrases")
    options = parser.parse_args()
    lines, count = (list(LINES), 1000) if options.all else (options.lines, options.phrases)
    found = run_virtual(measure(lines, options.seeds, count))
    names = {part: part.replace("_", " ") for part in Decisions.__slots__}
    clean = found.get("clean", Decisions()).wrong_percent
    figures = {
        line: {part: getattr(each, part) for part in names}
        | {"wrong_percent": each.wrong_percent, "points_from_clean": each.wrong_percent - clean}
        for line, each in found.items()
    }
    columns = ("line", *names.values(), "wrong %", "from clean, points")
    show("Decisions over a line", columns, [(line, *row.values()) for line, row in figures.items()])
    save(options.json, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
