"""Silence around speech: taken off the front, a pause of known length at the end, nothing lost between."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.silence import BARE_PAUSE_MS, COMMA_PAUSE_MS, SENTENCE_PAUSE_MS, SilenceTrimmer, pause_after_ms

RATE_HZ = 16_000


def silence(ms: int) -> bytes:
    return bytes(RATE_HZ * ms // 1000 * 2)


def tone(ms: int, amplitude: int = 8000) -> bytes:
    seconds = np.arange(RATE_HZ * ms // 1000) / RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 400 * seconds)).astype("<i2").tobytes()


def trimmed(pcm: bytes, pause_ms: int, cuts: list[int] | None = None) -> tuple[bytes, int]:
    trimmer = SilenceTrimmer(RATE_HZ)
    edges = [0, *sorted(2 * (cut % (len(pcm) // 2 + 1)) for cut in cuts or []), len(pcm)]
    out = b"".join(trimmer.push(pcm[start:end]) for start, end in itertools.pairwise(edges))
    return out + trimmer.finish(pause_ms), trimmer.cut_samples


@given(
    lead_ms=st.integers(0, 30).map(lambda n: n * 5),
    gap_ms=st.integers(0, 40).map(lambda n: n * 5),
    tail_ms=st.integers(0, 600),
    pause_ms=st.sampled_from((60, 120, 200)),
    cuts=st.lists(st.integers(0, 20_000), max_size=8),
)
def test_the_sound_stays_whole_whatever_the_blocks(
    lead_ms: int, gap_ms: int, tail_ms: int, pause_ms: int, cuts: list[int]
) -> None:
    speech = tone(100) + silence(gap_ms) + tone(60)
    out, cut_samples = trimmed(silence(lead_ms) + speech + silence(tail_ms), pause_ms, cuts)
    kept_lead = min(lead_ms, 5)
    assert out == silence(kept_lead) + speech + silence(pause_ms)
    assert cut_samples == (lead_ms - kept_lead) * RATE_HZ // 1000


def test_a_soft_onset_belongs_to_the_sound() -> None:
    out, _ = trimmed(silence(200) + tone(40, amplitude=150) + tone(100) + silence(300), 120)
    assert out == silence(5) + tone(40, amplitude=150) + tone(100) + silence(120)


def test_a_rustle_after_the_end_is_no_sound() -> None:
    out, _ = trimmed(tone(100) + silence(400) + tone(40, amplitude=60) + silence(50), 200)
    assert out == tone(100) + silence(200)


def test_silence_alone_leaves_nothing() -> None:
    assert trimmed(silence(700), 200)[0] == b""


@pytest.mark.parametrize(
    ("text", "pause_ms"),
    [
        ("Yes.", SENTENCE_PAUSE_MS),
        ('"Really?" ', SENTENCE_PAUSE_MS),
        ("Well, ", COMMA_PAUSE_MS),
        ("(or so)", BARE_PAUSE_MS),
        ("and then ", BARE_PAUSE_MS),
        ("", BARE_PAUSE_MS),
        ("好。", SENTENCE_PAUSE_MS),
    ],
)
def test_the_pause_follows_the_punctuation(text: str, pause_ms: int) -> None:
    assert pause_after_ms(text) == pause_ms
