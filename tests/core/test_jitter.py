"""What comes out of the jitter buffer, for whatever the network does to the packets."""

from __future__ import annotations

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.core.jitter import LEAST_WAIT_S, MOST_WAIT_S, Counts, JitterBuffer, Lost, Packet, Silence
from antiphon.core.reordering import MARGIN_S

RATE_HZ = 48_000
FRAME = 960
FRAME_S = 0.02
TICK_S = 0.02

Piece = Packet | Lost | Silence
Arrival = tuple[float, Packet]


def packet(number: int, *, first_sequence: int = 0, first_timestamp: int = 0, samples: int = FRAME) -> Packet:
    """The one of that number in a steady stream. Its payload tells which it is."""
    sequence, timestamp = (first_sequence + number) % 2**16, (first_timestamp + number * samples) % 2**32
    return Packet(sequence, timestamp, samples, str(number).encode())


def played(arrivals: Iterable[Arrival], until: float | None = None) -> tuple[list[tuple[float, Piece]], JitterBuffer]:
    """All that comes out, with its time: what arrives is put, and every 20 ms it is asked for more."""
    buffer, out = JitterBuffer(RATE_HZ), []
    coming = sorted(arrivals, key=lambda arrival: arrival[0])
    end = until if until is not None else coming[-1][0] + 2 * MOST_WAIT_S
    events: list[tuple[float, Packet | None]] = [*coming]
    events += [(tick * TICK_S, None) for tick in range(int(end / TICK_S) + 1)]
    for now, arrived in sorted(events, key=lambda event: event[0]):
        if arrived is not None:
            buffer.put(arrived, now)
        while (piece := buffer.pull(now) or (buffer.pull_idle(now) if arrived is None else None)) is not None:
            out.append((now, piece))
    return out, buffer


def numbers(out: Iterable[tuple[float, Piece]]) -> list[int]:
    return [int(piece.payload) for _, piece in out if isinstance(piece, Packet)]


def steady(count: int, **numbering: int) -> list[Arrival]:
    return [(i * FRAME_S, packet(i, **numbering)) for i in range(count)]


def test_in_order_every_packet_leaves_as_it_comes() -> None:
    out, buffer = played(steady(500), until=500 * FRAME_S)
    assert [(now, int(piece.payload)) for now, piece in out if isinstance(piece, Packet)] == [
        (i * FRAME_S, i) for i in range(500)
    ]
    assert buffer.wait_s == LEAST_WAIT_S
    assert buffer.counts == Counts(received=500)


def test_a_lost_packet_is_given_up_when_the_next_one_comes() -> None:
    out, buffer = played([arrival for i, arrival in enumerate(steady(20)) if i != 10], until=0.4)
    at = next(i for i, (_, piece) in enumerate(out) if isinstance(piece, Lost))
    assert out[at] == (11 * FRAME_S, Lost(FRAME, b"11"))
    assert numbers(out) == [i for i in range(20) if i != 10]
    assert buffer.counts.lost == 1


def test_of_a_burst_only_the_last_one_can_be_corrected() -> None:
    out, _ = played([arrival for i, arrival in enumerate(steady(20)) if i not in (8, 9, 10)], until=0.4)
    assert [piece for _, piece in out if isinstance(piece, Lost)] == [
        Lost(FRAME, None),
        Lost(FRAME, None),
        Lost(FRAME, b"11"),
    ]


def test_what_came_in_the_wrong_order_goes_out_in_the_right_one() -> None:
    jittery = [(at + (0.03 if i % 5 == 3 else 0.0), p) for i, (at, p) in enumerate(steady(300))]
    out, buffer = played(jittery)
    assert buffer.counts.late <= 2, "before the jitter was known"
    assert numbers(out)[20:] == list(range(20 + buffer.counts.late, 300))
    assert LEAST_WAIT_S < buffer.wait_s < 0.06


