from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.segments import Segment, by_length, by_times, one_segment, runs_of, tagged, untagged
from antiphon.core.voice_spans import NamedSpan

ANN, BEN = NamedSpan(0, 1000, "Ann"), NamedSpan(1200, 3200, "Ben")


def test_words_with_times_go_to_whoever_spoke_then() -> None:
    words = [("Is", 0, 200), ("it", 300, 400), ("late?", 500, 900), ("Not", 1250, 1500), (" yet.", 1600, 2000)]
    assert by_times(words, (ANN, BEN)) == (
        Segment("Ann", "Is it late?", 0, 900),
        Segment("Ben", "Not yet.", 1250, 2000),
    )


def test_a_word_between_two_goes_to_the_nearer() -> None:
    assert [segment.speaker for segment in by_times([("a", 1000, 1060), ("b", 1120, 1190)], (ANN, BEN))] == [
        "Ann",
        "Ben",
    ]


def test_words_without_times_are_shared_out_by_length() -> None:
    segments = by_length("one two three four five six", (ANN, BEN))
    assert [(segment.speaker, segment.text) for segment in segments] == [
        ("Ann", "one two"),
        ("Ben", "three four five six"),
    ]


spans = st.lists(
    st.builds(
        lambda at, length, who: NamedSpan(at, at + length, who),
        st.integers(0, 20_000),
        st.integers(1, 3000),
        st.sampled_from(("Ann", "Ben", None)),
    ),
    min_size=1,
    max_size=8,
)


@given(st.lists(st.sampled_from(("yes", "no", "perhaps")), max_size=30), spans)
def test_no_word_is_lost_or_moved(words: list[str], said: list[NamedSpan]) -> None:
    by_estimate = by_length(" ".join(words), runs_of(said))
    assert " ".join(segment.text for segment in by_estimate).split() == words
    timed = [(word, index * 400, index * 400 + 300) for index, word in enumerate(words)]
    assert " ".join(segment.text for segment in by_times(timed, said)).split() == words


@given(spans)
def test_runs_change_speakers(said: list[NamedSpan]) -> None:
    runs = runs_of(said)
    assert all(one.speaker != other.speaker for one, other in pairwise(runs))
    assert {run.speaker for run in runs} == {span.speaker for span in said}


def test_a_turn_of_one_speaker_is_one_segment_from_the_first_sound_to_the_last() -> None:
    assert one_segment("Is it late?", (ANN, BEN), "Ann", 5000) == (Segment("Ann", "Is it late?", 0, 3200),)
    assert one_segment("Is it late?", (), None, 5000) == (Segment(None, "Is it late?", 0, 5000),)
    assert one_segment("", (ANN,), "Ann", 5000) == ()


def test_the_brain_reads_a_line_for_each_speaker() -> None:
    said = (
        Segment("Ann", "Is it", 0, 1),
        Segment("Ann", "late?", 1, 2),
        Segment("Ben", "No.", 2, 3),
        Segment(None, "Hm.", 3, 4),
    )
    assert tagged(said) == "[Ann]: Is it late?\n[Ben]: No.\nHm."
    assert untagged(tagged(said)) == "Is it late?\nNo.\nHm."
    assert untagged("See [1]: it is there.") == "See [1]: it is there."
