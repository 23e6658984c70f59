"""Where long turns are cut."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio import EAR_RATE_HZ, Samples
from antiphon.engines.pauses import where_to_cut

FROM_MS, AT_MS = 5_000, 12_000


def noise(seconds: float, level: float) -> Samples:
    return np.random.default_rng(1).normal(0, level, int(seconds * EAR_RATE_HZ)).astype("<i2")


def test_long_audio_is_cut_in_its_pause_and_short_audio_never() -> None:
    loud, pause = noise(3, 1000), noise(0.4, 5)
    short = np.concatenate([loud[: 2 * EAR_RATE_HZ], pause, loud[:EAR_RATE_HZ]])
    assert where_to_cut(short, FROM_MS, AT_MS) is None
    cut = where_to_cut(np.concatenate([loud, pause, loud]), FROM_MS, AT_MS)
    assert cut is not None
    assert 3.0 <= cut / EAR_RATE_HZ <= 3.4


@pytest.mark.parametrize("at_ms", [12_000, 20_000])
def test_audio_without_a_pause_is_cut_when_it_is_too_long(at_ms: int) -> None:
    assert where_to_cut(noise(at_ms / 1000 - 1, 1000), FROM_MS, at_ms) is None
    cut = where_to_cut(noise(at_ms / 1000 + 5, 1000), FROM_MS, at_ms)
    assert cut is not None
    assert 1 <= cut / EAR_RATE_HZ <= at_ms / 1000
