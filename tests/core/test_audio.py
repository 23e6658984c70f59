"""Rates, G.711 and resampling."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon import audio

ALL_CODES = bytes(range(256))
ALL_VALUES = np.arange(-32768, 32768).astype("<i2").tobytes()
Codec = Callable[[bytes], bytes]

LAWS = {
    # The digests are of the 256 values that CPython's audioop (ulaw2lin, alaw2lin) gives, little-endian.
    "mu": (
        audio.ulaw_encode,
        audio.ulaw_decode,
        "3dab54339e520bb2c924826e3b72a917a2b612e9fd12fc867500f1d983a75827",
    ),
    "A": (
        audio.alaw_encode,
        audio.alaw_decode,
        "e04788d110e58ff8c70c93b8480190d973e3b67876b6119abbaec766cc75c174",
    ),
}
laws = pytest.mark.parametrize(("encode", "decode", "digest"), LAWS.values(), ids=LAWS.keys())


@laws
def test_g711_decodes_as_others_do(encode: Codec, decode: Codec, digest: str) -> None:
    assert hashlib.sha256(decode(ALL_CODES)).hexdigest() == digest


@laws
def test_g711_encodes_to_the_nearest_value(encode: Codec, decode: Codec, digest: str) -> None:
    values = np.sort(audio.samples_of(decode(ALL_CODES)).astype(int))
    wanted = audio.samples_of(ALL_VALUES).astype(int)
    got = audio.samples_of(decode(encode(ALL_VALUES))).astype(int)
    above = values[np.clip(np.searchsorted(values, wanted), 0, 255)]
    below = values[np.clip(np.searchsorted(values, wanted) - 1, 0, 255)]
    assert np.array_equal(np.abs(got - wanted), np.minimum(np.abs(above - wanted), np.abs(below - wanted)))


@laws
def test_g711_codes_survive_a_round_trip(encode: Codec, decode: Codec, digest: str) -> None:
    values = decode(ALL_CODES)
    assert decode(encode(values)) == values


def test_silence_is_the_idle_code() -> None:
    assert audio.ulaw_encode(bytes(4)) == b"\xff\xff"
    assert audio.alaw_encode(bytes(4)) == b"\xd5\xd5"


@pytest.mark.parametrize(
    ("value", "mu", "a"), [(32124, 0x80, 0xAA), (-32124, 0x00, 0x2A), (8, 0xFE, 0xD5), (-8, 0x7E, 0x55)]
)
def test_g711_golden_codes(value: int, mu: int, a: int) -> None:
    pcm = np.array([value], "<i2").tobytes()
    assert audio.ulaw_encode(pcm)[0] == mu
    assert audio.alaw_encode(pcm)[0] == a


def tone(rate_hz: int, hz: float = 440.0, seconds: float = 0.5) -> bytes:
    return (np.sin(np.arange(int(rate_hz * seconds)) * 2 * np.pi * hz / rate_hz) * 10_000).astype("<i2").tobytes()


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (24_000, 48_000), (8_000, 16_000), (48_000, 8_000)])
def test_resampling_in_chunks_is_resampling_the_whole(from_hz: int, to_hz: int) -> None:
    pcm = tone(from_hz)
    resampler = audio.Resampler(from_hz, to_hz)
    sizes = iter([2, 640, 1920, 38] * 1000)
    chunks, at = [], 0
    while at < len(pcm):
        size = next(sizes)
        chunks.append(resampler.push(pcm[at : at + size]))
        at += size
    chunks.append(resampler.push(b"", last=True))
    chunked = audio.samples_of(b"".join(chunks)).astype(int)
    whole = audio.samples_of(audio.resample(pcm, from_hz, to_hz, "MQ")).astype(int)
    assert len(chunked) == len(whole) == len(pcm) // 2 * to_hz // from_hz
    assert np.abs(chunked - whole).max() <= 2  # soxr dithers 16-bit output


def test_a_resampled_tone_keeps_its_pitch_and_strength() -> None:
    samples = audio.samples_of(audio.resample(tone(48_000), 48_000, 16_000)).astype(float)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert np.argmax(spectrum) * 16_000 / len(samples) == pytest.approx(440, abs=3)
    assert np.sqrt(np.mean(samples[1000:-1000] ** 2)) == pytest.approx(10_000 / np.sqrt(2), rel=0.02)


def test_a_resampler_can_begin_anew() -> None:
    resampler = audio.Resampler(48_000, 16_000)
    first = resampler.push(tone(48_000), last=True)
    resampler.reset()
    assert resampler.push(tone(48_000), last=True) == first


def test_equal_rates_pass_through() -> None:
    resampler = audio.Resampler(16_000, 16_000)
    pcm = tone(16_000)
    assert resampler.push(memoryview(pcm)) == pcm
    assert resampler.push(b"", last=True) == b""


@given(st.integers(0, 100_000), st.sampled_from([8_000, 16_000, 24_000, 48_000]))
def test_ms_and_bytes(ms: int, rate_hz: int) -> None:
    count = audio.ms_to_bytes(ms, rate_hz)
    assert count % 2 == 0
    assert audio.bytes_to_ms(count, rate_hz) == ms


def test_a_frame_is_what_the_design_says() -> None:
    assert audio.FRAME_BYTES == 1920
    assert audio.bytes_to_ms(audio.FRAME_BYTES, audio.MOUTH_RATE_HZ) == audio.FRAME_MS


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="buffer size"):
        audio.samples_of(b"abc")
