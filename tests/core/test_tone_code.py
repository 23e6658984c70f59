"""Text as tones, through all that may happen to it on the way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio import Resampler, alaw_decode, alaw_encode, resample, ulaw_decode, ulaw_encode
from antiphon.engines.tone_code import SYMBOL_MS, Decoder, decode, encode, symbols_of

SENTENCE = 'Say 3 words, please: "one", two; (THREE)! call f {"a": [1, 2.5]}'
SILENCE = bytes(16_000 * 2 * 100 // 1000)

_TEXTS = st.text(st.sampled_from("abcxyz XYZ019.,?!'\"-:;{}[]()_/=+%$&@#"), min_size=1, max_size=30)


@given(_TEXTS, st.lists(st.integers(1, 2000), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_any_text_comes_through_any_cutting_into_frames(text: str, cuts: list[int]) -> None:
    pcm = SILENCE[: 2 * cuts[0]] + encode(text, 16_000) + SILENCE
    decoder = Decoder()
    at, turn = 0, 0
    while at < len(pcm):
        size = 2 * cuts[turn % len(cuts)]
        decoder.push(pcm[at : at + size])
        at, turn = at + size, turn + 1
    assert decoder.text == " ".join(text.split())
    assert decoder.whole_words == decoder.text


def test_its_length_is_fixed_for_each_symbol() -> None:
    assert symbols_of("aB") == [1, symbols_of("^")[0], 2]
    assert len(encode("aB c", 48_000)) == 5 * 48 * SYMBOL_MS * 2


def _through_24k(pcm: bytes) -> bytes:
    up, down = Resampler(16_000, 24_000), Resampler(24_000, 16_000)
    parts = [down.push(up.push(pcm[i : i + 640])) for i in range(0, len(pcm), 640)]
    return b"".join(parts) + down.push(up.push(b"", last=True), last=True)


def _through_phone(pcm: bytes, law: str) -> bytes:
    narrow = resample(pcm, 16_000, 8_000)
    line = ulaw_decode(ulaw_encode(narrow)) if law == "u" else alaw_decode(alaw_encode(narrow))
    return resample(line, 8_000, 16_000)


@pytest.mark.parametrize("amplitude", [1500, 8000, 30_000])
@pytest.mark.parametrize("symbol_ms", [30, 40, 56])
def test_it_survives_resampling_and_the_telephone(amplitude: int, symbol_ms: int) -> None:
    pcm = SILENCE + encode(SENTENCE, 16_000, amplitude=amplitude, symbol_ms=symbol_ms) + SILENCE
    assert decode(pcm) == SENTENCE
    assert decode(_through_24k(pcm)) == SENTENCE
    assert decode(_through_phone(pcm, "u")) == SENTENCE
    assert decode(_through_phone(pcm, "a")) == SENTENCE


def test_what_is_made_at_48_khz_is_understood() -> None:
    assert decode(encode(SENTENCE, 48_000), 48_000) == SENTENCE


def test_words_become_known_as_they_are_heard() -> None:
    decoder = Decoder()
    pcm = encode("one two", 16_000)
    ms = 32
    decoder.push(pcm[: 3 * SYMBOL_MS * ms])
    assert (decoder.text, decoder.whole_words) == ("one", "")
    decoder.push(pcm[3 * SYMBOL_MS * ms : 5 * SYMBOL_MS * ms])
    assert (decoder.text, decoder.whole_words) == ("one t", "one")
    decoder.push(pcm[5 * SYMBOL_MS * ms :])
    assert (decoder.text, decoder.whole_words) == ("one two", "one")
    decoder.push(SILENCE)
    assert decoder.whole_words == "one two"


def test_a_listener_may_come_in_at_any_point() -> None:
    pcm = encode("alpha beta gamma", 16_000) + SILENCE
    for cut_samples in range(0, 640 * 6, 97):
        assert decode(pcm[2 * cut_samples :]).endswith("beta gamma")


def test_noise_carries_no_words() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, 16_000).astype(np.int16).tobytes()
    decoder = Decoder()
    for at in range(0, len(noise), 640):
        decoder.push(noise[at : at + 640])
    decoder.push(SILENCE + encode("yes", 16_000) + SILENCE)
    assert decoder.text == "yes"


def test_what_the_code_does_not_have_is_marked() -> None:
    assert decode(encode("caf\u00e9 \u4f60", 16_000)) == "caf* *"
