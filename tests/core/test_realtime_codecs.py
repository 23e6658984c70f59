from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import samples_of
from antiphon.transport.realtime.codecs import AudioFormat, EarDecoder, MouthEncoder, from_ear, to_ear


def tone(rate_hz: int) -> bytes:
    return (8000 * np.sin(2 * np.pi * 500 * np.arange(rate_hz) / rate_hz)).astype("<i2").tobytes()


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_a_tone_comes_through_to_the_ear(audio_format: AudioFormat) -> None:
    data = audio_format.from_pcm(tone(audio_format.rate_hz))
    heard = samples_of(to_ear(data, audio_format))
    assert np.abs(heard[800:-800].astype(int) - samples_of(tone(16_000))[800:-800]).max() < 400


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_a_recording_of_the_ear_goes_back(audio_format: AudioFormat) -> None:
    data = from_ear(tone(16_000), audio_format)
    assert len(data) == audio_format.rate_hz * audio_format.sample_bytes


@pytest.mark.parametrize("audio_format", list(AudioFormat))
def test_the_mouth_gives_every_sample(audio_format: AudioFormat) -> None:
    encoder = MouthEncoder(audio_format)
    pcm = tone(48_000)
    out = b"".join(encoder.push(pcm[start : start + 1920]) for start in range(0, len(pcm), 1920))
    out += encoder.push(b"", last=True)
    assert len(out) == audio_format.rate_hz * audio_format.sample_bytes


@given(st.lists(st.integers(0, 200), max_size=10))
def test_half_a_sample_waits_for_its_other_half(cuts: list[int]) -> None:
    pcm = np.random.default_rng(1).integers(-9000, 9000, 100).astype("<i2").tobytes()
    edges = [0, *sorted(cuts), 200]
    decoder = EarDecoder(AudioFormat.PCM)
    pieces = b"".join(decoder.push(pcm[a:b]) for a, b in itertools.pairwise(edges))
    whole = EarDecoder(AudioFormat.PCM).push(pcm)
    assert np.abs(samples_of(pieces).astype(int) - samples_of(whole)).max() <= 1


def test_half_a_sample_can_be_forgotten() -> None:
    decoder = EarDecoder(AudioFormat.PCM)
    decoder.push(b"\x01")
    decoder.drop_odd()
    assert decoder.push(bytes(2400)) == bytes(len(EarDecoder(AudioFormat.PCM).push(bytes(2400))))
