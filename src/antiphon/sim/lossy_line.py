"""A network that loses, delays, reorders and doubles packets, the same ones each time for the same seed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LineQuality:
    """What a line does to packets. Shares are of 0 to 1, times in ms."""

    loss: float = 0.0
    burst_packets: float = 1.0
    """How many packets are lost in a row, in the mean (Gilbert's model with two states); 1 is at random."""
    jitter_ms: float = 0.0
    """Each packet is delayed by a random time up to this, and so may overtake others."""
    delay_ms: float = 0.0
    reordered: float = 0.0
    """This share comes ``reorder_ms`` later than it would."""
    reorder_ms: float = 30.0
    duplicated: float = 0.0


class LossyLine:
    """One direction of a line. Ask it for each packet, in the order of sending."""

    def __init__(self, quality: LineQuality, seed: int) -> None:
        if not 0 <= quality.loss < 1 or quality.burst_packets < 1:
            raise ValueError(f"a loss of 0 to 1 in bursts of 1 packet or more, not {quality}")
        self._quality = quality
        self._chance = random.Random(seed)
        self._losing = False

    def fate(self) -> tuple[float, ...]:
        """The delays in seconds at which copies of the next packet arrive; empty when it is lost."""
        if self._lost():
            return ()
        copies = 2 if self._happens(self._quality.duplicated) else 1
        return tuple(self._delay_s() for _ in range(copies))

    def _happens(self, share: float) -> bool:
        return self._chance.random() < share

    def _lost(self) -> bool:
        quality = self._quality
        if quality.burst_packets == 1:
            return self._happens(quality.loss)
        if self._losing:
            self._losing = not self._happens(1 / quality.burst_packets)
        else:
            self._losing = self._happens(quality.loss / (quality.burst_packets * (1 - quality.loss)))
        return self._losing

    def _delay_s(self) -> float:
        quality = self._quality
        delay_ms = quality.delay_ms + self._chance.uniform(0, quality.jitter_ms)
        if self._happens(quality.reordered):
            delay_ms += quality.reorder_ms
        return delay_ms / 1000
