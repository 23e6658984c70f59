"""Where speech truly ends, beside where a detector says that it does."""

from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio import EAR_RATE_HZ, Samples
from antiphon.core.last_sound import BLOCK_MS, LOOK_BACK_MS, trailing_silence_ms

NOTHING = np.zeros(0, np.int16)


def voice(ms: int, amplitude: float = 8000) -> Samples:
    seconds = np.arange(EAR_RATE_HZ * ms // 1000) / EAR_RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 200 * seconds)).astype(np.int16)


def noise(ms: int, rms: float) -> Samples:
    return np.random.default_rng(1).normal(0, rms, EAR_RATE_HZ * ms // 1000).astype(np.int16)


@pytest.mark.parametrize("late_ms", [0, 5, 30, 95, 390])
@pytest.mark.parametrize("noise_rms", [0, 2, 200])
def test_it_is_found_in_a_quiet_and_in_a_noisy_room(late_ms: int, noise_rms: float) -> None:
    speech = np.concatenate([voice(800), np.zeros(EAR_RATE_HZ * late_ms // 1000, np.int16)])
    found = trailing_silence_ms(speech + noise(800 + late_ms, noise_rms), noise(96, noise_rms))
    assert found == pytest.approx(late_ms, abs=BLOCK_MS)


def test_a_soft_end_is_speech() -> None:
    speech = np.concatenate([voice(600), voice(200, 400), np.zeros(EAR_RATE_HZ * 60 // 1000, np.int16)])
    assert trailing_silence_ms(speech, noise(96, 10)) == 60


def test_what_cannot_be_told_from_the_noise_is_left_as_it_is() -> None:
    assert trailing_silence_ms(noise(1000, 300), noise(96, 300)) == 0
    assert trailing_silence_ms(np.zeros(16_000, np.int16), NOTHING) == 0
    assert trailing_silence_ms(NOTHING, NOTHING) == 0


def test_it_is_looked_for_so_far_and_no_further() -> None:
    speech = np.concatenate([voice(600), np.zeros(EAR_RATE_HZ * (LOOK_BACK_MS + 100) // 1000, np.int16)])
    assert trailing_silence_ms(speech, NOTHING) == 0
