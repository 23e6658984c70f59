"""Loudness as it is measured, held against pyloudnorm, and what the leveller makes of sounds of any kind."""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pyloudnorm
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.loudness import CEILING_DBTP, LOOKAHEAD_SAMPLES, Leveller, LoudnessMeter

Sound = npt.NDArray[np.float64]


def pcm_of(sound: Sound) -> bytes:
    return bytes(np.clip(np.rint(sound * 32768), -32768, 32767).astype("<i2").tobytes())


def sound_of(pcm: bytes) -> Sound:
    return np.asarray(samples_of(pcm).astype(np.float64) / 32768)


def tone(hz: float, seconds: float, amplitude: float, phase: float = 0.0) -> Sound:
    at = np.arange(round(seconds * MOUTH_RATE_HZ)) / MOUTH_RATE_HZ
    return np.asarray(amplitude * np.sin(2 * np.pi * hz * at + phase))


def noise(seconds: float, amplitude: float, seed: int = 1) -> Sound:
    """Band-limited to 6 kHz, as speech is."""
    white = np.random.default_rng(seed).normal(0, amplitude, round(seconds * 12_000))
    sound: Sound = soxr.resample(white, 12_000, MOUTH_RATE_HZ)
    return sound


def speech_like(seconds: float, amplitude: float, seed: int = 1) -> Sound:
    """Noise in syllables and pauses."""
    at = np.arange(round(seconds * MOUTH_RATE_HZ)) / MOUTH_RATE_HZ
    syllables = np.maximum(0, np.sin(2 * np.pi * 3 * at)) * (np.sin(2 * np.pi * 0.3 * at) > -0.5)
    sound: Sound = noise(seconds, amplitude, seed)[: len(at)] * syllables
    return sound


def true_peak_db(sound: Sound) -> float:
    """By an eightfold oversampling of soxr's, which is none of ours."""
    return float(20 * np.log10(np.abs(soxr.resample(sound, MOUTH_RATE_HZ, 8 * MOUTH_RATE_HZ, quality="VHQ")).max()))


def metered(sound: Sound) -> LoudnessMeter:
    meter = LoudnessMeter()
    meter.push(pcm_of(sound))
    return meter


def levelled(pcm: bytes, gain_db: float, sizes: list[int] | None = None) -> bytes:
    leveller, out, start = Leveller(gain_db), b"", 0
    for size in sizes or []:
        out += leveller.push(pcm[start : start + 2 * size])
        start += 2 * size
    return out + leveller.push(pcm[start:], last=True)


@pytest.mark.parametrize(
    "sound",
    [
        tone(997, 3, 0.5),
        tone(200, 3, 0.1),
        tone(5000, 3, 0.02),
        noise(5, 0.05),
        speech_like(10, 0.2),
        speech_like(10, 0.002, seed=2),
        np.concatenate([tone(500, 3, 0.3), tone(500, 3, 0.003), np.zeros(MOUTH_RATE_HZ), tone(500, 2, 0.1)]),
    ],
)
def test_the_meter_agrees_with_pyloudnorm(sound: Sound) -> None:
    told = metered(sound).lufs
    assert told is not None
    expected = pyloudnorm.Meter(MOUTH_RATE_HZ).integrated_loudness(sound_of(pcm_of(sound)))
    assert abs(told - expected) < 0.15


def test_a_full_scale_tone_is_as_loud_as_the_recommendation_says() -> None:
    """BS.1770-5: a 997 Hz sine at 0 dBFS in one channel is -3.01 LUFS."""
    told = metered(tone(997, 5, 1.0)).lufs
    assert told is not None
    assert abs(told + 3.01) < 0.1


def test_it_does_not_matter_how_a_sound_comes_in() -> None:
    pcm, meter = pcm_of(speech_like(5, 0.1)), LoudnessMeter()
    for start in range(0, len(pcm), 1922):
        meter.push(pcm[start : start + 1922])
    assert meter.lufs == pytest.approx(metered(sound_of(pcm)).lufs)
    both = LoudnessMeter()
    both.add(meter)
    both.add(meter)
    assert both.lufs == pytest.approx(meter.lufs)
    assert both.speech_s == pytest.approx(2 * meter.speech_s)