def test_a_line_that_halts_but_keeps_the_order_makes_no_gap_wait() -> None:
    arrivals = [(1.5 * (at // 1.5) + 0.15 if at % 1.5 < 0.15 else at, p) for at, p in steady(600)]
    lost = set(range(60, 600, 37))
    out, buffer = played([arrival for i, arrival in enumerate(arrivals) if i not in lost])
    arrived = {int(p.payload): at for at, p in arrivals}
    left = {int(piece.payload): now for now, piece in out if isinstance(piece, Packet)}
    assert all(left[i + 1] <= arrived[i + 1] + MARGIN_S + TICK_S for i in lost), "though packets may come 150 ms late"
    assert buffer.wait_s > 0.1
    assert buffer.counts.late == 0


def test_duplicates_are_dropped() -> None:
    doubled = [(at + delay, p) for at, p in steady(50) for delay in (0.0, 0.001, 0.05)]
    out, buffer = played(doubled)
    assert numbers(out) == list(range(50))
    assert buffer.counts.duplicates == 100


def test_jitter_of_100_ms_makes_gaps_wait_longer_and_calm_makes_them_wait_less() -> None:
    chance = random.Random(7)
    rough = [(at + chance.uniform(0, 0.1), p) for at, p in steady(1000)]
    out, buffer = played(rough)
    assert buffer.counts.late < 10
    assert len(numbers(out)) > 990
    assert 0.08 < buffer.wait_s < 0.13
    for i in range(1000, 1300):
        buffer.put(packet(i), i * FRAME_S)
    assert buffer.wait_s == LEAST_WAIT_S


def test_a_stall_shorter_than_the_longest_wait_loses_nothing() -> None:
    stalled = [(1.18 if 1.0 <= at < 1.18 else at, p) for at, p in steady(100)]
    out, buffer = played(stalled, until=2.0)
    assert numbers(out) == list(range(100))
    assert (buffer.counts.lost, buffer.counts.late) == (0, 0)
    assert not any(isinstance(piece, Silence) for _, piece in out)


def test_after_a_long_stall_it_catches_up_by_dropping() -> None:
    stalled = [(2.0 if 1.0 <= at < 2.0 else at, p) for at, p in steady(200)]
    out, buffer = played(stalled, until=4.0)
    silent_s = sum(piece.samples for _, piece in out if isinstance(piece, Silence)) / RATE_HZ
    assert silent_s == pytest.approx(0.8, abs=0.03)
    dropped = 200 - len(numbers(out))
    assert dropped == buffer.counts.late == pytest.approx(40, abs=2)
    at_end = [now for now, piece in out if isinstance(piece, Packet) and int(piece.payload) > 120]
    assert at_end == pytest.approx([i * FRAME_S for i in range(121, 200)]), "no delay remains"


def test_stalls_are_no_longer_way_however_many() -> None:
    def arrival(at: float) -> float:
        return next((end for end in (1.5, 3.5, 5.5) if end - 0.5 <= at < end), at)

    out, buffer = played([(arrival(at), p) for at, p in steady(400)], until=8.0)
    assert buffer.counts.restarts == 0
    assert buffer.counts.late == 400 - len(numbers(out)) == pytest.approx(3 * 15, abs=3)


def test_a_sender_that_saves_silence_is_followed_at_its_own_pace() -> None:
    speech = [(i * FRAME_S, packet(i)) for i in range(50)]
    # 400 ms apart and numbered on, as Opus sends in silence; then speech again
    sparse = [(1.0 + i * 0.4, Packet(50 + i, 48_000 + i * 19_200, FRAME, b"50")) for i in range(5)]
    again = [(3.0 + i * FRAME_S, Packet(55 + i, 144_000 + i * FRAME, FRAME, b"60")) for i in range(50)]
    out, buffer = played([*speech, *sparse, *again], until=4.0)
    assert sum(piece.samples for _, piece in out) == pytest.approx(4 * RATE_HZ, abs=FRAME)
    assert [now for now, piece in out if isinstance(piece, Packet) and piece.payload == b"60"] == pytest.approx(
        [at for at, _ in again]
    ), "speech is heard as it comes"
    assert buffer.counts == Counts(received=105)


def test_silence_on_the_line_goes_on_in_real_time() -> None:
    out, _ = played(steady(50), until=11.0)
    silent = [(now, piece) for now, piece in out if isinstance(piece, Silence)]
    assert sum(piece.samples for _, piece in silent) / RATE_HZ == pytest.approx(10.0 - MOST_WAIT_S, abs=0.05)
    gaps = [b[0] - a[0] for a, b in pairwise(silent)]
    assert max(gaps) < 2 * TICK_S + 1e-9


@pytest.mark.parametrize(
    ("sequence", "timestamp"), [(30_000, 2_000_000_000), (50, 2_000_000_000), (60_000, 48_000), (40, 3_000_000_000)]
)
def test_a_sender_that_begins_anew_is_heard_from_the_start(sequence: int, timestamp: int) -> None:
    anew = [(1.0 + i * FRAME_S, packet(i, first_sequence=sequence, first_timestamp=timestamp)) for i in range(50)]
    out, buffer = played([*steady(50), *anew], until=2.0)
    assert numbers(out) == [*range(50), *range(50)]
    assert buffer.counts.restarts == 1


def test_a_clock_that_was_set_back_costs_a_moment() -> None:
    anew = [(1.0 + i * FRAME_S, packet(i, first_sequence=50, first_timestamp=5_000)) for i in range(50)]
    out, buffer = played([*steady(50), *anew], until=2.0)
    assert numbers(out)[:50] == list(range(50))
    assert numbers(out)[-44:] == list(range(6, 50))
    assert buffer.counts.restarts == 1


def test_one_packet_out_of_the_blue_changes_nothing() -> None:
    strays = [(0.5, Packet(40_000, 9, FRAME, b"999")), (0.7, Packet(41, 3_000_000_000, FRAME, b"999"))]
    out, buffer = played([*steady(100), *strays], until=2.0)
    assert numbers(out) == list(range(100))
    assert buffer.counts.restarts == 0


@pytest.mark.parametrize("longer_s", [0.1, 0.3, 1.0])
def test_a_way_that_has_become_longer_for_good_is_followed(longer_s: float) -> None:
    moved = [(at + (longer_s if i >= 100 else 0), p) for i, (at, p) in enumerate(steady(300))]
    out, buffer = played(moved)
    lost = set(range(300)) - set(numbers(out))
    assert len(lost) <= 6, "those by which it was noticed"
    assert buffer.counts.restarts == (1 if longer_s > MOST_WAIT_S else 0)


def test_padding_takes_its_place_and_makes_no_sound() -> None:
    stream = [packet(i) for i in range(3)]
    padding = Packet(3, 3 * FRAME, 0, b"")
    rest = [Packet(4 + i, (3 + i) * FRAME, FRAME, b"4") for i in range(3)]
    out, buffer = played([(i * FRAME_S, p) for i, p in enumerate([*stream, padding, *rest])], until=0.14)
    assert len(out) == 6
    assert buffer.counts.lost == 0


def test_the_numbers_may_wrap_anywhere() -> None:
    arrivals = [arrival for i, arrival in enumerate(steady(200, first_sequence=65_500, first_timestamp=2**32 - 50_000))]
    out, buffer = played([arrival for i, arrival in enumerate(arrivals) if i % 10], until=4.0)
    assert numbers(out) == [i for i in range(200) if i % 10]
    assert buffer.counts.lost == 19, "the first was never waited for"


fates = st.lists(
    st.one_of(
        st.none(),  # lost
        st.lists(st.floats(0, 0.4), min_size=1, max_size=3),  # the delays of its copies
    ),
    min_size=2,
    max_size=80,
)


@given(fates, st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.sampled_from([120, 480, 960, 2880]))
@settings(max_examples=300, deadline=None)
def test_whatever_happens_each_moment_goes_out_once(
    fates: list[list[float] | None], first_sequence: int, first_timestamp: int, samples: int
) -> None:
    arrivals = [
        (
            number * samples / RATE_HZ + delay,
            packet(number, first_sequence=first_sequence, first_timestamp=first_timestamp, samples=samples),
        )
        for number, delays in enumerate(fates)
        for delay in delays or ()
    ]
    if not arrivals:
        return
    out, buffer = played(arrivals)
    place, floor = None, -1
    for now, piece in out:
        if isinstance(piece, Packet):
            number = int(piece.payload)
            assert number > floor, "in order, none twice"
            floor = number
            if place is not None and not buffer.counts.restarts:
                assert piece.timestamp == place, "and where it belongs"
            place = piece.timestamp + piece.samples
            assert now < (number + 1) * samples / RATE_HZ + 0.4 + MOST_WAIT_S + TICK_S
        elif place is not None:
            place += piece.samples
    assert buffer.waiting_packets == 0, "nothing stays behind"
    kept, counts = len(numbers(out)), buffer.counts
    assert kept + counts.late + counts.duplicates >= len(arrivals) - counts.restarts


@given(fates)
@settings(max_examples=100, deadline=None)
def test_numbering_makes_no_difference(fates: list[list[float] | None]) -> None:
    def run(first_sequence: int, first_timestamp: int) -> list[tuple[float, str, int]]:
        stream = [
            (i * FRAME_S + delay, packet(i, first_sequence=first_sequence, first_timestamp=first_timestamp))
            for i, delays in enumerate(fates)
            for delay in delays or ()
        ]
        if not stream:
            return []
        out, _ = played(stream)
        return [(round(now, 6), type(piece).__name__, piece.samples) for now, piece in out]

    assert run(0, 0) == run(65_530, 2**32 - 5 * FRAME)
