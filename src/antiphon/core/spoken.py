"""Maps audio back to words: when each word of a reply sounds, and so which of them were heard."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.core.clauses import Clause
from antiphon.core.speech import Spoken, Word

SILENCE_PEAK = 300
"""Samples up to this magnitude (-41 dBFS) are silence."""

_ROUNDING_MS = 0.01
"""Less than a sample at 48 kHz."""

_LEAST_PAUSE_MS = 20.0
"""No pause is shorter than the frame in which it is found."""

HEARD_TOLERANCE_MS = 50.0
"""A word whose last so many ms are missing was heard: it is about one final consonant."""

# How long things take to say at an ordinary pace, in ms; only their proportions count once a pace is known. Fitted to
# the word times that eSpeak NG gave for seven paragraphs of English: 60 ms a letter and nothing for the word itself.
# Counting syllables as well takes only 4 % off the error. A pause is 70 ms shorter than the gap measured after its
# mark, by which the word before it is drawn out.
_LETTER_MS = 60.0
_DIGIT_MS = 210.0
_SPELLED_MS = 200.0
_UNSPACED_MS = 190.0
_PAUSE_MS = dict.fromkeys(",，、—|", 230.0) | dict.fromkeys(";:；：", 260.0) | dict.fromkeys(".!?…。！？", 380.0)

_SPELLED = re.compile(r"(?:[A-Z]\.?){2,5}")
_UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def speaking_ms(text: str) -> float:
    """About how long a text takes to say, without the pause after it."""
    total = 0.0
    for word in text.split():
        bare = "".join(filter(str.isalnum, word))
        if not bare:
            continue
        unspaced = len(_UNSPACED.findall(bare))
        digits = sum(map(str.isdigit, bare))
        letter_ms = _SPELLED_MS if _SPELLED.fullmatch(word.strip(".,;:!?\"'()")) else _LETTER_MS
        total += _UNSPACED_MS * unspaced + _DIGIT_MS * digits + letter_ms * (len(bare) - unspaced - digits)
    return total


def pause_ms(text: str) -> float:
    """About how long the silence after a text is, when more follows."""
    return _PAUSE_MS.get(text.rstrip("\"'”’»)]」』）*_ ")[-1:], 0.0)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, with the text that sounds with it, and where it is in what was handed to the synthesizer."""

    text: str
    start_char: int
    end_char: int
    nominal_start_ms: float
    nominal_end_ms: float


def _pieces(clause: Clause) -> list[_Piece]:
    """The clause's words. What has no sound goes with the word before it, at the front with the one after it."""
    cuts: list[tuple[int, int]] = []
    for spoken_end, source_end in clause.marks:
        if cuts and (spoken_end == cuts[-1][0] or cuts[-1][0] == 0):
            cuts[-1] = (spoken_end, source_end)
        else:
            cuts.append((spoken_end, source_end))
    pieces = []
    char, source_at, nominal_ms = 0, 0, 0.0
    for spoken_end, source_end in cuts:
        words = clause.spoken[char:spoken_end]
        end_ms = nominal_ms + speaking_ms(words)
        pieces.append(_Piece(clause.source[source_at:source_end], char, spoken_end, nominal_ms, end_ms))
        char, source_at, nominal_ms = spoken_end, source_end, end_ms + pause_ms(words)
    return pieces


