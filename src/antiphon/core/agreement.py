"""Which of a recognizer's changing words are certain enough for a brain to read them.

A word is certain once two guesses in a row agree on it and on all before it (LocalAgreement-2: Liu, Spanakis and
Niehues, Interspeech 2020, as in ``captions``), or once the recognizer has said its last word on it. What was certain
and is then contradicted, by two guesses or by a last word, is taken back: that is rare, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_UNHEARD_MARKS = ".,;:…。，、-"
"""Marks that recognizers put and take away while the words stay the same. A question mark says more than that."""


@dataclass(frozen=True, slots=True)
class Change:
    """What has become certain: first so many words back, from the end, then these words on."""

    words: tuple[str, ...] = ()
    retracted: int = 0

    def __bool__(self) -> bool:
        return bool(self.words) or self.retracted > 0


NOTHING = Change()


class Agreement:
    """The words of one turn. Guesses are at the whole text of the turn."""

    def __init__(self) -> None:
        self._certain: list[str] = []
        self._guess: list[str] = []
        self.retractions = 0
        """How many words were taken back so far."""

    @property
    def words(self) -> tuple[str, ...]:
        """All that is certain."""
        return tuple(self._certain)

    def partial(self, text: str) -> Change:
        """A new guess, while the user speaks."""
        words = text.split()
        agreed = words[: _common(self._guess, words)]
        self._guess = words
        contradicted = _common(self._certain, agreed) < min(len(self._certain), len(agreed))
        if contradicted or len(agreed) > len(self._certain):
            return self._become(agreed)
        return NOTHING

    def final(self, text: str) -> Change:
        """The last word on all that was said until now; guesses at more may follow."""
        self._guess = text.split()
        return self._become(self._guess)

    def _become(self, words: Sequence[str]) -> Change:
        kept = _common(self._certain, words)
        change = Change(tuple(words[kept:]), len(self._certain) - kept)
        del self._certain[kept:]
        self._certain += change.words
        self.retractions += change.retracted
        return change


def _common(these: Sequence[str], those: Sequence[str]) -> int:
    """How many words at the beginning are the same, but for capitals and for marks that say nothing."""
    count = 0
    for this, that in zip(these, those, strict=False):
        if this != that and _heard(this) != _heard(that):
            break
        count += 1
    return count


def _heard(word: str) -> str:
    return word.lower().rstrip(_UNHEARD_MARKS)
