from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import Samples
from antiphon.core.energy_gate import HANGOVER_WINDOWS, EnergyGate, level_of
from antiphon.sim.speech import recordings

WINDOW = 512
RATE_HZ = 16_000


def noise_of(
    rms: float, count: int, *, tilt: float = 0.0, seed: int = 1
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Noise whose power falls as 1/f**tilt above 50 Hz."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0, 1, count))
    frequency = np.fft.rfftfreq(count, 1 / RATE_HZ)
    spectrum[1:] /= frequency[1:] ** (tilt / 2)
    spectrum[frequency < 50] = 0
    signal = np.fft.irfft(spectrum, count)
    return np.asarray(signal / signal.std() * rms)


def to_samples(signal: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Samples:
    return np.clip(np.round(signal), -32768, 32767).astype(np.int16)


def opened(gate: EnergyGate, samples: Samples) -> list[bool]:
    return [gate.may_be_speech(level_of(samples[i : i + WINDOW])) for i in range(0, len(samples) - WINDOW + 1, WINDOW)]


@pytest.mark.parametrize("tilt", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("rms", [0.0, 1.0, 30.0, 1000.0])
def test_steady_noise_of_any_colour_closes_the_gate(rms: float, tilt: float) -> None:
    answers = opened(EnergyGate(), to_samples(noise_of(rms, 60 * RATE_HZ, tilt=tilt)))
    assert sum(answers[HANGOVER_WINDOWS + 8 :]) < len(answers) / 50


def test_noise_that_rises_is_learnt() -> None:
    gate = EnergyGate()
    opened(gate, to_samples(noise_of(20, 10 * RATE_HZ)))
    answers = opened(gate, to_samples(noise_of(400, 10 * RATE_HZ)))
    assert answers[0]
    assert not any(answers[-RATE_HZ // WINDOW :])


@pytest.mark.parametrize(
    ("gain", "noise_rms"), [(1.0, 0.0), (1.0, 30.0), (1.0, 100.0), (10**-1.5, 1.0), (10**-1.5, 3.0)]
)
def test_the_onset_of_speech_opens_it_within_two_windows(gain: float, noise_rms: float) -> None:
    for recording in recordings():
        speech = recording.spoken[: 2 * RATE_HZ] * gain
        lead = 5 * RATE_HZ // WINDOW * WINDOW
        signal = np.concatenate([np.zeros(lead), speech]) + noise_of(noise_rms, lead + len(speech))
        answers = opened(EnergyGate(), to_samples(signal))
        onset = lead // WINDOW
        assert not any(answers[onset - 10 : onset])
        assert any(answers[onset : onset + 2])
        assert all(answers[onset + 2 :])


def test_it_is_sure_of_silence_only_after_clear_speech() -> None:
    recording = recordings()[0]
    for noise_rms, sure in ((3.0, True), (300.0, False)):
        gate = EnergyGate()
        opened(gate, to_samples(noise_of(noise_rms, 5 * RATE_HZ)))
        assert not gate.surely_silent
        speech = recording.spoken[:RATE_HZ]
        opened(gate, to_samples(speech + noise_of(noise_rms, len(speech))))
        opened(gate, to_samples(noise_of(noise_rms, 4 * WINDOW)))
        assert gate.surely_silent is sure


@given(st.lists(st.floats(0, 40_000), min_size=1, max_size=400))
def test_once_open_it_stays_open_for_the_hangover(levels: list[float]) -> None:
    gate = EnergyGate()
    open_run = HANGOVER_WINDOWS
    for index, level in enumerate(levels):
        if gate.may_be_speech(level):
            open_run += 1
        else:
            assert open_run == 0 or open_run >= HANGOVER_WINDOWS
            open_run = 0
        assert gate.floor == min(levels[max(0, index // 16 * 16 - 7 * 16) : index + 1])


def test_no_samples_have_no_level() -> None:
    assert level_of(np.zeros(0, np.int16)) == 0
    assert level_of(np.zeros(WINDOW, np.int16)) == 0
