"""Words and their times."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.clauses import Clause, Clauses
from antiphon.core.speech import Spoken, Word
from antiphon.core.spoken import HEARD_TOLERANCE_MS, SpokenSegment, heard_text, pause_ms, pauses_at, speaking_ms

MS = 48  # samples

texts = st.one_of(
    st.lists(
        st.sampled_from(
            ["one", "two,", "three.", "$5", "20%", "**bold**", "😀", "—", "\n", "你好。", "NASA", "10:30", "..."]
        ),
        min_size=1,
        max_size=12,
    ).map(" ".join),
    st.text(min_size=1, max_size=60),
)
engine_words = st.lists(
    st.tuples(st.integers(0, 80), st.integers(0, 80), st.integers(0, 5000), st.integers(-500, 5000)).map(
        lambda w: Word(w[0], w[1], w[2] * MS, w[3] * MS)
    ),
    max_size=8,
)


def clauses_of(text: str) -> list[Clause]:
    clauses = Clauses()
    return [*clauses.push(text), *clauses.finish()]


def clause_of(text: str) -> Clause:
    (clause,) = clauses_of(text)
    return clause


def assert_in_order(timeline: list[Spoken]) -> None:
    times = [time for word in timeline for time in (word.start_ms, word.end_ms)]
    assert times == sorted(times)


@given(texts, engine_words, st.none() | st.integers(0, 10_000), st.floats(0, 5000))
def test_a_timeline_is_the_source_in_order(text: str, words: list[Word], total_ms: int | None, start_ms: float) -> None:
    for clause in clauses_of(text):
        segment = SpokenSegment(clause)
        segment.add_audio(bytes(80 * MS * 2) + b"\0\x40" * 500 * MS + bytes(120 * MS * 2))
        segment.add_words(words)
        if total_ms is not None:
            segment.close(total_ms * MS)
        timeline = segment.timeline(start_ms)
        assert "".join(word.text for word in timeline) == clause.source
        assert_in_order(timeline)
        assert timeline[0].start_ms >= start_ms
        if total_ms is not None:
            assert timeline[-1].end_ms <= start_ms + total_ms


@given(texts, st.integers(0, 10_000), st.lists(st.floats(0, 12_000), max_size=10))
def test_what_was_heard_grows_into_the_whole(text: str, total_ms: int, times: list[float]) -> None:
    timeline: list[Spoken] = []
    for clause in clauses_of(text):
        segment = SpokenSegment(clause)
        segment.close(total_ms * MS)
        timeline += segment.timeline(timeline[-1].end_ms if timeline else 0.0)
    heard = [heard_text(timeline, at) for at in sorted(times)]
    for earlier, later in pairwise(heard):
        assert later.startswith(earlier)
    assert all(text.startswith(part) for part in heard)
    assert heard_text(timeline, timeline[-1].end_ms) == text


def test_without_word_times_words_share_the_audio_by_their_length() -> None:
    segment = SpokenSegment(clause_of("I understand it"))
    segment.close(1300 * MS)
    first, second, third = segment.timeline()
    assert (first.text, second.text, third.text) == ("I", " understand", " it")
    assert [first.start_ms, first.end_ms, second.end_ms, third.end_ms] == pytest.approx([0, 100, 1100, 1300])


def test_silence_around_the_words_is_left_out() -> None:
    segment = SpokenSegment(clause_of("aa bb"))
    sound, silence = b"\0\x40" * MS, b"\x10\0" * MS
    segment.add_audio(silence * 60)
    segment.add_audio(silence * 40 + sound * 500 + silence * 100)
    segment.add_audio(sound * 400 + silence * 100)
    segment.add_audio(silence * 200)
    segment.close(1400 * MS)
    assert segment.pace == pytest.approx(1000 / speaking_ms("aa bb"))
    assert [(w.start_ms, w.end_ms) for w in segment.timeline()] == [(100, 600), (600, 1100)]


def test_a_pause_inside_belongs_to_no_word() -> None:
    segment = SpokenSegment(clause_of("well, yes"))
    segment.close(2000 * MS)
    well, yes = segment.timeline()
    assert yes.start_ms - well.end_ms == pytest.approx(
        2000 * pause_ms("well,") / (speaking_ms("well,") + pause_ms("well,") + speaking_ms("yes"))
    )


def test_the_engines_word_times_are_used() -> None:
    segment = SpokenSegment(clause_of("Pay **$5** now"))
    assert segment.timeline()[0].text == "Pay"
    segment.add_words([Word(0, 3, 100 * MS, 300 * MS)])
    segment.add_words(
        [Word(4, 5, 320 * MS, 500 * MS), Word(6, 13, 500 * MS, 900 * MS), Word(14, 17, 950 * MS, 1200 * MS)]
    )
    segment.close(1500 * MS)
    assert segment.timeline(1000) == [
        Spoken("Pay", 1100, 1300),
        Spoken(" **$5**", 1320, 1900),
        Spoken(" now", 1950, 2200),
    ]


def test_words_that_the_engine_left_out_share_the_time_between_the_others() -> None:
    segment = SpokenSegment(clause_of("aa bb bb cc"))
    segment.add_words([Word(0, 2, 0, 100 * MS), Word(9, 11, 500 * MS, 900 * MS)])
    segment.close(1000 * MS)
    assert [(w.start_ms, w.end_ms) for w in segment.timeline()] == [(0, 100), (100, 300), (300, 500), (500, 900)]


def test_before_the_audio_is_complete_the_pace_decides() -> None:
    clause = clause_of("lorem ipsum dolor")
    closed = SpokenSegment(clause)
    assert closed.pace == 1.0
    ordinary_ms = closed.duration_ms
    closed.close(round(ordinary_ms * 2) * MS)
    assert closed.pace == pytest.approx(2.0)
    assert SpokenSegment(clause, pace=closed.pace).duration_ms == pytest.approx(closed.duration_ms)
    following = SpokenSegment(clause, pace=closed.pace)
    following.add_words([Word(0, 5, 0, 700 * MS)])
    assert following.timeline()[-1].end_ms == pytest.approx(700 + 2 * speaking_ms("ipsum dolor"))


def test_what_has_no_sound_goes_with_a_neighbour() -> None:
    segment = SpokenSegment(clause_of("## Big 😀 **sale** —"))
    assert [word.text for word in segment.timeline()] == ["## Big 😀", " **sale** —"]


def test_a_silent_clause_takes_no_time() -> None:
    assert SpokenSegment(clause_of("😀")).timeline(500) == [Spoken("😀", 500, 500)]


def test_a_word_that_lacks_its_last_moment_was_heard() -> None:
    timeline = [Spoken("one", 0, 300), Spoken(" two", 300, 600)]
    assert heard_text(timeline, 300 - HEARD_TOLERANCE_MS) == "one"
    assert heard_text(timeline, 299 - HEARD_TOLERANCE_MS) == ""
    assert heard_text(timeline, 0) == ""


def test_longer_texts_take_longer() -> None:
    assert speaking_ms("") == 0
    assert speaking_ms("it") < speaking_ms("item") < speaking_ms("items and more")
    assert speaking_ms("1999") > speaking_ms("nine")
    assert speaking_ms("FBI") > speaking_ms("fib")
    assert speaking_ms("今天") > speaking_ms("it")
    assert pause_ms('end."') > pause_ms("well,") > pause_ms("well") == 0


@given(texts, st.integers(0, 3000), st.booleans())
def test_a_segment_that_breaks_off_leaves_the_rest_of_its_clause(text: str, audio_ms: int, timed: bool) -> None:
    for clause in clauses_of(text):
        segment = SpokenSegment(clause)
        words = len(segment.timeline())
        segment.add_audio(b"\0\x40" * audio_ms * MS)
        if timed and clause.spoken:
            segment.add_words([Word(0, len(clause.spoken), 0, 1500 * MS)])
        said, rest = segment.break_off()
        assert "".join(word.text for word in said) + (rest.source if rest else "") == clause.source
        assert all(word.end_ms <= audio_ms + 0.01 for word in said)
        if rest is not None:
            assert clause.spoken.endswith(rest.spoken)
            assert rest.marks[-1] == (len(rest.spoken), len(rest.source))
            assert len(said) + len(SpokenSegment(rest).timeline()) == words


def test_a_segment_without_audio_breaks_off_whole() -> None:
    clause = clause_of("Not a word of it.")
    assert SpokenSegment(clause).break_off() == ([], clause)


def test_a_pause_is_where_a_clause_ends_and_another_follows() -> None:
    timeline = [
        Spoken("wait ", 0.0, 200.0),
        Spoken("please, ", 200.0, 500.0),
        Spoken("I ", 580.0, 650.0),
        Spoken("look. ", 650.0, 900.0),
        Spoken("Now.", 900.0, 1200.0),
    ]
    at = [ms for ms in range(0, 1400, 20) if pauses_at(timeline, ms)]
    assert at == [500, 520, 540, 560, 580, 900, 920]
    assert not pauses_at([], 0.0)
