"""Small facts about words that several decisions share."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


def words_of(text: str) -> list[str]:
    """The words of a text, lower-cased, without punctuation. "Uh-huh." gives ["uhhuh"]."""
    return [match.group().replace("’", "'") for match in _WORD.finditer(text.lower().replace("-", ""))]


def valid(text: str) -> str:
    """The same text, in which two halves of a character are put together, and a half alone is U+FFFD.

    Python's strings may have such halves (lone surrogates): from JSON that escapes them, or from file names. Nothing
    that is sent or written may.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(text) else text


class Halves:
    """Puts characters together of which two pieces of a stream have a half each."""

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        text, self._held = self._held + text, ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return valid(text)

    def finish(self) -> str:
        """What has no second half."""
        held, self._held = self._held, ""
        return valid(held)
