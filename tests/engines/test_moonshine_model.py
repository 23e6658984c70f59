from __future__ import annotations

import numpy as np
import pytest

from antiphon.audio import Samples
from antiphon.core.text import words_of
from antiphon.engines.moonshine_model import MoonshineModel
from antiphon.sim.speech import recordings

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def model() -> MoonshineModel:
    return MoonshineModel()


def cut(recording: int, start_s: float, end_s: float) -> Samples:
    return recordings()[recording].samples[int(start_s * RATE_HZ) : int(end_s * RATE_HZ)]


def test_a_final_is_the_same_whatever_was_guessed_before(model: MoonshineModel) -> None:
    samples = cut(1, 0.9, 4.9)
    plain = model.recognize(samples)
    for draft in (
        plain.tokens,
        plain.tokens[:5],
        (*plain.tokens[:4], 77, 78),
        (99, 2, 5),
        model.recognize(samples[:RATE_HZ]).tokens,
    ):
        assert model.recognize(samples, draft) == plain


def test_a_phrase_is_understood_at_any_level(model: MoonshineModel) -> None:
    phrase = cut(1, 0.9, 4.5)
    for gain in (4, 1, 0.1, 0.03):
        heard = words_of(model.recognize((phrase * gain).astype(np.int16)).text)
        assert " ".join(heard) == "it was the best of times it was the worst of times"


def test_it_stops_when_told_and_what_it_had_is_a_draft(model: MoonshineModel) -> None:
    samples = cut(1, 0.9, 4.9)
    asked = iter([False] * 6)
    stopped = model.recognize(samples, should_stop=lambda: next(asked, True))
    whole = model.recognize(samples)
    assert not stopped.whole
    assert 0 < len(stopped.tokens) < len(whole.tokens)
    assert whole.tokens[: len(stopped.tokens)] == stopped.tokens
    assert model.recognize(samples, stopped.tokens) == whole
    before = model.recognize(samples, (1, 2, 3), lambda: True)
    assert before.tokens == (1, 2, 3) and not before.whole


def test_the_noise_of_a_recording_has_no_words(model: MoonshineModel) -> None:
    for recording in recordings():
        for seconds in (0.2, 0.3):
            assert model.recognize(recording.samples[: int(seconds * RATE_HZ)]).text == ""


def test_a_lone_word_is_heard(model: MoonshineModel) -> None:
    phrase = cut(0, 3.4, 4.2)
    assert words_of(model.recognize(phrase).text) == ["no", "matter"]
    word = cut(1, 0.9, 1.4)
    assert words_of(model.recognize(word).text)[:1] == ["it"]
