import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.who import MOST_NUMBERED, Embedding, Who, WhoPolicy, likeness, unit

ANN, BEN, CLEO = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0))


def near(voice: Embedding, how: float) -> Embedding:
    """A voice in another direction than all of the above, so alike to ``voice``."""
    return (*(how * value for value in voice[:3]), math.sqrt(1 - how**2))


def test_unknown_speakers_are_numbered_in_the_order_in_which_they_are_heard() -> None:
    who = Who()
    heard = [who.hear(voice, 3000) for voice in (ANN, BEN, ANN, CLEO, BEN, ANN)]
    assert heard == ["Speaker 1", "Speaker 2", "Speaker 1", "Speaker 3", "Speaker 2", "Speaker 1"]
    assert who.names == ("Speaker 1", "Speaker 2", "Speaker 3")


def test_those_enrolled_go_by_their_names_and_the_others_by_number() -> None:
    who = Who({"Ann": ANN})
    assert [who.hear(near(ANN, 0.6), 3000), who.hear(BEN, 3000), who.hear(ANN, 1000)] == ["Ann", "Speaker 1", "Ann"]


def test_where_only_names_are_wanted_others_stay_unnamed() -> None:
    who = Who({"Ann": ANN}, numbered=False)
    assert [who.hear(BEN, 9000), who.hear(ANN, 9000)] == [None, "Ann"]
    assert who.names == ("Ann",)


def test_the_shorter_the_speech_the_less_alike_it_must_be() -> None:
    who = Who({"Ann": ANN})
    assert who.name(near(ANN, 0.36), 1000) == "Ann"
    assert who.name(near(ANN, 0.36), 3000) is None
    assert who.name(ANN, 400) is None


def test_too_little_speech_founds_nobody_and_a_doubtful_voice_waits_for_more() -> None:
    who = Who()
    assert who.hear(ANN, 900) is None
    assert who.hear(ANN, 1000) == "Speaker 1"
    assert who.hear(near(ANN, 0.3), 1200) is None, "it may be the same person"
    assert who.hear(near(ANN, 0.3), 2500) == "Speaker 2"


def test_a_short_word_that_may_be_anybodys_draws_nobody_nearer() -> None:
    who = Who()
    who.hear(ANN, 3000)
    assert [who.hear(near(ANN, 0.4), 1200) for _ in range(20)] == ["Speaker 1"] * 20
    assert who.name(near(ANN, 0.4), 3000) is None, "or this would be like her by now"
    assert who.hear(near(ANN, 0.6), 1200) == "Speaker 1"


def test_asking_teaches_nothing() -> None:
    who = Who()
    who.hear(ANN, 3000)
    before = who.names
    assert who.name(BEN, 3000) is None
    assert who.names == before


def test_two_numbers_that_turn_out_to_be_one_person_go_on_as_the_lower() -> None:
    who = Who()
    assert who.hear(ANN, 3000) == "Speaker 1"
    assert who.hear(BEN, 3000) == "Speaker 2"
    between = unit((0.5, 0.9, 0.0, 0.0))  # nearer to the second, which it draws towards the first
    told = [who.hear(between, 9000) for _ in range(3)]
    assert told[0] == "Speaker 2"
    for _ in range(5):
        who.hear(unit((0.9, 0.8, 0.0, 0.0)), 9000)
    assert who.names == ("Speaker 1",)
    assert who.hear(BEN, 3000) == "Speaker 1"
    assert who.hear(CLEO, 3000) == "Speaker 3", "a number that was told is not given again"


def test_a_number_that_turns_out_to_be_somebody_enrolled_takes_the_name_from_then_on() -> None:
    pieces = 20
    axis = [tuple(1.0 if place == index else 0.0 for place in range(pieces + 2)) for index in range(pieces + 2)]
    ann, room = axis[:2]

    def piece(number: int) -> Embedding:
        """Ann through a bad line: each piece has its own noise, so that none is like her, but all together are."""
        return unit(tuple(0.44 * a + 0.52 * b + 0.732 * c for a, b, c in zip(ann, room, axis[number + 2], strict=True)))

    who = Who({"Ann": ann})
    told = [who.hear(piece(number), 3000) for number in range(pieces)]
    changes = [name for name, before in zip(told, [None, *told], strict=False) if name != before]
    assert changes == ["Speaker 1", "Ann"]
    assert who.names == ("Ann",)


def test_nobody_is_numbered_beyond_the_most() -> None:
    who = Who()
    size = MOST_NUMBERED + 1
    voices = [tuple(1.0 if place == index else 0.0 for place in range(size)) for index in range(size)]
    heard = [who.hear(voice, 5000) for voice in voices]
    assert heard[:-1] == [f"Speaker {number}" for number in range(1, size)]
    assert heard[-1] is None


@pytest.mark.parametrize("nothing", [(0.0, 0.0), (math.nan, 1.0), (math.inf, 0.0)])
def test_a_vector_without_a_direction_is_no_voice(nothing: Embedding) -> None:
    with pytest.raises(ValueError, match="silence"):
        unit(nothing)


def voices_of(people: int, seed: int) -> list[Embedding]:
    """Directions that are far from each other, as those of different people are."""
    generator = random.Random(seed)
    return [
        unit(tuple(generator.gauss(0, 0.02) + (8.0 if place == person else 0.0) for place in range(12)))
        for person in range(people)
    ]


def said_by(voice: Embedding, generator: random.Random) -> Embedding:
    return unit(tuple(value + generator.gauss(0, 0.03) for value in voice))


turns = st.lists(st.tuples(st.integers(0, 4), st.integers(1000, 9000)), min_size=1, max_size=40)


@given(turns, st.integers(0, 999), st.sets(st.integers(0, 4)))
def test_each_person_has_one_name_throughout_and_no_name_is_two_persons(
    said: list[tuple[int, int]], seed: int, enrolled: set[int]
) -> None:
    people, generator = voices_of(5, seed), random.Random(seed)
    who = Who({f"Name {person}": people[person] for person in enrolled})
    told: dict[int, str] = {}
    for person, speech_ms in said:
        name = who.hear(said_by(people[person], generator), speech_ms)
        if name is not None:
            assert told.setdefault(person, name) == name
    assert len(set(told.values())) == len(told)
    assert all((told[person] == f"Name {person}") == (person in enrolled) for person in told)
    numbers = [int(name.removeprefix("Speaker ")) for name in who.names if name.startswith("Speaker ")]
    assert numbers == list(range(1, len(numbers) + 1)), "none is left out, none given twice"


@given(st.lists(st.tuples(st.lists(st.floats(-1, 1), min_size=4, max_size=4), st.integers(0, 9000)), max_size=30))
def test_whatever_is_heard_the_numbers_grow_and_are_never_given_again(
    heard: list[tuple[list[float], int]],
) -> None:
    who = Who({"Ann": ANN})
    seen: list[str] = []
    for vector, speech_ms in heard:
        try:
            embedding = unit(tuple(vector))
        except ValueError:
            continue
        name = who.hear(embedding, speech_ms)
        if name is not None and name not in seen:
            seen.append(name)
        assert name is None or name in who.names
    numbers = [int(name.removeprefix("Speaker ")) for name in seen if name != "Ann"]
    assert all(one < other for one, other in pairwise(numbers))


def test_likeness_is_the_cosine() -> None:
    assert likeness(ANN, near(ANN, 0.37)) == pytest.approx(0.37)
    assert WhoPolicy().threshold(499) is None
