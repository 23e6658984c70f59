"""Which words of a reply sound when, while its audio comes in."""

from __future__ import annotations

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.clauses import Clause
from antiphon.core.speech import AudioChunk, Spoken
from antiphon.core.spoken import SpokenSegment


class Narration:
    """The clauses of one reply, as they were handed to the voice, and their audio, as it came back."""

    def __init__(self) -> None:
        self.text = ""
        """All clauses so far."""
        self.samples = 0
        """All audio so far, at 48 kHz."""
        self._closed: list[Spoken] = []
        """The words of the segments that are complete."""
        self._clauses: list[Clause] = []
        """Those after them: the one that sounds, and those that wait. Silent ones among them."""
        self._segment: SpokenSegment | None = None
        self._segment_start = 0
        self._pace = 1.0
        self._open: list[Spoken] | None = None
        self._told = 0
        """How many words of the timeline were told."""

    @property
    def audio_ms(self) -> float:
        return self._ms(self.samples)

    def add(self, clause: Clause) -> None:
        """A clause that was handed to the voice, or that has no sound."""
        self.text += clause.source
        self._clauses.append(clause)
        self._open = None

    def take(self, chunk: AudioChunk) -> None:
        """The next audio. Segments come in order, so it belongs to the first clause that sounds."""
        segment = self._segment or self._begin_segment()
        self.samples += len(chunk.pcm) // 2
        segment.add_audio(chunk.pcm)
        if chunk.words:
            segment.add_words(chunk.words)
            self._open = None
        if chunk.last:
            segment.close(self.samples - self._segment_start)
            self._pace = segment.pace
            self._closed += segment.timeline(self._ms(self._segment_start))
            self._segment = None
            self._open = None

    def break_off(self) -> list[str]:
        """The voice has failed: what of the text that it was handed was not said, for another to say."""
        if self._segment is not None:
            said, rest = self._segment.break_off()
            start_ms = self._ms(self._segment_start)
            self._closed += [Spoken(word.text, start_ms + word.start_ms, start_ms + word.end_ms) for word in said]
            if rest is not None:
                self._clauses.insert(0, rest)
            self._segment = None
        self._open = None
        return [clause.spoken for clause in self._clauses if clause.spoken]

    def _begin_segment(self) -> SpokenSegment:
        while self._clauses and not self._clauses[0].spoken:
            self._closed.append(self._silent(self._clauses.pop(0)))
        self._segment_start = self.samples
        self._segment = SpokenSegment(self._clauses.pop(0), pace=self._pace)
        return self._segment

    def _silent(self, clause: Clause) -> Spoken:
        return Spoken(clause.source, self._ms(self.samples), self._ms(self.samples))

    @staticmethod
    def _ms(samples: int) -> float:
        return samples * 1000 / MOUTH_RATE_HZ

    def timeline(self) -> list[Spoken]:
        """All words with their times, those estimated that are still to come. Their texts, joined, are ``text``."""
        return [*self._closed, *self._open_words()]

    def _open_words(self) -> list[Spoken]:
        if self._open is not None:
            return self._open
        self._open = []
        at_ms = self._ms(self.samples)
        if self._segment is not None:
            at_ms = self._ms(self._segment_start)
            self._open += self._segment.timeline(at_ms)
            at_ms += self._segment.duration_ms
        for clause in self._clauses:
            waiting = SpokenSegment(clause, pace=self._pace)
            self._open += waiting.timeline(at_ms)
            at_ms += waiting.duration_ms
        return self._open

    def tell_until(self, heard_ms: float) -> str:
        """The words that have begun by ``heard_ms`` and were not told before."""
        told = []
        while (word := self._word(self._told)) is not None and word.start_ms < heard_ms:
            told.append(word.text)
            self._told += 1
        return "".join(told)

    def tell_first(self) -> str:
        """The first word, if none was told: a silence may lead it."""
        return self._tell(1)

    def tell_begun(self) -> str:
        """The words of all clauses whose audio has begun to come, that were not told before."""
        begun = len(self._closed) + (len(self._segment.timeline()) if self._segment is not None else 0)
        return self._tell(begun)

    def tell_all(self) -> str:
        """All that was not told before."""
        return self._tell(len(self._closed) + len(self._open_words()))

    def _tell(self, end: int) -> str:
        told = [word.text for word in self.timeline()[self._told : end]] if end > self._told else []
        self._told += len(told)
        return "".join(told)

    def _word(self, index: int) -> Spoken | None:
        if index < len(self._closed):
            return self._closed[index]
        words = self._open_words()
        index -= len(self._closed)
        return words[index] if index < len(words) else None
