"""Captions of the user's words: what of a recognizer's changing guesses can be told while the user speaks."""

from __future__ import annotations

import re

_WORD = re.compile(r"\s*\S+")


class Captions:
    """Turns guesses at the whole text into deltas that are never taken back.

    A word is told once two guesses in a row agree on it and on all before it (LocalAgreement-2: Liu, Spanakis and
    Niehues, "Low-Latency Sequence-to-Sequence Speech Recognition and Translation by Partial Hypothesis Selection",
    Interspeech 2020).
    """

    def __init__(self) -> None:
        self._told = ""
        self._guess: list[str] = []

    def partial(self, text: str) -> str:
        """A new guess at the whole text; returns what is certain now and was not told yet."""
        words = _WORD.findall(text)
        agreed = 0
        for old, new in zip(self._guess, words, strict=False):
            if old != new:
                break
            agreed += 1
        self._guess = words
        return self._tell("".join(words[:agreed]))

    def final(self, text: str) -> str:
        """The last word: returns what of it can still be told. Empty if it contradicts what was told."""
        return self._tell(text)

    def _tell(self, text: str) -> str:
        if not text.startswith(self._told):
            return ""
        delta = text[len(self._told) :]
        self._told = text
        return delta
