from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import numpy as np
import pytest

from antiphon.audio import Samples
from antiphon.core.energy_gate import EnergyGate, level_of
from antiphon.core.events import SpeechPaused, SpeechStarted
from antiphon.core.speech_gate import WINDOW_MS, SpeechGate
from antiphon.engines.base import VAD_WINDOW_SAMPLES as WINDOW
from antiphon.engines.silero import MAX_QUEUED_WINDOWS, Silero
from antiphon.errors import EngineError
from antiphon.sim.speech import recordings

RATE_HZ = 16_000


@pytest.fixture
async def vad() -> AsyncIterator[Silero]:
    engine = Silero()
    await engine.load()
    yield engine
    await engine.close()


class Ear:
    """A stream and what it answered."""

    def __init__(self, vad: Silero) -> None:
        self.heard: list[float] = []
        self._changed = asyncio.Event()
        self.stream = vad.open(self._on_probability)

    def _on_probability(self, probability: float) -> None:
        self.heard.append(probability)
        self._changed.set()

    def push(self, samples: Samples) -> int:
        count = len(samples) // WINDOW
        for i in range(count):
            self.stream.push(samples[i * WINDOW : (i + 1) * WINDOW])
        return count

    async def until(self, count: int) -> list[float]:
        async with asyncio.timeout(20):
            while len(self.heard) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.heard

    async def judge(self, samples: Samples) -> list[float]:
        """The probabilities of a recording of any length, fed no faster than they come."""
        done = len(self.heard)
        for start in range(0, len(samples), 16 * WINDOW):
            done += self.push(samples[start : start + 16 * WINDOW])
            await self.until(done)
        return self.heard


def noise(seconds: float, rms: float, seed: int = 0) -> Samples:
    return np.random.default_rng(seed).normal(0, rms, int(seconds * RATE_HZ)).round().astype(np.int16)


async def test_speech_is_told_from_noise(vad: Silero) -> None:
    speech = await Ear(vad).judge(recordings()[1].spoken[: 3 * RATE_HZ])
    assert np.median(speech) > 0.9
    for rms in (0, 30, 1000):
        assert max(await Ear(vad).judge(noise(3, rms))) < 0.3


async def test_a_stream_answers_alone_as_it_does_among_fifty(vad: Silero) -> None:
    speech = recordings()[0].spoken
    parts = [speech[i * 1000 : i * 1000 + 12 * WINDOW] for i in range(50)]
    alone = [await Ear(vad).judge(part) for part in parts]
    together = [Ear(vad) for _ in parts]
    for ear, part in zip(together, parts, strict=True):
        ear.push(part)
    for ear, expected in zip(together, alone, strict=True):
        np.testing.assert_allclose(await ear.until(12), expected, atol=1e-3)


async def test_a_reset_forgets_the_past_and_keeps_the_answers_under_way(vad: Silero) -> None:
    speech = recordings()[0].spoken[: 10 * WINDOW]
    fresh = list(await Ear(vad).judge(speech))
    ear = Ear(vad)
    ear.push(recordings()[1].spoken[: 20 * WINDOW])
    ear.stream.reset()
    ear.push(speech)
    np.testing.assert_allclose((await ear.until(30))[20:], fresh, atol=1e-3)


async def test_nothing_comes_after_close(vad: Silero) -> None:
    closed, other = Ear(vad), Ear(vad)
    closed.push(recordings()[0].spoken[: 30 * WINDOW])
    closed.stream.close()
    closed.push(recordings()[0].spoken[: 2 * WINDOW])
    other.push(recordings()[0].spoken[: 30 * WINDOW])
    await other.until(30)
    assert closed.heard == []


