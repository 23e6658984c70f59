"""A long call over a bad line beside the same call over a clean one: does it stay in time, and does anything grow?

Two callers ask the same questions at the same times, one of them over a relay that loses, delays and so reorders its
media both ways. Its time is compared with the wall clock: where the server says that speech ended, and how much audio
has been heard. The server's memory, descriptors and tasks are sampled.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np
import uvloop

from antiphon.apps.realtime_client import ClientError
from antiphon.apps.selftest.caller import COMPLETED, Utterance
from antiphon.apps.selftest.measures import word_errors
from antiphon.apps.server_process import local_server
from antiphon.core.text import words_of
from antiphon.engines.moonshine import Moonshine
from antiphon.session.pacer import Pacer
from antiphon.sim.lossy_line import LineQuality
from antiphon.sim.udp_relay import UdpRelay
from benchmarks.conversation import spoken_questions
from benchmarks.soak import Place, Sample, beside, growth, watch
from benchmarks.tables import arguments, save, show, spread
from benchmarks.webrtc_phone import Phone, Said, dialled

SERVER = ("--llm", "alice", "--idle-timeout-s", "3600")
BAD = LineQuality(loss=0.05, jitter_ms=100)
PAUSE_S = 0.5
SETTLE_S = 3.0
SAMPLE_S = 0.5
SAMPLES = 4
"""Of so many, the least lag of what is heard counts: in 2 s, something is heard without a wait."""
STOPPED = "input_audio_buffer.speech_stopped"
OF_A_TURN = ("input_audio_buffer.", COMPLETED, "response.created", "response.done")


@dataclass(slots=True)
class Course:
    """What became of one caller's call."""

    asked: int = 0
    unanswered: int = 0
    said_words: int = 0
    said_errors: int = 0
    """Words of the caller that the server's recognizer got wrong."""
    told_words: int = 0
    told_errors: int = 0
    """Words of the answers that a recognizer at the caller got wrong."""
    response_ms: list[float] = field(default_factory=list)
    sent_off: list[tuple[float, float]] = field(default_factory=list)
    """By the time in s: where the server says that speech ended, less where it did in what was sent, in ms."""
    heard_off: list[tuple[float, float]] = field(default_factory=list)
    """By the time in s: how much less has been heard than time has passed, in ms; of each few seconds the least."""
    left_out_ms: float = 0.0
    """What the caller's process was too busy to send: the server is right to be off by it."""
    most_waiting_packets: int = 0
    longest_wait_ms: float = 0.0


class Talk:
    """A caller's way through the questions."""

    def __init__(self, phone: Phone, ear: Moonshine) -> None:
        self._phone = phone
        self._recognizer = ear
        self.course = Course()

    async def ask(self, question: Utterance) -> None:
        phone, course = self._phone, self.course
        phone.pieces.clear()
        phone.journal.arrivals.clear()
        course.asked += 1
        said = await phone.say(question)
        try:
            heard = await phone.answer(said)
        except ClientError as error:
            if phone.ended.done():
                raise
            came = [arrival for arrival in phone.journal.since(said.mark) if arrival.kind.startswith(OF_A_TURN)]
            told = ", ".join(f"{arrival.kind} {arrival.text('transcript')}".strip() for arrival in came)
            print(f"no answer to {question.text!r}: {error}; what came: {told or 'nothing'}")
            course.unanswered += 1
            return
        if heard.first_audible_at is None:
            course.unanswered += 1
            return
        course.response_ms.append((heard.first_audible_at - said.end_at) * 1000)
        self._compare(question, said)
        listening = self._recognizer.open(lambda partial: None)
        listening.feed(b"".join(pcm for at, pcm in phone.pieces if at > said.end_at))
        understood = (await listening.final()).text
        listening.close()
        course.told_words += len(words_of(heard.transcript))
        course.told_errors += word_errors(heard.transcript, understood)

    def _compare(self, question: Utterance, said: Said) -> None:
        journal, course = self._phone.journal, self.course
        understood = " ".join(arrival.text("transcript") for arrival in journal.since(said.mark, COMPLETED))
        course.said_words += len(words_of(question.text))
        course.said_errors += word_errors(question.text, understood)
        stops = journal.since(said.mark, STOPPED)
        if stops:
            sent_ms = (said.end_at - self._phone.began_at) * 1000
            course.sent_off.append((said.end_at, float(stops[-1].event["audio_end_ms"]) - sent_ms))

    async def sample(self) -> None:
        """Each half second, until cancelled."""
        phone, course = self._phone, self.course
        for number in itertools.count(1):
            await asyncio.sleep(SAMPLE_S)
            if number % SAMPLES == 0 and phone.least_behind_s < math.inf:
                now = asyncio.get_running_loop().time()
                course.heard_off.append((now, phone.least_behind_s * 1000))
                phone.least_behind_s = math.inf
            course.most_waiting_packets = max(course.most_waiting_packets, phone.ear.waiting_packets)
            course.left_out_ms = phone.left_out_s * 1000
            course.longest_wait_ms = max(course.longest_wait_ms, phone.ear.wait_ms)


