from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import samples_of
from antiphon.resampling import LiveResampler

WIRE_RATES = [(48_000, 24_000), (48_000, 8_000), (24_000, 16_000), (8_000, 16_000), (16_000, 24_000), (16_000, 48_000)]


def tone(rate_hz: int, frequency_hz: float, duration_s: float = 1.0) -> bytes:
    at = np.arange(int(rate_hz * duration_s)) / rate_hz
    return (8000 * np.sin(2 * np.pi * frequency_hz * at)).astype("<i2").tobytes()


@pytest.mark.parametrize(("from_hz", "to_hz"), WIRE_RATES)
def test_a_tone_stays_the_tone_it_was(from_hz: int, to_hz: int) -> None:
    out = samples_of(LiveResampler(from_hz, to_hz).push(tone(from_hz, 1000), last=True))
    wanted = samples_of(tone(to_hz, 1000))
    assert len(out) == len(wanted)
    inner = slice(to_hz // 10, -to_hz // 10)
    assert np.abs(out[inner].astype(int) - wanted[inner]).max() < 40


@pytest.mark.parametrize(("from_hz", "to_hz"), [(a, b) for a, b in WIRE_RATES if b < a])
def test_what_the_lower_rate_cannot_carry_is_gone(from_hz: int, to_hz: int) -> None:
    out = samples_of(LiveResampler(from_hz, to_hz).push(tone(from_hz, to_hz * 0.6), last=True))
    assert np.abs(out[to_hz // 10 : -to_hz // 10].astype(int)).max() < 8  # 60 dB down


@pytest.mark.parametrize(("from_hz", "to_hz"), WIRE_RATES)
def test_no_frame_is_held_back(from_hz: int, to_hz: int) -> None:
    resampler = LiveResampler(from_hz, to_hz)
    sent = 0
    for frame in range(1, 11):
        sent += len(resampler.push(bytes(from_hz // 50 * 2))) // 2
        assert frame * 20 - sent * 1000 / to_hz <= 2


@given(
    rates=st.sampled_from(WIRE_RATES),
    cuts=st.lists(st.integers(0, 400), max_size=12),
    seed=st.integers(0, 2**32 - 1),
)
def test_cuts_in_the_stream_do_not_show(rates: tuple[int, int], cuts: list[int], seed: int) -> None:
    pcm = np.random.default_rng(seed).integers(-32768, 32767, 400, endpoint=True).astype("<i2").tobytes()
    whole = LiveResampler(*rates).push(pcm, last=True)
    resampler = LiveResampler(*rates)
    edges = [0, *sorted(cuts), 400]
    pieces = [resampler.push(pcm[2 * a : 2 * b]) for a, b in itertools.pairwise(edges)]
    pieces.append(resampler.push(b"", last=True))
    # The sums of a product may be taken in another order when its shape differs, so the last bit is free.
    assert np.abs(samples_of(b"".join(pieces)).astype(int) - samples_of(whole)).max() <= 1


def test_it_starts_anew_after_a_reset() -> None:
    resampler = LiveResampler(24_000, 16_000)
    first = resampler.push(tone(24_000, 440), last=True)
    resampler.reset()
    assert resampler.push(tone(24_000, 440), last=True) == first


def test_equal_rates_pass_through() -> None:
    assert LiveResampler(16_000, 16_000).push(b"\1\2\3\4", last=True) == b"\1\2\3\4"


def test_a_large_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="no small ratio"):
        LiveResampler(22_050, 48_000)
