import math

import numpy as np
import pytest

from antiphon.core.enrolment import LEAST_SPEECH_MS, Enrolment, contrast_db, doubts, enrolment
from antiphon.core.who import HeardVoice, likeness, unit

ANN, BEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)


def look(*heard: tuple[tuple[float, ...], int]) -> list[HeardVoice]:
    return [HeardVoice(((0, speech_ms),), speech_ms, unit(voice)) for voice, speech_ms in heard]


def test_a_voice_is_the_mean_of_its_parts_by_their_length() -> None:
    found = enrolment([look(((1.0, 0.3, 0.0), 6000)), look(((1.0, -0.3, 0.0), 3000))])
    assert found.speech_ms == 9000
    assert likeness(found.embedding, ANN) > 0.99
    assert found.embedding[1] > 0, "the longer part counts for more"


def test_too_little_speech_is_refused_with_how_much_there_was() -> None:
    with pytest.raises(ValueError, match=r"has 2\.9 s of speech: record at least 3 s"):
        enrolment([look((ANN, LEAST_SPEECH_MS - 100))])
    with pytest.raises(ValueError, match=r"has 0\.0 s of speech"):
        enrolment([[HeardVoice(((0, 200),))], []])


@pytest.mark.parametrize("looks", [[look((ANN, 5000), (BEN, 3000))], [look((ANN, 5000)), look((BEN, 3000))]])
def test_two_people_are_not_one_voice(looks: list[list[HeardVoice]]) -> None:
    with pytest.raises(ValueError, match="more than one voice"):
        enrolment(looks)


def test_a_word_of_somebody_else_does_no_harm() -> None:
    assert likeness(enrolment([look((ANN, 9000), (BEN, 700))]).embedding, ANN) > 0.99


def sound(noise: float) -> bytes:
    """Two seconds of which half is a voice of level 3000, over noise of a level."""
    rng = np.random.default_rng(1)
    voiced = np.repeat([0.0, 3000.0, 0.0, 3000.0], 8000) * rng.standard_normal(32_000)
    return (voiced + noise * rng.standard_normal(32_000)).clip(-32768, 32767).astype("<i2").tobytes()


def test_the_contrast_is_that_of_speech_and_noise() -> None:
    assert contrast_db(sound(30)) == pytest.approx(40, abs=2)
    assert contrast_db(sound(1000)) == pytest.approx(10, abs=2)
    assert contrast_db(b"") == math.inf


def test_nothing_is_said_of_a_good_recording() -> None:
    assert doubts("Ann", Enrolment(ANN, 9000), 30, {"Ben": BEN, "ann": (0.9, 0.1, 0.0)}) == []


@pytest.mark.parametrize(
    ("speech_ms", "contrast", "voice", "said"),
    [
        (4000, 30, ANN, "4.0 s of speech is little"),
        (9000, 9.4, ANN, "out of the noise by 9 dB only"),
        (9000, 30, (0.6, 0.0, 0.8), "most like Cat's, by 0.80"),
    ],
)
def test_a_voice_that_may_not_be_known_again_is_doubted(
    speech_ms: int, contrast: float, voice: tuple[float, ...], said: str
) -> None:
    known = {"Ben": BEN, "Cat": (0.0, 0.0, 1.0)}
    [doubt] = doubts("Dan", Enrolment(voice, speech_ms), contrast, known)
    assert said in doubt


def test_another_voice_under_a_name_that_is_known_is_told() -> None:
    [doubt] = doubts("ANN", Enrolment(BEN, 9000), 30, {"Ann": (0.98, 0.2, 0.0), "Cat": (0.0, 0.0, 1.0)})
    assert "unlike what was known as Ann until now (0.20)" in doubt