class SpokenSegment:
    """When the words of one clause sound, as well as is known by now.

    The engine's word times are used where it gives them. Between them, and without them, words take shares of the
    time in proportion to their length. Times count from the start of the segment's audio.

    ``pace`` is how slowly the voice speaks against the ordinary; pass the ``pace`` of a segment that is closed.
    Give it the audio as well, and the silence before and after the words is left out of their times.
    """

    def __init__(self, clause: Clause, *, pace: float = 1.0) -> None:
        self._source = clause.source
        self._spoken = clause.spoken
        self._pieces = _pieces(clause)
        self._given_pace = pace
        self._samples = 0
        self._loud: tuple[int, int] | None = None  # the first and the last sample that is no silence
        self._total_ms: float | None = None
        self._words: list[Word] = []

    @property
    def pace(self) -> float:
        """Measured once closed (1.0 is ordinary, 2.0 takes twice the time), else the one given."""
        nominal_ms = self._nominal_ms
        if self._total_ms is None or not nominal_ms:
            return self._given_pace
        sounding_ms = self._total_ms - self._lead_ms - self._trail_ms
        return sounding_ms / nominal_ms if sounding_ms > 0 else self._given_pace

    @property
    def duration_ms(self) -> float:
        """Of the segment's audio: known once closed, else estimated."""
        if self._total_ms is not None:
            return self._total_ms
        return self._lead_ms + self._nominal_ms * self._given_pace

    @property
    def _lead_ms(self) -> float:
        return _ms(self._loud[0]) if self._loud else 0.0

    @property
    def _trail_ms(self) -> float:
        """Known once closed."""
        return max(self._total_ms - _ms(self._loud[1]), 0.0) if self._loud and self._total_ms is not None else 0.0

    @property
    def _nominal_ms(self) -> float:
        return self._pieces[-1].nominal_end_ms if self._pieces else 0.0

    def add_words(self, words: Iterable[Word]) -> None:
        """Takes word times of the engine, in the order of the text."""
        self._words.extend(word for word in words if word.start_char < word.end_char)

    def add_audio(self, pcm: bytes) -> None:
        """Takes the next mono s16 at 48 kHz of the segment, to find the silence in it."""
        samples = samples_of(pcm)
        loud = np.flatnonzero((samples > SILENCE_PEAK) | (samples < -SILENCE_PEAK))
        if len(loud):
            first, last = self._samples + int(loud[0]), self._samples + int(loud[-1]) + 1
            self._loud = (self._loud[0] if self._loud else first, last)
        self._samples += len(samples)

    def close(self, total_samples: int) -> None:
        """The segment's audio is complete: so many samples at 48 kHz."""
        self._total_ms = _ms(total_samples)

    def timeline(self, start_ms: float = 0.0) -> list[Spoken]:
        """The words in order, never running backwards. Their texts, joined, are the clause's source.

        ``start_ms`` is where the segment's audio begins in that of the item.
        """
        if not self._pieces:
            return [Spoken(self._source, start_ms, start_ms)] if self._source else []
        result = []
        earliest = 0.0
        latest = math.inf if self._total_ms is None else self._total_ms
        for piece, (begin, end) in zip(self._pieces, self._times(), strict=True):
            begin = min(max(begin, earliest), latest)
            earliest = min(max(begin, end), latest)
            result.append(Spoken(piece.text, start_ms + begin, start_ms + earliest))
        return result

    def break_off(self) -> tuple[list[Spoken], Clause | None]:
        """Ends the segment where its audio ends now, in mid-clause.

        Returns the words that sounded to their ends, with times as in ``timeline``, and the rest, to be said anew;
        None where nothing is left.
        """
        audio_ms = _ms(self._samples)
        words = self.timeline()
        done = next((index for index, word in enumerate(words) if word.end_ms > audio_ms + _ROUNDING_MS), len(words))
        if not self._samples:
            done = 0
        if done >= len(self._pieces):
            return words, None
        rest = self._pieces[done:]
        start_char = rest[0].start_char
        marks: list[tuple[int, int]] = []
        source_end = 0
        for piece in rest:
            source_end += len(piece.text)
            marks.append((piece.end_char - start_char, source_end))
        spoken = self._spoken[start_char:]
        return words[:done], Clause(spoken, "".join(piece.text for piece in rest), tuple(marks))

    def _times(self) -> list[tuple[float, float]]:
        """Each word's begin and end; runs of words that the engine did not time share the time between the others."""
        times: list[tuple[float, float]] = []
        run: list[_Piece] = []
        for piece in self._pieces:
            timed = [w for w in self._words if w.start_char < piece.end_char and w.end_char > piece.start_char]
            if not timed:
                run.append(piece)
                continue
            begin_ms = _ms(min(word.start_sample for word in timed))
            times += self._shares(run, times, piece.nominal_start_ms, begin_ms)
            times.append((begin_ms, _ms(max(word.end_sample for word in timed))))
            run = []
        nominal_end_ms = self._pieces[-1].nominal_end_ms
        end_ms = None if self._total_ms is None else self._total_ms - self._trail_ms
        return times + self._shares(run, times, nominal_end_ms, end_ms)

    def _shares(
        self, run: list[_Piece], times: list[tuple[float, float]], nominal_end_ms: float, end_ms: float | None
    ) -> list[tuple[float, float]]:
        """Times of a run of words between those of ``times`` and ``end_ms``; None lets the pace decide."""
        if not run:
            return []
        start_ms = times[-1][1] if times else self._lead_ms
        nominal_start_ms = self._pieces[len(times) - 1].nominal_end_ms if times else 0.0
        nominal_ms = nominal_end_ms - nominal_start_ms
        if end_ms is not None and end_ms <= start_ms and not times:
            start_ms = 0.0  # shorter than its usual silence
        scale = self._given_pace
        if end_ms is not None:
            scale = max(end_ms - start_ms, 0.0) / nominal_ms if nominal_ms else 0.0
        return [
            (
                start_ms + (piece.nominal_start_ms - nominal_start_ms) * scale,
                start_ms + (piece.nominal_end_ms - nominal_start_ms) * scale,
            )
            for piece in run
        ]


def _ms(samples: int) -> float:
    return samples * 1000 / MOUTH_RATE_HZ


def pauses_at(timeline: Iterable[Spoken], heard_ms: float) -> bool:
    """Whether a clause is just over there, and another one follows: words after which speakers pause have a mark."""
    for word, following in pairwise(word for word in timeline if word.text.strip()):
        end_ms = max(following.start_ms, word.end_ms + _LEAST_PAUSE_MS)
        if word.end_ms <= heard_ms <= end_ms and pause_ms(word.text):
            return True
    return False


def heard_text(timeline: Iterable[Spoken], heard_ms: float) -> str:
    """What a listener has heard after ``heard_ms`` of the audio: the words that had sounded to their ends."""
    limit_ms = heard_ms + min(HEARD_TOLERANCE_MS, max(heard_ms, 0.0))
    heard = []
    for spoken in timeline:
        if spoken.end_ms > limit_ms:
            break
        heard.append(spoken.text)
    return "".join(heard)
