"""How the audio of a reply goes out: at once, or frame by frame with holds."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.audio import FRAME_BYTES, FRAME_MS
from antiphon.session.pacer import Pacer
from antiphon.session.speaker import PACED_AHEAD_S, BurstSpeaker, PacedSpeaker
from antiphon.sim.virtual_time import run_virtual


class Ears:
    """Collects what a speaker does, with the loop's time."""

    def __init__(self) -> None:
        self.frames: list[tuple[float, bytes]] = []
        self.audible_at: list[float] = []
        self.drained_at: list[float] = []
        self.drained_event = asyncio.Event()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def send(self, pcm: bytes, plays_at: float) -> None:
        self.frames.append((self._now(), pcm))

    def audible(self) -> None:
        self.audible_at.append(self._now())

    def reached(self, heard_ms: float) -> None:
        assert heard_ms <= len(self.frames) * FRAME_MS

    def drained(self) -> None:
        self.drained_at.append(self._now())
        self.drained_event.set()

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.frames)


def ramp(frames: float) -> bytes:
    """Audio in which every sample differs from its neighbours."""
    count = int(frames * FRAME_BYTES / 2)
    return b"".join((index % 65_521).to_bytes(2, "little") for index in range(count))


def test_paced_audio_leaves_at_once_and_then_every_20_ms() -> None:
    async def run() -> Ears:
        ears = Ears()
        speaker = PacedSpeaker(ears, Pacer())
        speaker.push(ramp(50))
        speaker.finish()
        await ears.drained_event.wait()
        return ears

    ears = run_virtual(run())
    assert ears.audible_at == [0.0]
    assert len(ears.frames) == 50
    assert ears.pcm == ramp(50)
    for index, (time, _) in enumerate(ears.frames):
        assert abs(time - index * 0.020) <= 0.0051, "on the grid, to within a slot"


@pytest.mark.parametrize("pause_at_s", [0.0, 0.1, 0.2049, 0.39])
def test_a_paused_reply_goes_on_from_the_exact_sample(pause_at_s: float) -> None:
    async def run() -> tuple[Ears, float]:
        ears = Ears()
        speaker = PacedSpeaker(ears, Pacer())
        speaker.push(ramp(20.5))
        speaker.finish()
        await asyncio.sleep(pause_at_s)
        speaker.pause()
        paused = len(ears.frames)
        await asyncio.sleep(1.0)
        assert len(ears.frames) == paused, "no frame leaves while it is held"
        speaker.resume()
        await ears.drained_event.wait()
        return ears, speaker.heard_ms()

    ears, heard_ms = run_virtual(run())
    assert ears.pcm == ramp(20.5).ljust(21 * FRAME_BYTES, b"\0")
    assert len(ears.drained_at) == 1
    assert heard_ms == 410.0


def test_a_stopped_reply_is_silent_and_tells_what_was_heard() -> None:
    async def run() -> tuple[float, int, int]:
        ears = Ears()
        speaker = PacedSpeaker(ears, Pacer())
        speaker.push(ramp(100))
        await asyncio.sleep(0.5)
        heard_ms = speaker.stop()
        sent = len(ears.frames)
        speaker.push(ramp(5))
        await asyncio.sleep(1)
        return heard_ms, sent, len(ears.frames)

    heard_ms, sent, after = run_virtual(run())
    assert heard_ms == sent * FRAME_MS
    assert after == sent


def test_a_voice_that_is_slower_than_speech_leaves_gaps_and_loses_nothing() -> None:
    async def run() -> Ears:
        ears = Ears()
        speaker = PacedSpeaker(ears, Pacer())
        audio = ramp(10)
        for start in range(0, len(audio), 2880):
            speaker.push(audio[start : start + 2880])
            await asyncio.sleep(0.1)
        speaker.finish()
        await ears.drained_event.wait()
        return ears

    assert run_virtual(run()).pcm == ramp(10)


def test_the_voice_waits_when_enough_is_ahead() -> None:
    async def run() -> float:
        speaker = PacedSpeaker(Ears(), Pacer())
        speaker.push(ramp(50 * PACED_AHEAD_S + 25))
        await speaker.room()
        return asyncio.get_running_loop().time()

    assert run_virtual(run()) == pytest.approx(0.5, abs=0.03)


def test_burst_audio_leaves_whole_and_is_heard_as_time_passes() -> None:
    async def run() -> tuple[Ears, float, float | None]:
        ears = Ears()
        speaker = BurstSpeaker(ears)
        speaker.push(ramp(50))
        speaker.push(b"")
        await asyncio.sleep(0.25)
        heard_ms = speaker.heard_ms()
        assert speaker.deadline() is None, "more may come"
        speaker.finish()
        ends_at = speaker.deadline()
        speaker.expire()
        assert not ears.drained_at
        await asyncio.sleep(0.75)
        speaker.expire()
        return ears, heard_ms, ends_at

    ears, heard_ms, ends_at = run_virtual(run())
    assert [len(pcm) for _, pcm in ears.frames] == [50 * FRAME_BYTES]
    assert ears.audible_at == [0.0]
    assert heard_ms == pytest.approx(250)
    assert ends_at == pytest.approx(1.0)
    assert len(ears.drained_at) == 1
