"""A line is as bad as it was asked to be, and equally bad each time."""

from __future__ import annotations

import itertools

import pytest

from antiphon.sim.lossy_line import LineQuality, LossyLine

COUNT = 20_000


def fates(quality: LineQuality, seed: int = 1) -> list[tuple[float, ...]]:
    line = LossyLine(quality, seed)
    return [line.fate() for _ in range(COUNT)]


def test_a_good_line_does_nothing() -> None:
    assert set(fates(LineQuality())) == {(0.0,)}


def test_it_is_the_same_for_the_same_seed_only() -> None:
    quality = LineQuality(loss=0.1, jitter_ms=50, reordered=0.1, duplicated=0.1)
    assert fates(quality) == fates(quality)
    assert fates(quality) != fates(quality, seed=2)


@pytest.mark.parametrize("burst_packets", [1, 3])
@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
def test_it_loses_what_was_asked_in_bursts_as_long_as_was_asked(loss: float, burst_packets: float) -> None:
    lost = [not fate for fate in fates(LineQuality(loss=loss, burst_packets=burst_packets))]
    assert sum(lost) / COUNT == pytest.approx(loss, rel=0.35)
    bursts = [len(list(run)) for gone, run in itertools.groupby(lost) if gone]
    expected = burst_packets if burst_packets > 1 else 1 / (1 - loss)
    assert sum(bursts) / len(bursts) == pytest.approx(expected, rel=0.25)


def test_it_delays_and_doubles() -> None:
    all_fates = fates(LineQuality(delay_ms=20, jitter_ms=100, reordered=0.1, reorder_ms=500, duplicated=0.05))
    delays = [delay for fate in all_fates for delay in fate]
    assert min(delays) >= 0.02
    assert 0.6 < max(delays) <= 0.62
    assert sum(delay > 0.5 for delay in delays) / len(delays) == pytest.approx(0.1, rel=0.1)
    assert sum(len(fate) == 2 for fate in all_fates) / COUNT == pytest.approx(0.05, rel=0.15)


@pytest.mark.parametrize("quality", [LineQuality(loss=1), LineQuality(loss=-0.1), LineQuality(burst_packets=0.5)])
def test_a_line_that_cannot_be_is_refused(quality: LineQuality) -> None:
    with pytest.raises(ValueError, match="a loss of 0 to 1"):
        LossyLine(quality, 1)
