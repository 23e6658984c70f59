"""A segment that loses its workers: at whatever sample that happens, the words come out once each."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import FRAME_SAMPLES, MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Word
from antiphon.engines import tone_code
from antiphon.voices.progress import SegmentProgress, Take

WORDS = st.lists(st.sampled_from(["one", "two,", "three.", "a", "well-known", "seventeen", "3.14", "$5"]), min_size=1)


def said(text: str, symbol_ms: int = tone_code.SYMBOL_MS) -> tuple[bytes, list[Word]]:
    """What a voice makes of a text: tones, and the times of the words."""
    pcm, words, char = b"", [], 0
    for word in text.split():
        char = text.index(word, char)
        start = len(pcm) // 2
        pcm += tone_code.encode(word, MOUTH_RATE_HZ, symbol_ms=symbol_ms)
        words.append(Word(char, char + len(word), start, len(pcm) // 2))
        pcm += tone_code.encode(" ", MOUTH_RATE_HZ, symbol_ms=symbol_ms)
        char += len(word)
    return pcm, words


class Sink:
    """Where the chunks go."""

    def __init__(self) -> None:
        self.pcm = b""
        self.words: list[Word] = []
        self.lasts = 0

    def put(self, chunk: AudioChunk | None) -> None:
        if chunk is not None:
            assert not self.lasts
            assert chunk.segment == 7
            self.pcm += chunk.pcm
            self.words += chunk.words
            self.lasts += chunk.last

    @property
    def text(self) -> str:
        return tone_code.decode(self.pcm, MOUTH_RATE_HZ)


def perform(progress: SegmentProgress, take: Take, sink: Sink, frames: int | None, symbol_ms: int = 40) -> bool:
    """A worker says the take, or so many frames of it; true if it came to the end."""
    pcm, words = said(take.text, symbol_ms)
    pcm = pcm[take.skip_samples * 2 :]
    words = [word for word in words if word.end_sample > take.skip_samples]
    pieces = [pcm[at : at + FRAME_SAMPLES * 2] for at in range(0, len(pcm), FRAME_SAMPLES * 2)] or [b""]
    for number, piece in enumerate(pieces):
        if number == frames:
            return False
        sink.put(progress.take(piece, tuple(words) if number == 0 else (), last=number == len(pieces) - 1))
    return True


def speak_through_losses(progress: SegmentProgress, text: str, losses: list[int], *, exactly: bool) -> Sink:
    sink = Sink()
    take: Take | None = Take(text)
    for frames in [*losses, None]:
        assert take is not None
        if perform(progress, take, sink, frames):
            break
        take, chunk = progress.go_on(exactly=exactly)
        sink.put(chunk)
        if take is None:
            break
    assert progress.ended
    assert sink.lasts == 1
    return sink


@given(WORDS.map(" ".join), st.lists(st.integers(0, 60), max_size=6))
def test_a_repeatable_voice_goes_on_at_the_sample(text: str, losses: list[int]) -> None:
    sink = speak_through_losses(SegmentProgress(text, 7), text, losses, exactly=True)
    pcm, words = said(text)
    assert sink.pcm == pcm
    assert sink.words == words


@given(WORDS.map(" ".join), st.lists(st.integers(0, 60), max_size=6))
def test_another_voice_goes_on_at_the_word(text: str, losses: list[int]) -> None:
    sink = speak_through_losses(SegmentProgress(text, 7, word_by_word=True), text, losses, exactly=False)
    assert sink.text == text
    assert [text[word.start_char : word.end_char] for word in sink.words] == text.split()
    assert all(one.end_sample <= other.start_sample for one, other in pairwise(sink.words))
    for word in sink.words:
        heard = tone_code.decode(sink.pcm[word.start_sample * 2 : word.end_sample * 2], MOUTH_RATE_HZ)
        assert heard == text[word.start_char : word.end_char]


@given(WORDS.map(" ".join), st.integers(0, 60))
def test_a_word_that_is_out_of_reach_is_said_again_and_none_is_lost(text: str, frames: int) -> None:
    """A repeatable voice whose worker is followed by another voice: its audio was handed out at once."""
    sink = speak_through_losses(SegmentProgress(text, 7), text, [frames], exactly=False)
    heard, wanted = sink.text.split(), text.split()
    doubled = len(heard) - len(wanted)
    assert doubled in (0, 1)
    assert len(sink.words) - len(wanted) in (0, 1)
    at = next((i for i, (one, other) in enumerate(zip(heard, wanted, strict=False)) if one != other), len(wanted) - 1)
    assert heard[:at] + heard[at + doubled :] == wanted


def test_a_voice_that_times_no_words_is_handed_out_at_once_and_cut_by_an_estimate() -> None:
    text = "one two three four"
    pcm, _ = said(text)
    progress = SegmentProgress(text, 7, word_by_word=True)
    first = progress.take(pcm[:96000])
    assert first == AudioChunk(pcm[:96000], 7)
    take, chunk = progress.go_on(exactly=False)
    assert take is not None
    assert text.endswith(take.text)
    assert 0 < len(take.text) < len(text)
    assert chunk == AudioChunk(bytes(5760), 7)  # the silence of the join


def test_the_pace_of_the_segment_before_makes_the_estimate() -> None:
    text = "one two three four"
    pcm, _ = said(text)
    slow = SegmentProgress(text, 7, pace=4.0)
    slow.take(pcm[:96000])
    quick = SegmentProgress(text, 7, pace=0.9)
    quick.take(pcm[:96000])
    rests = [rest.text for rest, _ in (slow.go_on(exactly=False), quick.go_on(exactly=False)) if rest is not None]
    assert len(rests[0]) > len(rests[1])


def test_nothing_is_left_to_say_after_the_last_word() -> None:
    text = "one two."
    pcm, words = said(text)
    progress = SegmentProgress(text, 7, word_by_word=True)
    progress.take(pcm, tuple(words))
    take, chunk = progress.go_on(exactly=False)
    assert take is None
    assert chunk is not None
    assert chunk.last
    assert progress.ended


def test_a_long_sound_is_not_held_for_ever() -> None:
    progress = SegmentProgress("aaah one", 7, word_by_word=True)
    second = bytes(MOUTH_RATE_HZ * 2)
    assert progress.take(second, (Word(0, 4, 0, 10 * MOUTH_RATE_HZ),)) is None
    chunk = progress.take(second)
    assert chunk is not None
    assert len(chunk.pcm) == 2 * len(second)


def test_a_stopped_segment_ends_with_what_there_is() -> None:
    progress = SegmentProgress("one two", 7, word_by_word=True)
    pcm, words = said("one two")
    assert progress.take(pcm[:1920], tuple(words)) is None
    assert progress.stop() == AudioChunk(pcm[:1920], 7, tuple(words), last=True)


@pytest.mark.parametrize(
    ("text", "said_chars", "rest"),
    [
        ("one, two", 3, "two"),
        ("costs $5 now", 5, "$5 now"),
        ("well-known", 4, "known"),
        ("(one) two", 4, "two"),
        ("one... two", 3, "two"),
        ("你好，世界", 2, "世界"),
    ],
)
def test_the_rest_begins_with_a_word(text: str, said_chars: int, rest: str) -> None:
    progress = SegmentProgress(text, 7, word_by_word=True)
    progress.take(bytes(9600), (Word(0, said_chars, 0, 4800),))
    take, _ = progress.go_on(exactly=False)
    assert take == Take(rest)
