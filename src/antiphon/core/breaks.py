"""Where a text may be parted: how strong a boundary there is after a chunk of it."""

from __future__ import annotations

from enum import Enum, auto

from antiphon.core.lexicon import BEFORE_NUMBER, MAY_END, NEVER_END
from antiphon.core.reading import Chunk, list_number

_CLOSERS = "\"'”’»)]}*_`~」』】）〉》］｝"
_OPENERS = "\"'“‘«„([{*_`~"
_PAUSES = ",;:—–|，、；：,،؛"
_SENTENCE_ENDS = "。！？｡।॥؟۔።"
_MAYBE_ENDS = "!?‽…"


class Break(Enum):
    NONE = auto()
    PAUSE = auto()
    SENTENCE = auto()


def break_after(chunk: Chunk, follower: str) -> Break:
    """How strong the boundary after a chunk is, given the first character of the next one."""
    if list_number(chunk):
        return Break.NONE
    core = chunk.text.rstrip(_CLOSERS)
    if not core:
        return Break.NONE
    last = core[-1]
    if last in _SENTENCE_ENDS:
        return Break.SENTENCE
    if last in _MAYBE_ENDS or core.endswith(".."):
        return Break.PAUSE if follower.islower() else Break.SENTENCE
    if last == ".":
        return _break_after_dot(core[:-1].lstrip(_OPENERS).lower(), follower)
    if last in _PAUSES or (core in ("-", "--") and not chunk.line_start):
        return Break.PAUSE
    return Break.NONE


def _break_after_dot(word: str, follower: str) -> Break:
    if word in MAY_END:
        return Break.NONE if follower.islower() or follower.isdigit() else Break.SENTENCE
    if word in NEVER_END or (word in BEFORE_NUMBER and follower.isdigit()):
        return Break.NONE
    if all(len(part) == 1 and part.isalpha() for part in word.split(".")):
        return Break.NONE  # J. and U.S.
    if follower.islower() or (word.isdigit() and len(word) <= 2):
        return Break.PAUSE  # an abbreviation that nobody listed; an ordinal, as in "3. Oktober"
    return Break.SENTENCE
