"""The order of arriving audio: RTP packets in as the network brings them, the sender's own timeline out.

A machine listens here, so nothing is held back to make play-out smooth: a packet that is next in line goes out as it
comes. Only where one is missing, those after it wait for it, as long as the last seconds say that it may still come:
10 to 20 ms in calm, up to 200 ms. Then the gap is to be concealed, and what comes for it later is dropped. Each
moment of the sender's timeline goes out exactly once, as sound or as a gap, so nothing drifts and nothing piles up.

Times are monotonic seconds. Sequence numbers (16 bits) and timestamps (32 bits) are those of RTP (RFC 3550).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from antiphon.core.reordering import REMEMBERED, Reordering

LEAST_WAIT_S = 0.02
MOST_WAIT_S = 0.2
"""So long a gap waits for the packet that is missing. Also how long silence on the line may be a stall: when a sender
has stopped, its timeline goes on from then."""

MARGIN_S = 0.01
"""What the wait allows beyond the jitter that was seen."""

LASTING_S = 0.06
"""Packets that have come too late for so long, and do not catch up, have a longer way than before."""

_TARDY_PER_PACKET = 0.01
"""So many of them may have been later than the wait makes good."""
_RECKONED_EVERY = 16

LEAP_S = 2.0
LEAP_PACKETS = 1000
"""A packet so far from where it was expected comes from a sender that began anew, if the next one agrees."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet: ``samples`` is how much audio it holds, at the rate of its timestamps; 0 for mere padding.

    What goes into the buffer has the wire's numbers; what comes out has them unwrapped.
    """

    sequence: int
    timestamp: int
    samples: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """A packet that did not come. ``following`` is the payload of the one right after it, which may help to conceal."""

    samples: int
    following: bytes | None


@dataclass(frozen=True, slots=True)
class Silence:
    """The sender sent nothing for this time: it saves packets in silence, or the network stands still."""

    samples: int


@dataclass(slots=True)
class Counts:
    """What became of the packets, for statistics."""

    received: int = 0
    lost: int = 0
    late: int = 0
    """Came when their place had been concealed."""
    duplicates: int = 0
    restarts: int = 0


def _unwrapped(value: int, near: int, bits: int) -> int:
    """The number nearest to ``near`` whose low ``bits`` are ``value``."""
    half = 1 << (bits - 1)
    return near + ((value - near + half) & ((1 << bits) - 1)) - half


class JitterBuffer:
    """Of one stream of one sender.

    ``put`` what arrives, then ``pull`` until it gives None. Each 20 ms do the same with ``pull`` and ``pull_idle``.
    """

    __slots__ = (
        "_ahead",
        "_behind",
        "_late_by",
        "_least",
        "_missed",
        "_next",
        "_origin",
        "_place",
        "_rate_hz",
        "_reckoned",
        "_reordering",
        "_stray",
        "_transits",
        "_usual",
        "counts",
    )

    def __init__(self, rate_hz: int) -> None:
        """``rate_hz`` is the clock of the timestamps."""
        self._rate_hz = rate_hz
        self._ahead: dict[int, tuple[Packet, float]] = {}
        """What has come and not gone out, by sequence, and when it came."""
        self._next: int | None = None
        """The sequence that is next in line; None before the first packet."""
        self._origin = 0
        """The timestamp of the first packet."""
        self._place = 0
        """The timestamp up to which the timeline has gone out."""
        self._usual = rate_hz // 50
        """The length of the last packet, in samples."""
        self._transits: deque[float] = deque(maxlen=REMEMBERED)
        """Arrival less timestamp, in seconds, of the last packets."""
        self._least = 0.0
        """The least of these, which is that of a packet that nothing held up."""
        self._missed: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        """Sequences that were given up, and when the first packet after them had come."""
        self._reordering = Reordering()
        self._behind: tuple[float, float] | None = None
        """Arrival and transit of the first of the packets that now come too late, one after the other."""
        self._stray: Packet | None = None
        self._reckoned = 0
        self._late_by = 0.0
        self.counts = Counts()

    @property
    def wait_s(self) -> float:
        """How long a gap waits at most, from when its packet would have come untroubled."""
        if self.counts.received - self._reckoned >= _RECKONED_EVERY or len(self._transits) < _RECKONED_EVERY:
            self._reckoned = self.counts.received
            by_delay = sorted(self._transits)
            self._late_by = by_delay[-1 - int(len(by_delay) * _TARDY_PER_PACKET)] - by_delay[0] if by_delay else 0.0
        return min(max(self._late_by + MARGIN_S, LEAST_WAIT_S), MOST_WAIT_S)

    @property
    def waiting_packets(self) -> int:
        """How many packets wait behind a gap."""
        return len(self._ahead)

    def put(self, packet: Packet, now: float) -> None:
        """Takes a packet as it arrives; any order, any number of times."""
        if self._next is None:
            self._begin(packet, now)
            return
        sequence = _unwrapped(packet.sequence, self._next, 16)
        timestamp = _unwrapped(packet.timestamp, self._place, 32)
        arrived = Packet(sequence, timestamp, packet.samples, packet.payload)
        if self._leaps(arrived, now):
            self._doubt(packet, now)
            return
        self._stray = None
        if sequence < self._next:
            self._too_late(arrived, now)
        elif sequence in self._ahead:
            self.counts.duplicates += 1
        else:
            self._keep(arrived, now)

    def _begin(self, packet: Packet, now: float) -> None:
        self._ahead.clear()
        self._transits.clear()
        self._missed.clear()
        self._stray = self._behind = None
        self._next, self._place, self._origin = packet.sequence, packet.timestamp, packet.timestamp
        self._keep(packet, now)

    def _keep(self, packet: Packet, now: float) -> None:
        self.counts.received += 1
        if self._ahead:
            later = [at for sequence, (_, at) in self._ahead.items() if sequence > packet.sequence]
            if later:
                self._reordering.note(self.counts.received, now - min(later))
        transit = self._note(packet, now)
        if packet.timestamp >= self._place:
            self._behind = None
        elif self._behind is None:
            self._behind = (now, transit)
        elif self._lasts(now, transit):
            self._restart_at(packet, transit)
        self._ahead[packet.sequence] = (packet, now)

    def _note(self, packet: Packet, now: float) -> float:
        """Remembers the transit of a packet, and returns it."""
        transit = self._transit(packet, now)
        transits = self._transits
        forgotten = transits[0] if len(transits) == REMEMBERED else None
        transits.append(transit)
        if len(transits) == 1 or transit < self._least:
            self._least = transit
        elif forgotten == self._least:
            self._least = min(transits)
        return transit

    def _transit(self, packet: Packet, now: float) -> float:
        return now - (packet.timestamp - self._origin) / self._rate_hz

    def _lasts(self, now: float, transit: float) -> bool:
        """They come late for good: what was held up and now comes all at once would have caught up."""
        assert self._behind is not None
        since, first_transit = self._behind
        return now - since >= LASTING_S and first_transit - transit < (now - since) / 2

    def _restart_at(self, packet: Packet, transit: float) -> None:
        """The timeline goes on from this packet; silence stood for the time that the longer way takes."""
        self._place = packet.timestamp
        self._transits.clear()
        self._transits.append(transit)
        self._least = transit
        self._behind = None
        self.counts.restarts += 1

    def _too_late(self, packet: Packet, now: float) -> None:
        missed = next((missed for missed in self._missed if missed[0] == packet.sequence), None)
        if missed is None:
            self.counts.duplicates += 1
            return
        self._missed.remove(missed)
        self.counts.late += 1
        self._reordering.note(self.counts.received, now - missed[1])
        self._note(packet, now)

    def _leaps(self, packet: Packet, now: float) -> bool:
        assert self._next is not None
        if abs(packet.sequence - self._next) > LEAP_PACKETS:
            return True
        return abs(self._transit(packet, now) - self._transits[-1]) > LEAP_S

    def _doubt(self, packet: Packet, now: float) -> None:
        """One packet out of the blue is dropped; two that follow each other are a sender that began anew."""
        stray, self._stray = self._stray, packet
        if stray is not None and packet.sequence == (stray.sequence + 1) & 0xFFFF:
            self.counts.restarts += 1
            self._begin(stray, now)
            self.put(packet, now)

    def pull_idle(self, now: float) -> Silence | None:
        """A piece of silence, when for the longest wait nothing has come.

        Not to be asked at an arrival: after a stall others are at the door.
        """
        if self._next is None or self._ahead or not self._due(now, MOST_WAIT_S):
            return None
        return self._gap(self._usual)

    def pull(self, now: float) -> Packet | Lost | Silence | None:
        """What goes out next, or None while there is nothing to decide."""
        while self._next is not None:
            if self._next in self._ahead:
                packet, _ = self._ahead[self._next]
                if packet.timestamp > self._place and packet.samples:
                    return self._gap(packet.timestamp - self._place)
                del self._ahead[self._next]
                self._next += 1
                if not packet.samples:
                    continue
                if packet.timestamp < self._place:
                    self.counts.late += 1
                    continue
                self._usual = packet.samples
                self._place = packet.timestamp + packet.samples
                return packet
            if not self._ahead:
                return None
            first, _ = self._ahead[min(self._ahead)]
            if first.samples and first.timestamp > self._place:
                return self._give_up(first) if self._waited(now) else None
            self._skip_to(first.sequence)
        return None

    def _noticed_at(self) -> float:
        """When the first came of those that wait behind the gap."""
        return min(at for _, at in self._ahead.values())

    def _waited(self, now: float) -> bool:
        """The missing packet is lost: by the order in which others came, or by the time that they took."""
        if now >= self._noticed_at() + self._reordering.wait_s(self.counts.received):
            return True
        return self._due(now, self.wait_s)

    def _due(self, now: float, wait_s: float) -> bool:
        """The packet whose place is next would have been here ``wait_s`` ago."""
        return now >= self._least + (self._place - self._origin) / self._rate_hz + wait_s

    def _gap(self, samples: int) -> Silence:
        self._place += samples
        return Silence(samples)

    def _give_up(self, first: Packet) -> Lost:
        """The next packet is lost, or what is left of the time up to ``first``."""
        assert self._next is not None
        missing = first.timestamp - self._place
        samples = min(missing, self._usual)
        self._place += samples
        until = first.sequence if samples == missing else min(self._next + 1, first.sequence - 1)
        self.counts.lost += until - self._next  # a packet that stood for much silence is one, too
        self._skip_to(until)
        return Lost(samples, first.payload if samples == missing else None)

    def _skip_to(self, sequence: int) -> None:
        assert self._next is not None
        noticed_at = self._noticed_at()
        self._missed.extend((missed, noticed_at) for missed in range(self._next, sequence))
        self._next = sequence
