"""Which phonemes belong to which word, for engines that know when each phoneme sounds.

A phonemizer is given a sentence and gives back its sounds without saying which word they are of: it runs words into
each other ("in the" becomes one) and reads numbers as several. So each word is phonemized once more by itself, and the
sounds of all of them are aligned with those of the sentence by edit distance (Needleman and Wunsch, "A general method
applicable to the search for similarities in the amino acid sequence of two proteins", 1970).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from antiphon.core.speech import Word

_WORD = re.compile(r"\w+(?:['’.,:-]\w+)*")
_MARKS = frozenset("ˈˌːˑ")
"""Letters by their category in Unicode, but no sounds of their own."""
_WORST_COST = 0.5
"""Edits for each sound. Beyond this the two are not the same text, and no time is better than a wrong one."""


def timed_words(
    text: str, spoken: Sequence[str], edges: Sequence[int], phonemes_of: Callable[[str], str]
) -> list[Word]:
    """The words of ``text`` and when they sound.

    ``spoken`` are the phonemes of the text as they were synthesized; phoneme i sounds from ``edges[i]`` to
    ``edges[i + 1]``, in samples of any rate, which is that of the answer. ``phonemes_of`` phonemizes a word. Words
    that have no sound of their own are left out; all are, when the phonemes are not those of the text.
    """
    places = [match.span() for match in _WORD.finditer(text)]
    sounds = [(index, sound) for index, phoneme in enumerate(spoken) for sound in phoneme if _is_sound(sound)]
    expected = [
        (number, sound)
        for number, (start, end) in enumerate(places)
        for sound in phonemes_of(text[start:end])
        if _is_sound(sound)
    ]
    if not sounds or not expected:
        return []
    matches, cost = _align([sound for _, sound in expected], [sound for _, sound in sounds])
    if cost > _WORST_COST * max(len(sounds), len(expected)):
        return []
    first_and_last: dict[int, tuple[int, int]] = {}
    for from_expected, from_sounds in matches:
        word, index = expected[from_expected][0], sounds[from_sounds][0]
        first, last = first_and_last.get(word, (index, index))
        first_and_last[word] = min(first, index), max(last, index)
    spans = [*first_and_last.items(), (len(places), (len(spoken), len(spoken)))]
    words = []
    for (word, (first, last)), (_, (next_first, _)) in pairwise(spans):
        end = last + 1
        while end < next_first and not _is_break(spoken[end]):
            end += 1  # a mark of length, or a sound that only the sentence has
        words.append(Word(*places[word], edges[first], edges[max(end, first + 1)]))
    return words


def _is_sound(character: str) -> bool:
    return character.isalpha() and character not in _MARKS


def _is_break(phoneme: str) -> bool:
    """A space or a punctuation mark."""
    return not any(character.isalpha() for character in phoneme) and phoneme.isascii()


def _align(left: Sequence[str], right: Sequence[str]) -> tuple[list[tuple[int, int]], int]:
    """Pairs of positions that stand for each other, in order, and the edit distance."""
    codes = np.array([ord(sound) for sound in right])
    ruler = np.arange(len(right) + 1)
    rows: list[npt.NDArray[np.int_]] = [ruler]
    for sound in left:
        above = rows[-1]
        row = above + 1
        np.minimum(row[1:], above[:-1] + (codes != ord(sound)), out=row[1:])
        rows.append(np.minimum.accumulate(row - ruler) + ruler)
    pairs = []
    i, j = len(left), len(right)
    while i and j:
        if rows[i][j] == rows[i - 1][j - 1] + (left[i - 1] != right[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif rows[i][j] == rows[i - 1][j] + 1:
            i -= 1
        else:
            j -= 1
    return pairs[::-1], int(rows[-1][-1])