def test_silence_has_no_loudness() -> None:
    meter = metered(np.zeros(2 * MOUTH_RATE_HZ))
    assert meter.lufs is None
    assert meter.speech_s == 0
    assert metered(tone(440, 0.3, 0.5)).lufs is None
    assert LoudnessMeter().lufs is None


def test_what_stays_below_the_ceiling_is_only_scaled() -> None:
    sound = speech_like(2, 0.05)
    out = sound_of(levelled(pcm_of(sound), 6.0))
    expected = sound_of(pcm_of(sound)) * 10 ** (6 / 20)
    assert np.abs(out - expected).max() <= 1 / 32768


@pytest.mark.parametrize(
    "sound",
    [
        speech_like(3, 0.3),
        tone(12_000, 0.5, 0.9, phase=np.pi / 4),  # its samples are 3 dB below its peaks
        tone(100, 0.5, 1.0),
        np.concatenate([np.zeros(1000), tone(1000, 0.01, 1.0), np.zeros(3000), noise(0.2, 0.4)]),
        tone(3000, 0.002, 1.0),
    ],
)
@pytest.mark.parametrize("gain_db", [0.0, 5.0, 20.0])
def test_no_true_peak_goes_over_the_ceiling(sound: Sound, gain_db: float) -> None:
    padded = np.concatenate([sound, np.zeros(1000)])
    out = sound_of(levelled(pcm_of(padded), gain_db))
    assert len(out) == len(padded)
    assert true_peak_db(out) <= CEILING_DBTP + 0.1


def test_the_limiter_sees_a_peak_coming_and_lets_go_slowly() -> None:
    sound = tone(1000, 1.0, 0.1)
    middle = len(sound) // 2
    sound[middle : middle + 48] *= 9
    gain = np.ones(len(sound))
    out, dry = sound_of(levelled(pcm_of(sound), 6.0)), sound_of(pcm_of(sound)) * 10 ** (6 / 20)
    loud = np.abs(dry) > 0.1
    gain[loud] = out[loud] / dry[loud]
    before = gain[: middle - LOOKAHEAD_SAMPLES]
    assert np.abs(before[np.abs(dry[: len(before)]) > 0.1] - 1).max() < 0.001
    assert gain[middle + 12] < 0.6
    after = [gain[middle + ms * 48 :][loud[middle + ms * 48 :]][:12].mean() for ms in (5, 20, 40, 60, 150)]
    assert after == sorted(after)
    assert after[0] < 0.65 < 0.99 < after[-1]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4000), max_size=12),
    st.floats(-12, 18),
    st.integers(1, 9000),
    st.integers(0, 1000),
)
def test_what_leaves_does_not_depend_on_how_it_was_cut(
    sizes: list[int], gain_db: float, length: int, seed: int
) -> None:
    pcm = pcm_of(speech_like(1, 0.4, seed)[:length])
    whole, cut = levelled(pcm, gain_db), levelled(pcm, gain_db, sizes)
    assert len(whole) == len(cut) == len(pcm)
    assert np.abs(samples_of(whole).astype(int) - samples_of(cut).astype(int)).max(initial=0) <= 1


def test_little_is_held_back() -> None:
    leveller, pcm = Leveller(6.0), pcm_of(speech_like(1, 0.3))
    given_bytes = taken = 0
    for start in range(0, len(pcm), 1920):
        piece = pcm[start : start + 1920]
        given_bytes += len(piece)
        taken += len(leveller.push(piece))
        assert 0 <= given_bytes - taken <= 2 * LOOKAHEAD_SAMPLES
    assert LOOKAHEAD_SAMPLES <= 0.003 * MOUTH_RATE_HZ
    assert taken + len(leveller.push(b"", last=True)) == len(pcm)


def test_it_costs_next_to_nothing() -> None:
    pcm = pcm_of(speech_like(10, 0.3))
    began_s = time.process_time()
    leveller, meter = Leveller(6.0), LoudnessMeter()
    for start in range(0, len(pcm), 9600):
        meter.push(pcm[start : start + 9600])
        leveller.push(pcm[start : start + 9600])
    assert (time.process_time() - began_s) / 10 < 0.05  # of real time; 0.003 was seen


def test_nothing_gives_nothing() -> None:
    assert Leveller(3.0).push(b"", last=True) == b""
