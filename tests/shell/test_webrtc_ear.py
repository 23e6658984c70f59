"""The ear of a call, on virtual time: packets in, the user's audio out, no moment missing and none twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

import numpy as np
import pytest
from tests.shell.test_webrtc_opus import EAR_FRAME_SAMPLES, encoded, likeness, speech

from antiphon.audio import (
    EAR_RATE_HZ,
    G711_RATE_HZ,
    MOUTH_RATE_HZ,
    Resampler,
    alaw_encode,
    resample,
    samples_of,
    ulaw_encode,
)
from antiphon.errors import ConfigError
from antiphon.session.pacer import Pacer
from antiphon.sim.lossy_line import LineQuality, LossyLine
from antiphon.sim.virtual_time import VirtualTimeLoop, run_virtual
from antiphon.transport.webrtc.ear import Ear
from antiphon.transport.webrtc.opus import OpusDecoder

FRAME_S = 0.02
EAR_FRAME_BYTES = EAR_FRAME_SAMPLES * 2


class Listening:
    """An ear, and what it has heard with the times."""

    def __init__(self) -> None:
        self.pieces: list[tuple[float, bytes]] = []
        self.loop = asyncio.get_running_loop()
        self.ear = Ear(self._heard, Pacer())

    def _heard(self, pcm: bytes) -> None:
        self.pieces.append((self.loop.time(), pcm))

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.pieces)

    async def take(self, packets: Iterable[bytes | None], codec: str = "opus", source: int = 1, first: int = 0) -> None:
        """Gives it a packet each 20 ms; None is lost."""
        samples = 960 if codec == "opus" else 160
        for number, payload in enumerate(packets, first):
            if payload is not None:
                self.ear.packet(codec, source, number % 2**16, number * samples % 2**32, payload)
            await asyncio.sleep(FRAME_S)


def listen(script: Callable[[Listening], Coroutine[Any, Any, None]]) -> Listening:
    """Runs it, closes the ear, and sees to it that nothing is left behind."""

    async def run() -> Listening:
        listening = Listening()
        await script(listening)
        listening.ear.close()
        return listening

    return run_virtual(run())


def decoded(packets: Iterable[bytes]) -> list[bytes]:
    decoder = OpusDecoder()
    return [decoder.decode(packet) for packet in packets]


def test_what_arrives_is_heard_at_once() -> None:
    packets = encoded(10)[:50]
    listening = listen(lambda listening: listening.take(packets))
    assert [pcm for _, pcm in listening.pieces] == decoded(packets)
    assert [at for at, _ in listening.pieces] == pytest.approx([i * FRAME_S for i in range(50)])


def test_a_lost_packet_is_restored_from_the_next_one() -> None:
    packets = encoded(10)
    lossy = [packet if i % 5 != 3 else None for i, packet in enumerate(packets)]
    listening = listen(lambda listening: listening.take(lossy))
    truth = decoded(packets)
    heard = [listening.pcm[at : at + EAR_FRAME_BYTES] for at in range(0, len(listening.pcm), EAR_FRAME_BYTES)]
    assert len(heard) == len(truth)
    scores = [
        likeness(samples_of(a), samples_of(b))
        for i, (a, b) in enumerate(zip(truth, heard, strict=True))
        if lossy[i] is None and np.abs(samples_of(a)).max() > 1000
    ]
    assert len(scores) > 5
    assert np.median(scores) > 0.8
    assert listening.ear.counts.lost == lossy.count(None)


def test_every_short_gap_is_concealed_however_many_there_are() -> None:
    packets = [packet if i % 5 not in (2, 3) else None for i, packet in enumerate(encoded(10))]
    listening = listen(lambda listening: listening.take(packets))
    truth = decoded(encoded(10))
    first_lost = range(2 * EAR_FRAME_BYTES, len(listening.pcm), 5 * EAR_FRAME_BYTES)
    loud = [at for at in first_lost if np.abs(samples_of(truth[at // EAR_FRAME_BYTES - 1])).max() > 500]
    assert len(loud) > 8
    assert all(listening.pcm[at : at + EAR_FRAME_BYTES].strip(b"\0") for at in loud)


def test_a_line_that_goes_quiet_is_followed_by_silence_in_real_time() -> None:
    async def script(listening: Listening) -> None:
        await listening.take(encoded(10)[:50])
        await asyncio.sleep(3.0)

    listening = listen(script)
    assert len(listening.pcm) / 2 / 16_000 == pytest.approx(4.0 - 0.2, abs=0.05)
    assert not listening.pcm[-32_000:].strip(b"\0")
    assert max(len(pcm) for _, pcm in listening.pieces) <= EAR_FRAME_BYTES


@pytest.mark.parametrize(("codec", "clock_hz"), [("opus", MOUTH_RATE_HZ), ("pcmu", G711_RATE_HZ)])
def test_gaps_of_any_length_are_heard_at_their_full_length(codec: str, clock_hz: int) -> None:
    payload = encoded(10)[20] if codec == "opus" else bytes(160)
    chance = random.Random(1)
    sent = 0

    async def script(listening: Listening) -> None:
        nonlocal sent
        for number in range(3000):
            listening.ear.packet(codec, 1, number, sent, payload)
            length = clock_hz // 50 + chance.randrange(clock_hz // 50)
            sent += length
            await asyncio.sleep(length / clock_hz)

    listening = listen(script)
    assert len(listening.pcm) / 2 / EAR_RATE_HZ == pytest.approx(sent / clock_hz, abs=2 * FRAME_S)


def test_a_packet_that_is_damaged_is_concealed() -> None:
    packets: list[bytes | None] = [*encoded(10)[:20]]
    packets[13] = None  # which the damaged one after it cannot restore
    packets[10] = b"\xfb\xff\xff"  # more frames than a packet may hold
    packets[14] = b"\x4a\xfb"  # a frame longer than the packet
    packets[11] = b""  # and one of mere padding
    listening = listen(lambda listening: listening.take(packets))
    assert listening.ear.damaged == 2
    assert len(listening.pcm) == 20 * EAR_FRAME_BYTES


@pytest.mark.parametrize(("codec", "encode"), [("pcmu", ulaw_encode), ("PCMA", alaw_encode)])
def test_telephone_codecs_are_heard_too(codec: str, encode: Callable[[bytes], bytes]) -> None:
    said = resample(b"".join(speech()), MOUTH_RATE_HZ, G711_RATE_HZ)
    packets = [encode(said[at : at + 320]) for at in range(0, len(said) - 319, 320)]
    lossy = [packet if i != 100 else None for i, packet in enumerate(packets)]
    listening = listen(lambda listening: listening.take(lossy, codec))
    heard = samples_of(listening.pcm)
    truth = samples_of(Resampler(G711_RATE_HZ, 16_000, "HQ").push(said, last=True))
    assert 0 <= len(packets) * EAR_FRAME_SAMPLES - len(heard) < 40, "but for the reach of the filter"
    assert likeness(truth[: len(heard)], heard) > 0.95
    assert listening.ear.counts.lost == 1


def test_another_source_and_another_codec_take_over() -> None:
    async def script(listening: Listening) -> None:
        await listening.take(encoded(10)[:10], source=1, first=500)
        await listening.take(encoded(10)[:10], source=2, first=7)
        await listening.take([bytes(160)] * 10, "pcmu", source=2, first=17)

    listening = listen(script)
    assert 0 <= 30 * EAR_FRAME_BYTES - len(listening.pcm) < 80


def test_a_codec_that_was_not_agreed_on_is_refused() -> None:
    async def script(listening: Listening) -> None:
        with pytest.raises(ConfigError, match="offer one of opus, pcmu, pcma"):
            listening.ear.packet("G722", 1, 0, 0, b"x")

    listen(script)


def test_after_the_loop_stood_still_what_arrived_meanwhile_counts() -> None:
    packets = encoded(10)[:60]

    async def script(listening: Listening) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        await listening.take(packets[:30])
        loop._elapse(0.5)  # somebody blocks it; 25 packets wait in the socket
        await asyncio.sleep(0.001)  # the pacer is served first
        for number in range(30, 55):
            listening.ear.packet("opus", 1, number, number * 960, packets[number])
        await listening.take(packets[55:], first=55)

    listening = listen(script)
    assert listening.pcm == b"".join(decoded(packets))


def test_who_hears_may_close_the_ear() -> None:
    async def script(listening: Listening) -> None:
        heard: list[bytes] = []

        def take_one(pcm: bytes) -> None:
            heard.append(pcm)
            ear.close()

        ear = Ear(take_one, Pacer())
        for number in (0, 2, 3, 1):
            ear.packet("opus", 1, number, number * 960, encoded(10)[number])
            await asyncio.sleep(FRAME_S)
        assert len(heard) == 1
        ear.close()

    listen(script)


def test_minutes_of_a_bad_line_neither_drift_nor_pile_up() -> None:
    packets, minutes = encoded(10), 2
    line = LossyLine(LineQuality(loss=0.05, jitter_ms=100, duplicated=0.02), seed=3)
    count = round(minutes * 60 / FRAME_S)
    most_waiting, behind_s = 0, list[float]()

    async def script(listening: Listening) -> None:
        nonlocal most_waiting
        loop, heard_bytes = listening.loop, 0

        def arrive(number: int) -> None:
            listening.ear.packet("opus", 1, number % 2**16, number * 960, packets[number % len(packets)])

        for number in range(count):
            for delay_s in line.fate():
                loop.call_later(delay_s, arrive, number)
            await asyncio.sleep(FRAME_S)
            heard_bytes += sum(len(pcm) for _, pcm in listening.pieces)
            listening.pieces.clear()
            most_waiting = max(most_waiting, listening.ear.waiting_packets)
            behind_s.append((number + 1) * FRAME_S - heard_bytes / 2 / EAR_RATE_HZ)

    listening = listen(script)
    assert max(behind_s) <= 0.2 + 2 * FRAME_S
    assert min(behind_s) >= -0.1 - FRAME_S, "what it is ahead is the delay of the first packet"
    assert abs(behind_s[-1] - behind_s[100]) < 0.12
    assert most_waiting <= 8
    counts = listening.ear.counts
    assert counts.lost / count == pytest.approx(0.05, abs=0.02)
    assert (counts.restarts, listening.ear.damaged) == (0, 0)
    assert counts.late < count / 200
