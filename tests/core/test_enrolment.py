import pytest

from antiphon.core.enrolment import LEAST_SPEECH_MS, enrolment
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