async def test_a_window_that_finds_no_room_is_counted_and_still_answered(vad: Silero) -> None:
    ear = Ear(vad)
    count = ear.push(recordings()[0].spoken[: 5 * MAX_QUEUED_WINDOWS // 2 * WINDOW])
    assert len(await ear.until(count)) == count
    assert 0 < ear.stream.dropped < count


async def test_a_callback_that_fails_harms_nobody_else(vad: Silero) -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))

    def fail(_: float) -> None:
        raise ValueError("a session's defect")

    bad, good = vad.open(fail), Ear(vad)
    bad.push(noise(1, 10)[:WINDOW])
    good.push(noise(1, 10))
    await good.until(31)
    assert [str(error) for error in reported] == ["a session's defect"]


async def test_it_must_be_loaded_and_its_windows_be_whole(vad: Silero) -> None:
    with pytest.raises(EngineError):
        Silero().open(lambda _: None)
    with pytest.raises(ValueError, match="512"):
        Ear(vad).stream.push(np.zeros(100, np.int16))


async def test_close_ends_the_thread_and_may_be_called_twice() -> None:
    engine = Silero()
    await engine.close()
    await engine.load()
    await engine.load()
    ear = Ear(engine)
    ear.push(noise(1, 10))
    await engine.close()
    await engine.close()
    ear.stream.close()
    assert not any(thread.name == "silero" for thread in threading.enumerate())


def phrases() -> list[Samples]:
    """Single phrases of human speech that begin and end sharply, cut at the pauses of the recording."""
    spoken = recordings()[0].samples
    return [
        spoken[int(a * RATE_HZ) : int(b * RATE_HZ)] for a, b in ((0.33, 1.44), (1.86, 2.68), (3.54, 4.09), (8.16, 8.9))
    ]


@pytest.mark.parametrize(("gain", "within_ms"), [(1.0, 100), (0.1, 130), (10**-1.5, 250)])
async def test_edges_of_human_speech_come_in_time(vad: Silero, gain: float, within_ms: int) -> None:
    """Through both gates, as a session hears: each phrase has its edges, also when spoken 20 and 30 dB lower."""
    parts: list[Samples] = []
    truth: list[tuple[float, float]] = []
    at = 0
    for i, phrase in enumerate(phrases()):
        pause = noise(2.5 + i * 0.01, 0)
        parts += [pause, (phrase * gain).astype(np.int16)]
        truth.append(((at + len(pause)) / 16, (at + len(pause) + len(phrase)) / 16))
        at += len(pause) + len(phrase)
    signal = np.concatenate([*parts, noise(2, 0)])
    edges, looked_at = await hear(vad, signal + noise(len(signal) / RATE_HZ + 1, 3)[: len(signal)])
    starts = [edge.position_ms for edge in edges if isinstance(edge, SpeechStarted)]
    pauses = [edge.position_ms for edge in edges if isinstance(edge, SpeechPaused)]
    assert looked_at < 0.6
    assert all(any(start <= heard <= end for start, end in truth) for heard in starts)
    for start, end in truth:
        assert min(heard for heard in starts if heard >= start) - start <= within_ms
        last_pause = max(heard for heard in pauses if heard <= end + 500)
        assert last_pause - end <= (120 if gain == 1 else 300)


async def hear(vad: Silero, signal: Samples) -> tuple[list[SpeechStarted | SpeechPaused], float]:
    """The edges in a signal, and the share of its windows that the VAD had to look at."""
    ear, energy, gate = Ear(vad), EnergyGate(), SpeechGate()
    edges: list[SpeechStarted | SpeechPaused] = []
    windows = len(signal) // WINDOW
    for i in range(windows):
        window = signal[i * WINDOW : (i + 1) * WINDOW]
        probability = 0.0
        if energy.may_be_speech(level_of(window)) or gate.speaking:
            ear.push(window)
            probability = (await ear.until(len(ear.heard) + 1))[-1]
            if energy.surely_silent:
                probability = 0.0
        if edge := gate.push(probability, (i + 1) * WINDOW_MS):
            edges.append(edge)
    return edges, len(ear.heard) / windows
