"""Streams a brain's text into pieces that are worth speaking, the first of them early.

The text is scanned once, from left to right. A decision is taken only where the characters that it depends on have
come, and they are always the same ones, so the clauses are the same however the text was split into deltas:
a clause ends where the first character after it has been seen, and not before.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from antiphon.core.breaks import Break, break_after
from antiphon.core.lexicon import CONNECTIVES, names_in
from antiphon.core.reading import Chunk, read_aloud


@dataclass(frozen=True, slots=True)
class ClauseSettings:
    """Where clauses end. A sentence, a line and a paragraph always end one."""

    first_min_words: int = 2
    """The first clause ends at the first pause after so many words: its audio lasts over half a second, which is what
    the brain and the voice need to bring the next one."""
    first_max_words: int = 8
    """The first clause ends here at the latest, so that a long opening without commas is not waited for."""
    min_chars: int = 40
    """Later clauses end at a pause after so many characters: about 2.5 s of speech. Shorter ones lose the melody of
    the sentence, longer ones keep the voice waiting for the brain."""
    max_chars: int = 140
    """Every clause ends after so many characters at the latest, about 9 s of speech: work that an interruption
    throws away."""
    opening_words: int = 0
    """While so many words were not said yet, the clauses after the first one end early too, each after twice what was
    said before it: after a first clause of two words there is no time for more."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A piece of the text. The sources of all clauses, joined, are the text.

    ``spoken`` is for the synthesizer, empty when there is nothing to say. ``marks`` has, for each chunk of the
    source, where it ends in ``spoken`` and where it ends in ``source``; the last one ends both.
    """

    spoken: str
    source: str
    marks: tuple[tuple[int, int], ...]


class _Mode(Enum):
    SPACE = auto()
    """Between chunks."""
    CHUNK = auto()
    TARGET = auto()
    """In the address of a link."""
    FENCE_OPENING = auto()
    """In the first line of a code block, or of what looks like one."""
    FENCE = auto()


_UNSPACED = "\u3001-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uffef\U00020000-\U0003ffff"
"""Scripts written without spaces: CJK punctuation, kana, Han, and full-width forms."""
UNSPACED_CHARS = 3
"""One of these characters takes as long to say as so many Latin letters (5 syllables a second against 15 letters)."""
UNSPACED_WORDS = 0.5
_EARLY_WORDS = 8.0
_LONGEST_ADDRESS = 2000

_NOT_SPACE = re.compile(r"\S")
_EDGE = re.compile(rf"[\s—\]{_UNSPACED}]")
_UNSPACED_CLOSERS = "、。〉》」』】〕〗，．：；！？）］｝｡､"
_DASH_END = re.compile(r"—*[\"”’»)*_]*")
_UNSPACED_END = re.compile(rf"[{_UNSPACED_CLOSERS}…”’»!?.,;:)*_]*")
_ADDRESS = re.compile(r"://|\]\(")
_TARGET_EDGE = re.compile(r"[\s)]")
_FENCE = re.compile("```|~~~")
_WORDISH = re.compile(r"[^\W_]")


class Clauses:
    """The clauses of one text. Belongs to one reply.

    ``language`` (BCP 47) is that of the voice: symbols and amounts are named in it.
    """

    def __init__(self, settings: ClauseSettings | None = None, language: str = "en") -> None:
        self._settings = settings or ClauseSettings()
        self._names = names_in(language)
        self._early = True
        """The clause ends by the rules of the first."""
        self._said_words = 0.0
        self._text = ""  # from the start of the clause that is being gathered
        self._at = 0  # scanned so far
        self._mode = _Mode.SPACE
        self._chunk_at = 0
        self._line_start = True
        self._chunks: list[Chunk] = []
        self._words, self._chars = 0.0, 0  # in the chunks
        self._ready: list[Clause] = []

    def push(self, delta: str) -> list[Clause]:
        """Takes the next piece of the text; gives the clauses that it completed."""
        self._text += delta
        return self._scan()

    def finish(self) -> list[Clause]:
        """Gives what is left, as if a line had ended. Nothing may be pushed after it."""
        self._text += "\n"
        clauses = self._scan()
        rest = self._text[:-1]
        if rest:  # spaces, or a code block that was never closed
            clauses.append(Clause("", rest, ((0, len(rest)),)))
        return clauses

    def _scan(self) -> list[Clause]:
        steps = {
            _Mode.SPACE: self._scan_space,
            _Mode.CHUNK: self._scan_chunk,
            _Mode.TARGET: self._scan_target,
            _Mode.FENCE_OPENING: self._scan_fence_opening,
            _Mode.FENCE: self._scan_fence,
        }
        while self._at < len(self._text) and steps[self._mode]():
            pass
        ready, self._ready = self._ready, []
        return ready

    # Each step looks at the text from ``_at`` on and gets further, or returns False when it needs more text.

    def _scan_space(self) -> bool:
        found = _NOT_SPACE.search(self._text, self._at)
        end = found.start() if found else len(self._text)
        if "\n" in self._text[self._at : end]:
            self._line_start = True
            if self._chunks:
                end -= self._cut(len(self._chunks))
        self._at = end
        if found is None:
            return False
        if self._line_start and self._text[end] in "`~":
            opening = self._text[end : end + 3]
            if len(opening) < 3 and opening == opening[0] * len(opening):
                return False
            if _FENCE.match(opening):
                self._chunk_at, self._mode = end, _Mode.FENCE_OPENING
                return True
        if self._chunks:
            end -= self._cut_before(self._text[end])
        self._chunk_at, self._at, self._mode = end, end, _Mode.CHUNK
        return True

    def _scan_chunk(self) -> bool:
        text, start = self._text, self._chunk_at
        longest = self._settings.max_chars
        if _ADDRESS.search(text, start, start + longest):
            longest = _LONGEST_ADDRESS
        found = _EDGE.search(text, self._at, start + longest)
        if found is None:
            self._at = min(len(text), start + longest)
            return self._at == start + longest and self._end_chunk(self._at)
        edge, char = found.start(), found[0]
        if char.isspace():
            return self._end_chunk(edge)
        if char == "]":
            return self._scan_bracket(edge)
        if char != "—" and edge > start and char not in _UNSPACED_CLOSERS:
            return self._end_chunk(edge)  # a word of a spaced script, and no space after it
        run = (_DASH_END if char == "—" else _UNSPACED_END).match(text, edge + 1)
        end = run.end() if run else edge + 1
        self._at = edge
        return end < len(text) and self._end_chunk(end)

    def _scan_bracket(self, edge: int) -> bool:
        self._at = edge
        if edge + 1 == len(self._text):
            return False
        if self._text[edge + 1] == "(":
            self._at, self._mode = edge + 2, _Mode.TARGET
        else:
            self._at = edge + 1
        return True

    def _scan_target(self) -> bool:
        limit = self._chunk_at + _LONGEST_ADDRESS
        found = _TARGET_EDGE.search(self._text, self._at, limit)
        if found is None:
            self._at = min(len(self._text), limit)
            return self._at == limit and self._end_chunk(limit)
        if found[0] != ")":
            return self._end_chunk(found.start())
        self._at, self._mode = found.end(), _Mode.CHUNK
        return True

    def _scan_fence_opening(self) -> bool:
        newline = self._text.find("\n", self._at)
        if newline < 0:
            return False
        mark = self._text[self._chunk_at]
        if mark == "`" and mark in self._text[self._chunk_at : newline].lstrip(mark):
            self._at, self._mode = self._chunk_at, _Mode.CHUNK  # code within a line, in three ticks
        else:
            self._at, self._mode = newline + 1, _Mode.FENCE
        return True

    def _scan_fence(self) -> bool:
        newline = self._text.find("\n", self._at)
        if newline < 0:
            return False
        line = self._text[self._at : newline].strip()
        if len(line) >= 3 and not line.strip(self._text[self._chunk_at]):
            self._emit(Clause("", self._text[:newline], ((0, newline),)))
            self._at, self._mode, self._line_start = 0, _Mode.SPACE, True
        else:
            self._at = newline + 1
        return True

    def _end_chunk(self, end: int) -> bool:
        start = self._chunk_at
        spaced = bool(self._chunks) and start > self._chunks[-1].end
        self._keep(Chunk(self._text[start:end], end, spaced, self._line_start))
        self._at, self._mode, self._line_start = end, _Mode.SPACE, False
        return True

    # Where to cut. Each returns how far the text has moved.

    def _cut_before(self, follower: str) -> int:
        """Cuts behind the last chunk, or earlier, if the rules say so. ``follower`` is the character after it."""
        strength = break_after(self._chunks[-1], follower)
        if strength is Break.SENTENCE:
            return self._cut(len(self._chunks))
        words, chars = self._words, self._chars
        limits = self._settings
        if strength is Break.PAUSE and (words >= limits.first_min_words if self._early else chars >= limits.min_chars):
            return self._cut(len(self._chunks))
        if chars >= limits.max_chars or (self._early and words >= self._most_words):
            return self._cut(self._breath())
        return 0

    @property
    def _most_words(self) -> float:
        """Of an early clause: it may grow as what was said before it does, which is heard while it is made."""
        return max(self._settings.first_max_words, min(2 * self._said_words, _EARLY_WORDS))

    def _breath(self) -> int:
        """The chunk before which to cut what has grown too long: the last connective in its second half, else none."""
        chunks = self._chunks
        for index in range(len(chunks) - 1, len(chunks) // 2, -1):
            if chunks[index].text.lower() in CONNECTIVES:
                return index
        return len(chunks)

    def _cut(self, count: int) -> int:
        """Ends the clause after its first ``count`` chunks."""
        taken, kept = self._chunks[:count], self._chunks[count:]
        end = taken[-1].end
        spoken, marks = read_aloud(taken, self._names)
        self._said_words += sum(_measure(chunk.text)[0] for chunk in taken)
        self._emit(Clause(spoken, self._text[:end], marks))
        self._chunks, self._words, self._chars = [], 0.0, 0
        for chunk in kept:
            self._keep(Chunk(chunk.text, chunk.end - end, chunk.spaced, chunk.line_start))
        return end

    def _keep(self, chunk: Chunk) -> None:
        words, chars = _measure(chunk.text)
        self._chunks.append(chunk)
        self._words += words
        self._chars += chars

    def _emit(self, clause: Clause) -> None:
        self._ready.append(clause)
        self._text = self._text[len(clause.source) :]
        self._early = self._early and (not clause.spoken or self._said_words < self._settings.opening_words)


def _measure(text: str) -> tuple[float, int]:
    """A chunk's words, and its characters as far as they are said."""
    if not _WORDISH.search(text):
        return 0.0, 0
    if _EDGE.match(text):
        return UNSPACED_WORDS, UNSPACED_CHARS
    return 1.0, len(text.partition("](")[0]) + 1
