"""The playback buffer: evens out the network's jitter at the price of a few frames' delay."""

from __future__ import annotations

import threading

from antiphon.audio import bytes_to_ms, ms_to_bytes

TARGET_MS = 50
"""How much must be there before playing begins: two frames and a half, the lateness of a busy machine's timers."""


class PlaybackBuffer:
    """Mono s16 between an event loop that pushes and an audio thread that pulls.

    After it was empty it plays nothing until ``TARGET_MS`` are there, or until no more will come.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._lock = threading.Lock()
        self._pcm = bytearray()
        self._target_bytes = ms_to_bytes(TARGET_MS, rate_hz)
        self._needed_bytes = self._target_bytes

    @property
    def buffered_ms(self) -> float:
        with self._lock:
            return bytes_to_ms(len(self._pcm), self._rate_hz)

    def push(self, pcm: bytes) -> None:
        """More audio, of any even length."""
        with self._lock:
            self._pcm += pcm

    def finish(self) -> None:
        """No more comes for now: play what is there."""
        with self._lock:
            self._needed_bytes = 0

    def flush(self) -> float:
        """Throws away what has not been played; returns how much that was, in ms."""
        with self._lock:
            dropped_ms = bytes_to_ms(len(self._pcm), self._rate_hz)
            self._pcm.clear()
            self._needed_bytes = self._target_bytes
            return dropped_ms

    def pull(self, count: int) -> bytes:
        """Exactly ``count`` bytes to play now, filled up with silence."""
        with self._lock:
            if len(self._pcm) < self._needed_bytes or not self._pcm:
                return bytes(count)
            part = bytes(self._pcm[:count])
            del self._pcm[:count]
            self._needed_bytes = 0 if self._pcm else self._target_bytes
            return part.ljust(count, b"\0")
