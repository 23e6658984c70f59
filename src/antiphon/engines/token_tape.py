"""Tokens with their text, and how much of what a model has read is the beginning of what it is to read now. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

INSIDE = -1
"""As the end of a token: within a character, whose other part comes with the next one."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text and its tokens; ``ends`` says where in the text each of them ends, or INSIDE."""

    text: str
    ids: Sequence[int]
    ends: Sequence[int]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(slots=True)
class Tape:
    """What is in a model's cache, in order.

    What the model wrote itself is marked: it need not be in the tokens that the tokenizer has for that text.
    """

    text: str = ""
    ids: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _written: list[bool] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, tokens: Tokens, start: int, stop: int) -> None:
        """The model has read these of ``tokens``, which go on where the tape ends."""
        at = len(self.text)
        end = next((tokens.ends[number] for number in range(stop - 1, start - 1, -1) if tokens.ends[number] >= 0), at)
        self.text += tokens.text[at:end]
        self.ids += tokens.ids[start:stop]
        self._ends += tokens.ends[start:stop]
        self._written += [False] * (stop - start)

    def wrote(self, token: int, text: str) -> None:
        """It has written, and then read, one; ``text`` is what became known with it, none within a character."""
        self.text += text
        self.ids.append(token)
        self._ends.append(len(self.text) if text else INSIDE)
        self._written.append(True)

    def cut(self, length: int) -> None:
        """Only the first ``length`` tokens stay. It must be a length that ``common`` gave."""
        del self.ids[length:], self._ends[length:], self._written[length:]
        self.text = self.text[: max(self._ends[-1:], default=0)]

    def written_behind(self, length: int) -> list[int]:
        """The tokens at its end that the model wrote itself, without those among the first ``length``."""
        start = len(self.ids)
        while start > length and self._written[start - 1]:
            start -= 1
        return self.ids[start:]

    def copy(self, length: int) -> Tape:
        """The first ``length`` tokens, which must be a length that ``common`` gave, as a tape of their own."""
        other = Tape(self.text, self.ids[:], self._ends[:], self._written[:])
        other.cut(length)
        return other

    def common(self, tokens: Tokens, most: int) -> tuple[int, int]:
        """How many of the tape's tokens, and how many of the first ``most`` of ``tokens``, are the same text.

        Both numbers differ where the model wrote a text in other tokens than the tokenizer has for it. It keeps them
        as long as all of that text is still there; of one that was cut, only those stay that a reader of it has too.
        """
        own = other = at = 0
        best = (0, 0)
        strays = False
        while own < len(self.ids) and other < most:
            if self.ids[own] == tokens.ids[other]:
                own, other = own + 1, other + 1
            elif self._written[own]:
                own, other = self._same_text(own, tokens, other, at, most)
                if not own:
                    break
                strays = True
            else:
                break
            end = tokens.ends[other - 1]
            if end >= 0 and end == self._ends[own - 1]:
                at = end
                strays = strays and own < len(self.ids) and self._written[own]
                best = best if strays else (own, other)
        return best

    def _same_text(self, own: int, tokens: Tokens, other: int, at: int, most: int) -> tuple[int, int]:
        """Behind the next place at which both have a border and up to which they say the same; else zeros."""
        while own < len(self.ids) and other < most and self._written[own]:
            mine, theirs = self._ends[own], tokens.ends[other]
            if mine == theirs and mine >= 0:
                return (own + 1, other + 1) if self.text[at:mine] == tokens.text[at:mine] else (0, 0)
            if mine < theirs:
                own += 1
            else:
                other += 1
        return 0, 0
