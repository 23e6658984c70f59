"""The mouth of a call, on virtual time: frames leave as they are given, and the RTP clock is right across gaps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from aiortc.mediastreams import MediaStreamError
from tests.shell.test_webrtc_opus import speech

from antiphon.audio import FRAME_BYTES, FRAME_SAMPLES, MOUTH_RATE_HZ
from antiphon.errors import ConfigError
from antiphon.session.pacer import Pacer
from antiphon.sim.virtual_time import VirtualTimeLoop, run_virtual
from antiphon.transport.webrtc.mouth import KEEP_ALIVE_FRAMES, TAIL_FRAMES, Mouth

FRAME_S = 0.02


class Line:
    """A mouth, and what leaves it: when, at which RTP time in seconds, and how many bytes."""

    def __init__(self, codec: str = "opus") -> None:
        self.pacer = Pacer()
        self.mouth = Mouth(self.pacer, codec)
        self.loop = asyncio.get_running_loop()
        self.sent: list[tuple[float, float, int]] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            try:
                packet = await self.mouth.recv()
            except MediaStreamError:
                return
            assert packet.pts is not None
            self.sent.append((self.loop.time(), packet.pts / MOUTH_RATE_HZ, packet.size))

    async def say(self, frames: int) -> None:
        """As the session's speaker does: the first frame at once, the others on the pacer."""
        done = asyncio.Event()
        left = iter(speech()[:frames])

        def tick(now: float) -> None:
            frame = next(left, None)
            if frame is None:
                self.pacer.leave(tick)
                done.set()
            else:
                self.mouth.send(frame)

        self.mouth.send(next(left))
        self.pacer.join(tick)
        await done.wait()


def run(script: Callable[[Line], Coroutine[Any, Any, None]], codec: str = "opus") -> list[tuple[float, float, int]]:
    async def main() -> list[tuple[float, float, int]]:
        line = Line(codec)
        await script(line)
        line.mouth.stop()
        await line.reading
        return line.sent

    return run_virtual(main())


def test_a_frame_leaves_at_once() -> None:
    async def script(line: Line) -> None:
        line.mouth.start()
        await asyncio.sleep(1.2345)
        line.mouth.send(speech()[0])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert line.sent[-1][0] == line.loop.time()
        assert line.sent[-1][1] == pytest.approx(1.2345, abs=1e-4), "and the RTP clock says when"
        assert line.mouth.sent_samples == FRAME_SAMPLES

    run(script)


def test_speech_is_sent_without_drift_and_without_gaps_in_its_time() -> None:
    sent = run(lambda line: line.say(150))[1:]
    times = [at for _, at, _ in sent[:150]]
    assert times == pytest.approx([times[0] + i * FRAME_S for i in range(150)])
    lateness = [now - at for now, at, _ in sent[:150]]
    assert max(lateness) - min(lateness) <= 0.0201


def test_after_speech_comes_a_little_silence_and_then_hardly_anything() -> None:
    async def script(line: Line) -> None:
        await line.say(50)
        await asyncio.sleep(10)

    sent = run(script)
    after = [(now, size) for now, _, size in sent[1 + 50 :]]
    assert len(after) == pytest.approx(TAIL_FRAMES + 10 / FRAME_S / KEEP_ALIVE_FRAMES, abs=2)
    assert max(size for _, size in after[TAIL_FRAMES:]) < 40
    assert max(now for now, _ in after[:TAIL_FRAMES]) < 1.0 + (TAIL_FRAMES + 2) * FRAME_S


def test_across_gaps_the_rtp_clock_is_that_of_the_time() -> None:
    async def script(line: Line) -> None:
        for gap_s in (0.03, 0.11, 0.5, 3.0, 0.05):
            await line.say(20)
            await asyncio.sleep(gap_s)

    sent = run(script)
    early = [at - now for now, at, _ in sent]
    assert max(early) - min(early) < 0.045, "no frame is announced for another time than it is sent at"
    assert all(b[1] - a[1] >= FRAME_S - 1e-9 for a, b in pairwise(sent)), "and none overlap"


def test_in_ten_minutes_of_a_call_the_rtp_clock_parts_from_the_time_by_a_frame_at_most() -> None:
    """Replies of any length begin at any time, and the loop is often some ms late."""
    chance = random.Random(1)

    async def be_late(loop: VirtualTimeLoop) -> None:
        while True:
            await asyncio.sleep(chance.uniform(0.05, 1))
            loop._elapse(chance.uniform(0, 0.01))

    async def script(line: Line) -> None:
        assert isinstance(line.loop, VirtualTimeLoop)
        line.mouth.start()
        late = asyncio.create_task(be_late(line.loop))
        while line.loop.time() < 600:
            await asyncio.sleep(chance.expovariate(1 / 5))
            await line.say(chance.randrange(1, len(speech())))
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)

    sent = run(script)
    minutes = [[at - now for now, at, _ in sent if now // 60 == minute] for minute in range(10)]
    assert max(max(map(abs, early)) for early in minutes) < FRAME_S + 2 / MOUTH_RATE_HZ
    typical = [sorted(early)[len(early) // 2] for early in minutes]
    assert max(typical) - min(typical) < FRAME_S / 2, "and the last minute is as the first"


def test_a_loop_that_stood_still_does_not_tear_speech_apart() -> None:
    async def script(line: Line) -> None:
        assert isinstance(line.loop, VirtualTimeLoop)
        saying = asyncio.create_task(line.say(100))
        await asyncio.sleep(0.5)
        line.loop._elapse(0.15)
        await saying

    sent = run(script)
    times = [at for _, at, size in sent if size > 10][:90]
    assert times == pytest.approx([times[0] + i * FRAME_S for i in range(90)])


def test_what_nobody_takes_does_not_pile_up() -> None:
    async def main() -> None:
        mouth = Mouth(Pacer())
        for frame in speech():
            mouth.send(frame)
        assert mouth.sent_samples == len(speech()) * FRAME_SAMPLES
        first = await mouth.recv()
        assert first.pts is not None
        assert first.pts >= (len(speech()) - 11) * FRAME_SAMPLES, "the oldest went"
        mouth.stop()
        with pytest.raises(MediaStreamError):
            await mouth.recv()
        mouth.send(speech()[0])
        mouth.start()
        mouth.stop()

    run_virtual(main())


@pytest.mark.parametrize("codec", ["PCMU", "pcma"])
def test_telephone_codecs(codec: str) -> None:
    sent = run(lambda line: line.say(100), codec)
    assert {size for _, _, size in sent} == {160}


def test_a_wrong_frame_and_a_wrong_codec_are_refused() -> None:
    async def main() -> None:
        mouth = Mouth(Pacer())
        with pytest.raises(ValueError, match=f"a frame has {FRAME_BYTES} bytes, not 320"):
            mouth.send(bytes(320))
        mouth.stop()
        with pytest.raises(ConfigError, match="offer one of opus, pcmu, pcma"):
            Mouth(Pacer(), "G722")

    run_virtual(main())
