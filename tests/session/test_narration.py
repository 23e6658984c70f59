"""Words are told when they sound, and the words of a reply are its text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.clauses import Clause, Clauses
from antiphon.core.speech import AudioChunk
from antiphon.core.spoken import heard_text
from antiphon.session.narration import Narration

SECOND = b"\0\0" * 48_000


def clauses_of(text: str) -> list[Clause]:
    clauses = Clauses()
    return [*clauses.push(text), *clauses.finish()]


def narrate(text: str, seconds_each: int = 1) -> Narration:
    narration = Narration()
    segment = 0
    for clause in clauses_of(text):
        narration.add(clause)
        if clause.spoken:
            narration.take(AudioChunk(SECOND * seconds_each, segment, last=True))
            segment += 1
    return narration


def test_words_are_told_as_they_begin_to_sound() -> None:
    narration = narrate("Yes, of course. It is on the table.")
    assert narration.tell_until(0.0) == ""
    told = narration.tell_until(1.0)
    assert told and "Yes, of course.".startswith(told.strip())
    told += narration.tell_until(narration.audio_ms)
    told += narration.tell_all()
    assert told == "Yes, of course. It is on the table."
    assert narration.tell_all() == ""


def test_text_without_sound_is_told_with_its_neighbours() -> None:
    narration = narrate("Well done! 🎉 Now go on. 🙂")
    assert "".join(word.text for word in narration.timeline()) == narration.text == "Well done! 🎉 Now go on. 🙂"
    assert narration.tell_all() == narration.text


def test_clauses_that_still_wait_for_the_voice_are_part_of_the_timeline() -> None:
    narration = Narration()
    first, *rest = clauses_of("That is the first. And this is the second sentence of it.")
    narration.add(first)
    for clause in rest:
        narration.add(clause)
    narration.take(AudioChunk(SECOND, 0))
    assert "".join(word.text for word in narration.timeline()) == narration.text
    assert narration.timeline()[-1].end_ms > narration.audio_ms
    assert narration.tell_begun() == first.source


PARTS = st.lists(st.sampled_from(["Well. ", "one two three, ", "🙂 ", "the end of it. ", "12 "]), max_size=8)


@given(PARTS, st.floats(0, 9e3))
def test_what_is_told_and_what_is_heard_are_starts_of_the_text(parts: list[str], heard_ms: float) -> None:
    narration = narrate("".join(parts))
    assert narration.text.startswith(heard_text(narration.timeline(), heard_ms))
    told = narration.tell_until(heard_ms)
    assert narration.text.startswith(told)
    assert told + narration.tell_all() == narration.text


@given(st.integers(0, 4), st.integers(0, 2000))
def test_what_a_failed_voice_left_unsaid_is_told_in_its_place(clauses_said: int, more_ms: int) -> None:
    narration = Narration()
    clauses = clauses_of("Well, this is the first one. 🙂 Here we have a second one. And so it comes to its end.")
    spoken = [clause for clause in clauses if clause.spoken]
    for clause in clauses:
        narration.add(clause)
    for index in range(min(clauses_said, len(spoken))):
        narration.take(AudioChunk(SECOND, index, last=True))
    if clauses_said < len(spoken):
        narration.take(AudioChunk(b"\0\x40" * 48 * more_ms, clauses_said))
    told = narration.tell_begun()
    unsaid = narration.break_off()
    assert "".join(word.text for word in narration.timeline()) == narration.text
    whole = " ".join(clause.spoken for clause in spoken)
    assert whole.endswith(" ".join(text.strip() for text in unsaid))
    for index, _ in enumerate(unsaid):
        narration.take(AudioChunk(SECOND, index, last=True))
    assert narration.break_off() == []
    assert told + narration.tell_all() == narration.text
