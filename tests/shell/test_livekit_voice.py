"""The agent's voice through the SDK's own source, track and stream."""

from __future__ import annotations

import asyncio

import numpy as np

from antiphon.audio import EAR_RATE_HZ, FRAME_BYTES, FRAME_SAMPLES
from antiphon.transport.livekit.sdk import LiveKit
from antiphon.transport.livekit.voice import QUEUE_MS, WAITING_MS, Voice

LOUD = np.full(FRAME_SAMPLES, 8000, np.int16).tobytes()
TONE = (8000 * np.sin(np.arange(FRAME_SAMPLES) * 2 * np.pi * 500 / 48_000)).astype(np.int16).tobytes()


class Speaker:
    """Hears what comes out of a track, at 16 kHz."""

    def __init__(self, sdk: LiveKit, voice: Voice) -> None:
        self._stream = sdk.stream(voice.track)
        self.heard = bytearray()
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self._stream:
            self.heard += bytes(event.frame.data)
            self._more.set()

    def loud_ms(self) -> float:
        return float(np.count_nonzero(np.abs(np.frombuffer(self.heard, np.int16)) > 100)) * 1000 / EAR_RATE_HZ

    async def until_quiet(self, ms: int = 500) -> None:
        async with asyncio.timeout(20):
            while self.loud_ms() == 0 or np.abs(np.frombuffer(self.heard, np.int16)[-16 * ms :]).max() > 100:
                self._more.clear()
                await self._more.wait()

    async def close(self) -> None:
        await self._stream.aclose()
        await self._task


async def test_frames_come_out_in_order_and_silence_after_them() -> None:
    sdk = LiveKit()
    voice = Voice(sdk)
    running = asyncio.create_task(voice.run())
    speaker = Speaker(sdk, voice)
    for _ in range(WAITING_MS // 20):
        voice.say(TONE)
    await speaker.until_quiet()
    assert len(TONE) == FRAME_BYTES
    assert WAITING_MS * 0.85 < speaker.loud_ms() <= WAITING_MS + 5  # a sine is near zero for a moment now and then
    voice.finish()
    await running
    await speaker.close()
    await voice.close()


async def test_what_is_cleared_is_not_heard() -> None:
    sdk = LiveKit()
    voice = Voice(sdk)
    running = asyncio.create_task(voice.run())
    speaker = Speaker(sdk, voice)
    voice.say(TONE)
    async with asyncio.timeout(20):
        while not speaker.loud_ms():
            await asyncio.wait_for(speaker._more.wait(), 20)
            speaker._more.clear()
    before = speaker.loud_ms()
    for _ in range(WAITING_MS // 20):
        voice.say(TONE)
    voice.clear()
    await speaker.until_quiet()
    assert speaker.loud_ms() - before <= QUEUE_MS + 20
    voice.finish()
    await running
    await speaker.close()
    await voice.close()


async def test_what_waits_is_bounded() -> None:
    sdk = LiveKit()
    voice = Voice(sdk)
    for _ in range(1000):
        voice.say(LOUD)
    assert len(voice._frames) * 20 == WAITING_MS
    voice.finish()
    async with asyncio.timeout(20):
        await voice.run()  # it is over at once, with nothing said
    await voice.close()
