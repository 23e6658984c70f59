"""Playout: what of a reply's audio goes out, when, and how much of it was heard.

Two ways. ``PacedPlayout`` gives one 20 ms frame for each tick of the server's clock, so that a reply can stop at once,
go on from the exact sample, and what was heard is what was sent. ``BurstPlayout`` is for audio that is sent as it
comes, as Realtime clients expect, and tells what was heard by the time that has passed since.

Positions count samples at 48 kHz from the start of the reply's audio. Times are monotonic seconds.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from antiphon.audio import FRAME_BYTES, MOUTH_RATE_HZ

_SAMPLE_BYTES = 2


class Playout(Protocol):
    """The audio of one reply on its way out. ``now`` is in monotonic s, samples are at 48 kHz."""

    def push(self, pcm: bytes, now: float) -> None:
        """More audio of the reply: mono s16 at 48 kHz, of any even length."""
        ...

    def finish(self, now: float) -> None:
        """No more audio will come."""
        ...

    def heard_samples(self, now: float) -> int:
        """How much of the audio the listener has heard."""
        ...

    def ahead_samples(self, now: float) -> int:
        """How much audio is there that was not heard yet."""
        ...

    def drained(self, now: float) -> bool:
        """It is finished, and all was heard."""
        ...


class PacedPlayout:
    """Frames on the server's clock. The one that calls ``pull`` keeps the time."""

    __slots__ = ("_chunks", "_finished", "_head", "_pulled", "_queued")

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._head = 0
        """How many bytes of the first chunk have gone out."""
        self._queued = 0
        self._pulled = 0
        self._finished = False

    def push(self, pcm: bytes, now: float) -> None:
        if pcm:
            self._chunks.append(pcm)
            self._queued += len(pcm)

    def finish(self, now: float) -> None:
        self._finished = True

    def pull(self) -> bytes | None:
        """The next frame of ``FRAME_BYTES``, the last one padded with zeros; None when there is none to send."""
        if self._queued < FRAME_BYTES and not (self._finished and self._queued):
            return None
        parts = []
        wanted = min(FRAME_BYTES, self._queued)
        self._queued -= wanted
        self._pulled += wanted // _SAMPLE_BYTES
        while wanted:
            chunk = self._chunks[0]
            part = chunk[self._head : self._head + wanted]
            wanted -= len(part)
            self._head += len(part)
            if self._head == len(chunk):
                self._chunks.popleft()
                self._head = 0
            parts.append(part)
        return b"".join(parts).ljust(FRAME_BYTES, b"\0")

    def heard_samples(self, now: float) -> int:
        return self._pulled

    def ahead_samples(self, now: float) -> int:
        return self._queued // _SAMPLE_BYTES

    def drained(self, now: float) -> bool:
        return self._finished and not self._queued


class BurstPlayout:
    """A model of the client's speaker: it plays from the first audio on, and stands still when it runs dry."""

    __slots__ = ("_ends_at", "_finished", "_sent")

    def __init__(self) -> None:
        self._sent = 0
        self._ends_at = 0.0
        self._finished = False

    @property
    def sent_samples(self) -> int:
        return self._sent

    def push(self, pcm: bytes, now: float) -> None:
        samples = len(pcm) // _SAMPLE_BYTES
        self._sent += samples
        self._ends_at = max(self._ends_at, now) + samples / MOUTH_RATE_HZ

    def finish(self, now: float) -> None:
        self._finished = True

    def heard_samples(self, now: float) -> int:
        return self._sent - self.ahead_samples(now)

    def ahead_samples(self, now: float) -> int:
        return min(self._sent, max(0, round((self._ends_at - now) * MOUTH_RATE_HZ)))

    def drained(self, now: float) -> bool:
        return self._finished and self.ahead_samples(now) == 0

    def drains_at(self) -> float | None:
        """When the client will have played all; None while more may come."""
        return self._ends_at if self._finished else None
