"""What is learned of a voice while it speaks, and how many clauses it is given at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.voice_pace import MOST_STREAMS, VoicePace


def spoken(*pieces: tuple[float, float, float]) -> VoicePace:
    """After pieces of which the first audio came after so long, all of it after so long, and was so long."""
    pace = VoicePace()
    for first_s, all_s, audio_s in pieces:
        pace.took(first_s, audio_s / 2, last=False)
        pace.took(all_s - first_s, audio_s / 2, last=True)
    return pace


def test_a_piece_is_learned_when_it_is_over() -> None:
    pace = VoicePace()
    pace.took(0.2, 0.5, last=False)
    assert (pace.first_audio_s, pace.rtf, pace.wait_per_s) == (0.0, 0.0, 0.0)
    pace.took(0.1, 0.5, last=True)
    assert (pace.first_audio_s, pace.rtf, pace.wait_per_s) == pytest.approx((0.2, 0.3, 0.2))


def test_the_latest_piece_counts_for_half() -> None:
    assert spoken((0.2, 0.4, 1.0), (0.4, 0.8, 1.0)).first_audio_s == pytest.approx(0.3)
    assert spoken((0.2, 0.4, 1.0), (0.4, 0.8, 1.0)).rtf == pytest.approx(0.6)


def test_a_silence_before_the_sound_belongs_to_the_wait() -> None:
    pace = VoicePace()
    pace.took(0.1, 0.0, last=False)
    pace.took(0.2, 1.0, last=True)
    assert pace.first_audio_s == pytest.approx(0.3)


def test_nothing_is_learned_of_what_was_broken_off_or_silent() -> None:
    pace = VoicePace()
    pace.took(3.0, 0.5, last=False)
    pace.start_over()
    pace.took(0.1, 0.0, last=True)
    assert (pace.first_audio_s, pace.rtf) == (0.0, 0.0)
    pace.took(0.2, 1.0, last=True)
    assert pace.rtf == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("pace", "buffered_s", "left_chars", "streams"),
    [
        (VoicePace(), 0.0, 100, 1),  # nothing is known
        (spoken((0.05, 0.1, 1.0)), 0.0, 30, 1),  # quick: two seconds will be there before the next is wanted
        (spoken((0.05, 0.1, 1.0)), 0.0, 0, 2),  # not even this one, when nothing at all is there
        (spoken((0.6, 0.65, 1.0)), 0.5, 0, 2),  # late with its first audio
        (spoken((0.6, 0.65, 1.0)), 2.0, 0, 1),
        (spoken((0.5, 1.0, 1.0)), 5.0, 0, 2),  # as slow as speech
        (spoken((0.5, 1.9, 1.0)), 5.0, 100, 3),
        (spoken((0.5, 9.0, 1.0)), 5.0, 100, 3),
    ],
)
def test_so_many_clauses_are_spoken_at_once(pace: VoicePace, buffered_s: float, left_chars: int, streams: int) -> None:
    assert pace.streams(buffered_s, left_chars) == streams


@given(st.floats(0, 5), st.floats(0, 5), st.floats(0.1, 5), st.floats(0, 10), st.integers(0, 500))
def test_it_is_one_to_three(first_s: float, more_s: float, audio_s: float, buffered_s: float, left_chars: int) -> None:
    pace = spoken((first_s, first_s + more_s, audio_s))
    assert 1 <= pace.streams(buffered_s, left_chars) <= MOST_STREAMS
