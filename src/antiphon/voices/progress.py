"""How far one segment of speech has come, and how it goes on when its worker is lost. Pure.

A segment may be said by several workers, one after the other: each says a *take* of it. A voice that is repeatable goes
on at the very sample; any other says the rest of the text from the first word that was not wholly received, and what
was received of that word is thrown away. So that it still can be, such a voice's audio is handed out word by word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.clauses import Clause
from antiphon.core.speech import AudioChunk, Word
from antiphon.core.spoken import SpokenSegment

HOLD_S = 1.0
"""No more audio than this is held back for the end of a word: hardly a word is longer. What comes before any word's
time is known is not held back at all."""

JOIN_S = 0.06
"""The silence where speech was cut after a word, in place of what would have come there: words do not run together."""

_WORDS = re.compile(r"\S+\s*")
_AFTER_WORD = re.compile(r"[^\w\s]*\s+|[^\w\s]+")


@dataclass(frozen=True, slots=True)
class Take:
    """What the next worker is asked to say."""

    text: str
    skip_samples: int = 0


class SegmentProgress:
    """One segment, from its text to its last sample. Times and characters that go out count from its own start."""

    def __init__(self, text: str, index: int, *, word_by_word: bool = False, pace: float = 1.0) -> None:
        """``word_by_word``: audio leaves when its word is complete, so that one that is cut off can be taken back.

        ``pace`` is that of the segment before, by which words are timed if the voice does not time them.
        """
        self.index = index
        self.ended = False
        self._text = text
        self._hold_samples = round(HOLD_S * MOUTH_RATE_HZ) if word_by_word else 0
        self._from_char = 0
        """Where in the text the take begins."""
        self._from_sample = 0
        """Where in the segment's audio the take begins."""
        self._received = 0
        """Samples of the take."""
        self._waiting = bytearray()
        """Audio that was received and is not handed out."""
        self._words: list[Word] = []
        """Of the take."""
        self._words_told = 0
        self._pace = pace
        self._spoken = SpokenSegment(_clause_of(text), pace=pace)
        """The take, for the times of words whose engine gives none."""

    @property
    def received_samples(self) -> int:
        """Of the take."""
        return self._received

    @property
    def pace(self) -> float:
        """How slowly the voice speaks, once the segment has ended (see ``SpokenSegment``)."""
        return self._spoken.pace

    @property
    def begun(self) -> bool:
        """Some of its audio was received."""
        return self._received > 0 or self._from_sample > 0

    @property
    def _handed_out(self) -> int:
        """Samples of the take that are out of reach."""
        return self._received - len(self._waiting) // 2

    def take(self, pcm: bytes, words: tuple[Word, ...] = (), *, last: bool = False) -> AudioChunk | None:
        """The next audio of the take, without padding, and words timed in it; gives what may be handed out now."""
        self._received += len(pcm) // 2
        self._waiting += pcm
        if not self._words:  # it is for estimates alone
            self._spoken.add_audio(pcm)
        known_char = self._words[-1].end_char if self._words else 0
        self._words += [word for word in words if word.start_char >= known_char and word.end_char > word.start_char]
        if last:
            self.ended = True
            self._spoken.close(self._received)
        return self._hand_out(self._received if last else self._releasable(), last=last)

    def _releasable(self) -> int:
        """How far the take may be handed out, in its samples."""
        if not self._words or len(self._waiting) // 2 > self._hold_samples:
            return self._received
        return self._whole()[0]

    def _whole(self) -> tuple[int, int]:
        """The sample and the character at which the last word ends that was wholly received."""
        ends = [(word.end_sample, word.end_char) for word in self._words if word.end_sample <= self._received]
        return max(ends, default=(0, 0))

    def _hand_out(self, until: int, *, last: bool = False) -> AudioChunk | None:
        count = max(0, until - self._handed_out) * 2
        pcm = bytes(self._waiting[:count])
        del self._waiting[:count]
        words = []
        for word in self._words[self._words_told :]:
            if word.start_sample >= self._handed_out and not last:
                break
            words.append(word.moved(self._from_char, self._from_sample))
            self._words_told += 1
        if not pcm and not words and not last:
            return None
        return AudioChunk(pcm, self.index, tuple(words), last)

    def stop(self) -> AudioChunk:
        """Nothing more comes: gives the rest, as the segment's last."""
        chunk = self.take(b"", last=True)
        assert chunk is not None
        return chunk

    def go_on(self, *, exactly: bool) -> tuple[Take | None, AudioChunk | None]:
        """Its worker was lost. Gives what the next one has to say, and what may be handed out before.

        Without a take there is nothing left to say, and the chunk is the last. ``exactly``: the next worker has the
        same voice, and it is a repeatable one.
        """
        if exactly:
            return Take(self._text[self._from_char :], self._received), None
        text = self._text[self._from_char :]
        sample, char = self._whole() if self._words else self._estimated()
        said = _AFTER_WORD.match(text, char) if char else None
        char = said.end() if said else char
        rest = text[char:]
        silence = bytes(round(JOIN_S * MOUTH_RATE_HZ) * 2)
        if char and not any(map(str.isalnum, rest)):
            self.ended = True
            end = self._hand_out(self._received) or AudioChunk(b"", self.index)
            return None, replace(end, pcm=end.pcm + silence, last=True)
        # A word of which a part is out of reach is said again; the words before it are not.
        chunk = self._hand_out(max(sample, self._handed_out))
        if self._handed_out:
            chunk = chunk or AudioChunk(b"", self.index)
            chunk = replace(chunk, pcm=chunk.pcm + silence)
            self._from_sample += len(silence) // 2
        self._from_char += char
        self._from_sample += self._handed_out
        self._received = 0
        self._waiting.clear()
        self._words.clear()
        self._words_told = 0
        self._spoken = SpokenSegment(_clause_of(rest), pace=self._pace)
        return Take(rest), chunk

    def _estimated(self) -> tuple[int, int]:
        """As ``_whole``, for a voice that does not tell its words' times: by how long words take to say."""
        at_ms = self._received * 1000 / MOUTH_RATE_HZ
        sample, char = 0, 0
        for word in self._spoken.timeline():
            if word.end_ms > at_ms:
                break
            sample = round(word.end_ms * MOUTH_RATE_HZ / 1000)
            char += len(word.text)
        return sample, char


def _clause_of(text: str) -> Clause:
    ends = [match.end() for match in _WORDS.finditer(text)]
    return Clause(text, text, tuple((end, end) for end in ends))
