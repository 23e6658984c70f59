"""Small facts about words that several decisions share."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased, without punctuation. "Uh-huh." gives ["uhhuh"]."""
    return [match.group().replace("’", "'") for match in _WORD.finditer(text.lower().replace("-", ""))]
