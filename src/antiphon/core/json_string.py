"""The text of a JSON string while its characters come, cut anywhere."""

from __future__ import annotations

import re

_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_UNICODE = re.compile(r"\\u([0-9a-fA-F]{4})")
_PLAIN = re.compile(r'[^"\\]+')
_HIGH, _LOW, _AFTER = 0xD800, 0xDC00, 0xE000
_LOST = "\ufffd"
_LONGEST_ESCAPE = len(r"\ud83d\ude00")


class JsonString:
    """Reads what follows the opening quote.

    Lenient, as models are no serializers: a bare line break is a line break, an escape that JSON does not have stands
    for its character.
    """

    def __init__(self) -> None:
        self._rest = ""
        self.closed = False

    @property
    def rest(self) -> str:
        """What was not read: the beginning of an escape, or, once it is closed, what follows the closing quote."""
        return self._rest

    def push(self, text: str) -> list[tuple[str, str]]:
        """The next characters. Returns pieces of the text, each with what it was written as."""
        self._rest += text
        pieces: list[tuple[str, str]] = []
        while self._rest and not self.closed:
            if match := _PLAIN.match(self._rest):
                self._take(pieces, match.group(), len(match.group()))
            elif self._rest[0] == '"':
                self.closed = True
                self._rest = self._rest[1:]
            elif (escape := self._escape()) is not None:
                self._take(pieces, *escape)
            else:
                break
        return pieces

    def _take(self, pieces: list[tuple[str, str]], text: str, length: int) -> None:
        pieces.append((text, self._rest[:length]))
        self._rest = self._rest[length:]

    def _escape(self) -> tuple[str, int] | None:
        """The character that the escape at the front stands for, and its length; None while it is not complete."""
        if len(self._rest) < 2:
            return None
        kind = self._rest[1]
        if kind != "u":
            return _ESCAPES.get(kind, kind), 2
        match = _UNICODE.match(self._rest)
        if match is None:
            return (_LOST, 2) if not _may_become_unicode(self._rest) else None
        code = int(match.group(1), 16)
        if not _HIGH <= code < _AFTER:
            return chr(code), 6
        if code >= _LOW:
            return _LOST, 6
        second = self._rest[6:_LONGEST_ESCAPE]
        low = _UNICODE.match(second)
        if low is None:
            return None if _may_become_unicode(second) else (_LOST, 6)
        low_code = int(low.group(1), 16)
        if not _LOW <= low_code < _AFTER:
            return _LOST, 6
        return chr(0x10000 + ((code - _HIGH) << 10) + (low_code - _LOW)), _LONGEST_ESCAPE


def _may_become_unicode(text: str) -> bool:
    """Whether more characters could make a whole ``\\uXXXX`` of the front of the text."""
    return len(text) < 6 and _UNICODE.match((text + r"\u0000"[len(text) :])[:6]) is not None
