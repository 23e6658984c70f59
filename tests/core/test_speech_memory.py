"""What is kept of what was said, and what goes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.speech import AudioChunk, Word
from antiphon.core.speech_memory import SpeechMemory, key_of


def sound(samples: int) -> tuple[AudioChunk, ...]:
    half = samples // 2
    return (
        AudioChunk(b"ab" * half, 0, (Word(0, 2, 0, half),)),
        AudioChunk(b"cd" * (samples - half), 0, last=True),
    )


def test_a_text_is_worth_keeping_the_second_time_and_a_fixed_one_at_once() -> None:
    memory = SpeechMemory(100_000)
    assert not memory.is_worth_keeping(b"sure", fixed=False)
    assert memory.is_worth_keeping(b"sure", fixed=False)
    assert memory.is_worth_keeping(b"welcome", fixed=True)


def test_what_was_kept_is_found_as_it_was() -> None:
    memory = SpeechMemory(100_000)
    memory.keep(b"sure", sound(1000))
    assert memory.find(b"sure") == sound(1000)
    assert memory.find(b"well") is None
    assert memory.hits == 1


def test_the_least_recently_used_goes_first() -> None:
    memory = SpeechMemory(12_000)
    for key in (b"one", b"two", b"three", b"four"):
        memory.keep(key, sound(1000))
    memory.find(b"one")
    memory.keep(b"five", sound(1000))
    assert [key for key in (b"one", b"two", b"three", b"four", b"five") if memory.find(key)] == [
        b"one", b"three", b"four", b"five",
    ]  # fmt: skip


def test_one_long_text_does_not_drive_out_all_others() -> None:
    memory = SpeechMemory(100_000)
    memory.keep(b"sure", sound(1000))
    memory.keep(b"a lecture", sound(20_000))
    assert memory.find(b"a lecture") is None
    assert memory.find(b"sure") is not None


def test_without_room_nothing_is_kept() -> None:
    memory = SpeechMemory(0)
    assert not memory.is_worth_keeping(b"welcome", fixed=True)
    memory.keep(b"welcome", sound(10))
    assert (len(memory), memory.used_bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(2, 3000)), max_size=60))
def test_it_never_holds_more_than_its_room_and_knows_how_much(entries: list[tuple[int, int]]) -> None:
    memory = SpeechMemory(20_000)
    for name, samples in entries:
        memory.keep(bytes([name]), sound(samples))
        assert memory.used_bytes <= 20_000
    kept = [found for name in range(10) if (found := memory.find(bytes([name])))]
    assert len(kept) == len(memory)
    assert sum(len(chunk.pcm) for chunks in kept for chunk in chunks) <= memory.used_bytes
    assert (memory.used_bytes == 0) == (not kept)


@pytest.mark.parametrize(
    "other",
    [("beta", "1", 1.0, "Sure,"), ("alpha", "2", 1.0, "Sure,"), ("alpha", "1", 1.1, "Sure,"), ("alpha", "1", 1.0, "S")],
)
def test_all_that_the_audio_depends_on_makes_another_key(other: tuple[str, str, float, str]) -> None:
    assert key_of(*other) != key_of("alpha", "1", 1.0, "Sure,") == key_of("alpha", "1", 1.0, "Sure,")
