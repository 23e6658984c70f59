"""The mouth: how the audio of one reply goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.playout import BurstPlayout, PacedPlayout
from antiphon.session.pacer import Pacer

PACED_AHEAD_S = 2.0
"""A paced reply is synthesized so far ahead of its playout, and no further."""

BURST_AHEAD_S = 30.0
"""The same for audio that is sent at once, which waits in the client."""


class Listener(Protocol):
    """Who wants to know what the speaker does."""

    def send(self, pcm: bytes, plays_at: float) -> None:
        """Sends audio to the client: mono s16 at 48 kHz. A client that plays at once plays it at ``plays_at``."""
        ...

    def audible(self) -> None:
        """The first sample has left."""
        ...

    def reached(self, heard_ms: float) -> None:
        """A paced playout has come to this place."""
        ...

    def drained(self) -> None:
        """All was played."""
        ...


class Speaker(Protocol):
    """Plays one reply. All calls are made in the event loop."""

    def push(self, pcm: bytes) -> None: ...

    def finish(self) -> None:
        """No more audio will come."""
        ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def stop(self) -> float:
        """Plays no more; returns how much was heard, in ms."""
        ...

    def heard_ms(self) -> float: ...

    def ahead_s(self) -> float:
        """How much audio waits to be heard."""
        ...

    def deadline(self) -> float | None:
        """When ``expire`` wants to be called, in the loop's time."""
        ...

    def expire(self) -> None: ...

    async def room(self) -> None:
        """Returns when more audio is welcome."""
        ...


def _ms(samples: int) -> float:
    return samples * 1000 / MOUTH_RATE_HZ


class PacedSpeaker:
    """20 ms frames on the pacer's clock. The first frame leaves at once."""

    def __init__(self, listener: Listener, pacer: Pacer) -> None:
        self._listener = listener
        self._pacer = pacer
        self._loop = asyncio.get_running_loop()
        self._playout = PacedPlayout()
        self._tick: Callable[[float], None] | None = None
        """Set while it is a member of the pacer."""
        self._paused = False
        self._room = asyncio.Event()
        self._room.set()

    def push(self, pcm: bytes) -> None:
        self._playout.push(pcm, self._loop.time())
        if self.ahead_s() >= PACED_AHEAD_S:
            self._room.clear()
        self._run()

    def finish(self) -> None:
        self._playout.finish(self._loop.time())
        self._run()

    def ahead_s(self) -> float:
        return self._playout.ahead_samples(self._loop.time()) / MOUTH_RATE_HZ

    def _run(self) -> None:
        if self._tick is None and not self._paused and self._send_frame():
            self._tick = self._on_tick
            self._pacer.join(self._tick)

    def _on_tick(self, now: float) -> None:
        self._send_frame()
        if self._playout.drained(now):
            self._leave()
            self._listener.drained()

    def _send_frame(self) -> bool:
        first = not self._playout.heard_samples(0.0)
        frame = self._playout.pull()
        if frame is None:
            return False
        self._listener.send(frame, self._loop.time())
        if first:
            self._listener.audible()
        self._listener.reached(self.heard_ms())
        if self.ahead_s() < PACED_AHEAD_S:
            self._room.set()
        return True

    def _leave(self) -> None:
        tick, self._tick = self._tick, None
        if tick is not None:
            self._pacer.leave(tick)

    def pause(self) -> None:
        self._paused = True
        self._leave()

    def resume(self) -> None:
        self._paused = False
        self._run()
        if self._tick is None and self._playout.drained(self._loop.time()):
            self._listener.drained()  # it was paused between its last frame and the tick after it

    def stop(self) -> float:
        self.pause()
        self._room.set()
        return self.heard_ms()

    def heard_ms(self) -> float:
        return _ms(self._playout.heard_samples(self._loop.time()))

    def deadline(self) -> float | None:
        return None

    def expire(self) -> None:
        """Nothing: the pacer keeps the time."""

    async def room(self) -> None:
        await self._room.wait()


class BurstSpeaker:
    """Sends all audio as it comes, and tells by the clock what the client has played of it."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._playout = BurstPlayout()

    def push(self, pcm: bytes) -> None:
        if not pcm:
            return
        now = self._loop.time()
        first = not self._playout.sent_samples
        plays_at = now + self.ahead_s()
        self._playout.push(pcm, now)
        self._listener.send(pcm, plays_at)
        if first:
            self._listener.audible()

    def finish(self) -> None:
        self._playout.finish(self._loop.time())

    def pause(self) -> None:
        """Nothing: what was sent cannot be held."""

    def resume(self) -> None:
        """Nothing."""

    def stop(self) -> float:
        return self.heard_ms()

    def heard_ms(self) -> float:
        return _ms(self._playout.heard_samples(self._loop.time()))

    def ahead_s(self) -> float:
        return self._playout.ahead_samples(self._loop.time()) / MOUTH_RATE_HZ

    def deadline(self) -> float | None:
        return self._playout.drains_at()

    def expire(self) -> None:
        if self._playout.drained(self._loop.time()):
            self._listener.drained()

    async def room(self) -> None:
        ahead_s = self.ahead_s()
        if ahead_s > BURST_AHEAD_S:
            await asyncio.sleep(ahead_s - BURST_AHEAD_S)