def drift_ms_per_minute(course: Sequence[tuple[float, float]]) -> float:
    """By least squares."""
    if len(course) < 3:
        return float("nan")
    times, offs = zip(*course, strict=True)
    return float(np.polyfit(np.array(times) - times[0], offs, 1)[0] * 60)


def figures_of(course: Course) -> dict[str, float]:
    sent = [off for _, off in course.sent_off]
    heard = [off for _, off in course.heard_off]
    response = spread(course.response_ms)
    return {
        "questions": course.asked,
        "unanswered": course.unanswered,
        "question's words wrong, %": 100 * course.said_errors / max(course.said_words, 1),
        "answer's words wrong, %": 100 * course.told_errors / max(course.told_words, 1),
        "response p50, ms": response["p50"],
        "response p95, ms": response["p95"],
        "to the server: least off, ms": min(sent),
        "to the server: most off, ms": max(sent),
        "to the server: drift, ms a minute": drift_ms_per_minute(course.sent_off),
        "to the caller: least off, ms": min(heard),
        "to the caller: most off, ms": max(heard),
        "to the caller: drift, ms a minute": drift_ms_per_minute(course.heard_off),
        "the caller's microphone left out, ms": course.left_out_ms,
        "packets behind a gap, at most": course.most_waiting_packets,
        "a gap waits at most, ms": course.longest_wait_ms,
    }


async def converse(
    place: Place, minutes: float, quality: LineQuality, questions: Sequence[Utterance]
) -> tuple[dict[str, Course], Sample]:
    """The two calls, side by side, and the server's figures while both are there and nobody has spoken."""
    pacer, recognizer = Pacer(), Moonshine()
    await recognizer.load()
    async with (
        UdpRelay(quality, 1) as bad_relay,
        UdpRelay(LineQuality(), 2) as clean_relay,
        dialled(place.url, pacer, bad_relay, silence_duration_ms=500) as bad,
        dialled(place.url, pacer, clean_relay, silence_duration_ms=500) as clean,
    ):
        talks = {"bad": Talk(bad, recognizer), "clean": Talk(clean, recognizer)}
        await asyncio.sleep(SETTLE_S)
        before = await place.sample()
        until = time.monotonic() + minutes * 60
        async with beside(talks["bad"].sample()), beside(talks["clean"].sample()):
            number = 0
            while time.monotonic() < until:
                question = questions[number % len(questions)]
                await asyncio.gather(*(talk.ask(question) for talk in talks.values()))
                await asyncio.sleep(PAUSE_S)
                number += 1
        print(f"at the caller, over the bad line: {bad.ear.counts}, restored {bad.ear.restored}")
    await recognizer.close()
    return {name: talk.course for name, talk in talks.items()}, before


async def main() -> int:
    parser = arguments(__doc__)
    parser.add_argument("--minutes", type=float, default=0.6)
    parser.add_argument("--loss", type=float, default=BAD.loss, help="a share, both ways")
    parser.add_argument("--jitter", type=float, default=BAD.jitter_ms, help="ms, both ways")
    options = parser.parse_args()
    quality = LineQuality(loss=options.loss, jitter_ms=options.jitter)
    questions, samples = await spoken_questions(), list[Sample]()
    async with local_server(SERVER) as server, aiohttp.ClientSession() as http:
        place = Place(server, http)
        async with beside(watch(place, samples)):
            courses, before = await converse(place, options.minutes, quality, questions)
        await asyncio.sleep(SETTLE_S)
        after = await place.sample()
    calls = {name: figures_of(course) for name, course in courses.items()}
    bad, clean = calls["bad"], calls["clean"]
    title = f"{options.minutes:g} minutes; the bad line: {quality.loss:.0%} lost, {quality.jitter_ms:g} ms jitter"
    show(title, ("", "bad line", "clean line"), [(name, bad[name], clean[name]) for name in bad])
    rows = growth(before, after, samples)
    show("The server", ("", "at first", "after the calls", "most", "slope per minute"), rows)
    columns = ("what", "before", "after", "most", "slope")
    save(options.json, {"calls": calls, "growth": [dict(zip(columns, row, strict=True)) for row in rows]})
    return 1 if bad["unanswered"] > clean["unanswered"] else 0


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        raise SystemExit(runner.run(main()))
