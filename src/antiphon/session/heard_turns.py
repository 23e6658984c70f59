"""The certain words of the user's turns, for a brain that listens, and whether they are all that was said."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.core.agreement import NOTHING, Agreement, Change
from antiphon.ids import TurnId


@dataclass(slots=True)
class _Turn:
    """One whose words are not all certain."""

    words: Agreement = field(default_factory=Agreement)
    asked: int = 0
    """The newest revision whose final was asked for."""
    answered: int = -1
    """The one whose final came last."""
    over: bool = False


class HeardTurns:
    """One turn is open at a time; of those that are over the words may still be to come.

    Turns that it does not know are stragglers, and change nothing.
    """

    def __init__(self) -> None:
        self._turns: dict[TurnId, _Turn] = {}
        self.open: TurnId | None = None
        self.quiet = False
        """The user pauses in the open turn."""

    def __contains__(self, turn: TurnId) -> bool:
        return turn in self._turns

    def begin(self, turn: TurnId) -> None:
        self._turns[turn] = _Turn()
        self.open, self.quiet = turn, False

    def partial(self, turn: TurnId, text: str) -> Change:
        """A guess at its words; says which have become certain."""
        known = self._turns.get(turn)
        return NOTHING if known is None else known.words.partial(text)

    def asked(self, turn: TurnId, revision: int) -> None:
        """A final was asked for."""
        if (known := self._turns.get(turn)) is not None:
            known.asked = revision

    def final(self, turn: TurnId, revision: int, text: str | None) -> Change:
        """It has come; ``text`` is None where the recognizer failed."""
        known = self._turns.get(turn)
        if known is None:
            return NOTHING
        known.answered = revision
        return NOTHING if text is None else known.words.final(text)

    def commit(self, turn: TurnId) -> None:
        if (known := self._turns.get(turn)) is not None:
            known.over = True
            self.open = None

    def drop(self, turn: TurnId) -> bool:
        """It was no turn. Says whether anything was known of it."""
        if self.open == turn:
            self.open = None
        return self._turns.pop(turn, None) is not None

    def is_known(self, turn: TurnId) -> bool:
        """All words up to here are certain, and the user is silent."""
        known = self._turns.get(turn)
        return known is not None and known.asked == known.answered and (known.over or self.quiet)

    def let_go(self, turn: TurnId) -> bool:
        """Forgets a turn of which all is known, if it is over; says whether it is."""
        over = self._turns[turn].over
        if over:
            del self._turns[turn]
        return over
