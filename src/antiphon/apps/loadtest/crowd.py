"""A crowd of callers in one process, kept cheap: no JSON is parsed for a frame, no task or timer exists for one.

``main`` takes a ``CrowdOrder`` as a line of JSON on stdin, writes ``ready`` when all callers are connected, and after
the stated time a ``CrowdResult`` as a line of JSON. A further line on stdin lets it hang up.
"""

from __future__ import annotations

import asyncio
import random
import sys
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, field

import aiohttp
import numpy as np
import orjson

from antiphon.apps.child import die_with_parent
from antiphon.apps.loadtest.question import Question, questions
from antiphon.apps.microphone import FRAME_S, SILENCE
from antiphon.apps.realtime_client import Arrival, ClientError, append_json, open_socket
from antiphon.audio import AUDIBLE, FRAME_MS, WIRE_PCM_RATE_HZ, samples_of

SLOTS = 4
"""Callers are spread over so many ticks within a frame's time, as independent ones would be."""
THINK_S = (0.4, 1.6)
"""How long a caller waits after an answer before it speaks again; drawn evenly."""
ANSWER_LIMIT_S = 10.0
"""A caller that has no answer after so long is lost."""
JITTER_BINS = 2000
"""Of a tenth of a millisecond; the last one takes all that is longer."""

_SILENCE_JSON = append_json(SILENCE)
_HEAD_CHARACTERS = 300
"""An event's type and ids stand within so much of its beginning, unless its audio goes before them."""


@dataclass(frozen=True, slots=True)
class CrowdOrder:
    """What a crowd is asked to do."""

    url: str
    sessions: int
    seconds: float
    seed: int
    api_key: str | None = None


@dataclass(slots=True)
class CrowdResult:
    """What it found. Times in ms."""

    turns: int = 0
    latencies_ms: list[float] = field(default_factory=list)
    jitter_tenths: list[int] = field(default_factory=lambda: [0] * JITTER_BINS)
    """A histogram: how many frames came so many tenths of a ms off 20 ms after the one before."""
    send_late_ms: float = 0.0
    """p99 of how late the crowd itself sent; when this is high, its other figures are worth little."""
    lost: list[str] = field(default_factory=list)
    """Why sessions were lost, one line each."""


class Caller:
    """One simulated caller: speaks, waits until the answer is over, thinks, speaks again. It is told the time."""

    def __init__(self, questions: tuple[Question, ...], rng: random.Random, result: CrowdResult, now: float) -> None:
        self._questions = questions
        self._random = rng
        self._result = result
        self._question: Question | None = None
        self._frame = 0
        self._speak_at = now + rng.uniform(0.0, 2 * THINK_S[1])
        self._asked_at: float | None = None
        """The true end of the question that has no whole answer yet."""
        self._answered = False
        """Its answer was audible."""
        self._last_frame_at: float | None = None
        self.lost: str | None = None

    def next_message(self, due_at: float) -> str:
        """The append of the frame whose last sample was captured at ``due_at``."""
        if self._question is None:
            if self._asked_at is not None:
                if due_at - self._asked_at > ANSWER_LIMIT_S and not self._answered:
                    self.lost = self.lost or f"no answer within {ANSWER_LIMIT_S:.0f} s"
                return _SILENCE_JSON
            if due_at < self._speak_at:
                return _SILENCE_JSON
            self._question = self._random.choice(self._questions)
            self._frame = 0
            self._answered = False
            self._asked_at = due_at - FRAME_S + self._question.end_sample / WIRE_PCM_RATE_HZ
        message = self._question.messages[self._frame]
        self._frame += 1
        if self._frame == len(self._question.messages):
            self._question = None
        return message

    def hear(self, text: str, at: float) -> None:
        """Takes an event as it came."""
        head = text[:_HEAD_CHARACTERS]
        if "response.output_audio.delta" in head:
            self._hear_audio(text, at)
        elif '"response.done"' in head:
            self._reply_done(text, at)
        elif '"type":"error"' in head:
            self.lost = self.lost or f"error: {orjson.loads(text)['error'].get('message')}"

    def _hear_audio(self, text: str, at: float) -> None:
        if self._last_frame_at is not None:
            off_ms = abs((at - self._last_frame_at) * 1000 - FRAME_MS)
            self._result.jitter_tenths[min(int(off_ms * 10), JITTER_BINS - 1)] += 1
        self._last_frame_at = at
        if self._answered or self._asked_at is None or self._question is not None:
            return
        pcm = Arrival(at, orjson.loads(text)).audio()
        audible = np.flatnonzero(np.abs(samples_of(pcm).astype(np.int32)) > AUDIBLE)
        if len(audible):
            self._answered = True
            self._result.latencies_ms.append((at + int(audible[0]) / WIRE_PCM_RATE_HZ - self._asked_at) * 1000)

    def _reply_done(self, text: str, at: float) -> None:
        self._last_frame_at = None
        response = orjson.loads(text)["response"]
        if response.get("status") != "completed" or not self._answered:
            return  # it was taken back because the caller went on: the next one answers
        self._result.turns += 1
        self._asked_at = None
        self._speak_at = at + self._random.uniform(*THINK_S)


@dataclass(frozen=True, slots=True)
class _Line:
    """A caller and its connection."""

    caller: Caller
    socket: aiohttp.ClientWebSocketResponse

    async def read(self) -> None:
        loop = asyncio.get_running_loop()
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.TEXT:
                self.caller.hear(message.data, loop.time())
        self.caller.lost = self.caller.lost or f"the server closed the connection (code {self.socket.close_code})"

    async def send(self, due_at: float) -> None:
        if self.caller.lost is None:
            await self.socket.send_str(self.caller.next_message(due_at))


async def _speak(lines: list[_Line], until: float, late_s: list[float]) -> None:
    """Sends everybody's frames, a slot of the callers at a time."""
    loop = asyncio.get_running_loop()
    tick_s = FRAME_S / SLOTS
    due_at = loop.time()
    slot = 0
    while due_at < until:
        due_at += tick_s
        await asyncio.sleep(max(0.0, due_at - loop.time()))
        late_s.append(loop.time() - due_at)
        for line in lines[slot::SLOTS]:
            await line.send(due_at)
        slot = (slot + 1) % SLOTS


async def crowd(order: CrowdOrder) -> CrowdResult:
    """Holds the conversations of ``order``, from the moment when all are connected."""
    loop = asyncio.get_running_loop()
    result = CrowdResult()
    said = questions()
    late_s: list[float] = []
    stdin = await _stdin()
    async with AsyncExitStack() as stack:
        lines: list[_Line] = []
        for number in range(order.sessions):
            rng = random.Random(f"{order.seed}/{number}")
            try:
                socket = await stack.enter_async_context(open_socket(order.url, order.api_key))
            except ClientError as error:
                result.lost.append(str(error))
                continue
            lines.append(_Line(Caller(said, rng, result, loop.time()), socket))
        readers = [asyncio.create_task(line.read()) for line in lines]
        _write(b"ready")
        await _speak(lines, loop.time() + order.seconds, late_s)
        result.lost += [line.caller.lost for line in lines if line.caller.lost is not None]
        result.send_late_ms = float(np.percentile(late_s, 99)) * 1000 if late_s else 0.0
        _write(orjson.dumps(asdict(result)))
        await stdin.readline()
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
    return result


async def _stdin() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    die_with_parent()
    order = CrowdOrder(**orjson.loads(sys.stdin.buffer.readline()))
    asyncio.run(crowd(order))


if __name__ == "__main__":
    main()
