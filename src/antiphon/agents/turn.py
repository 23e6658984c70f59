"""When the agent may speak up by itself: pure, told what happens in its session.

There is at most one thing that it wants to say. An answer to what its tools have found goes before a text, and what
somebody else begins to say goes before both.
"""

from __future__ import annotations

from dataclasses import dataclass

from antiphon.core.actions import State
from antiphon.ids import ReplyId

_BUSY = frozenset({State.LISTENING, State.THINKING, State.BARGED_IN})
"""Somebody speaks, or is about to."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A reply that the agent wants to give. ``text`` is None for an answer of its model."""

    text: str | None = None

    @property
    def answers(self) -> bool:
        return self.text is None


class AgentTurn:
    """What the agent wants to say, and whether it may."""

    def __init__(self) -> None:
        self._state = State.IDLE
        self._open: set[ReplyId] = set()
        """Replies that have begun and are not told to their end."""
        self._wish: Wish | None = None
        self._asked: tuple[ReplyId, Wish] | None = None
        """The reply that was asked for, and has not begun."""

    @property
    def is_answered(self) -> bool:
        """A reply is being given."""
        return bool(self._open)

    @property
    def has_come(self) -> bool:
        """There is something to say, nobody speaks, and nobody is about to."""
        return self._wish is not None and not self._open and self._asked is None and self._state not in _BUSY

    def want(self, wish: Wish) -> None:
        """A text does not go before an answer that is wanted already."""
        if wish.answers or self._wish is None or not self._wish.answers:
            self._wish = wish

    def take(self, reply: ReplyId) -> Wish:
        """What to say now that the turn ``has_come``; it is asked for under that id."""
        wish = self._wish
        assert wish is not None
        self._wish, self._asked = None, (reply, wish)
        return wish

    def refused(self, reply: ReplyId) -> None:
        """It was not the agent's turn after all: another time."""
        if self._asked is not None and self._asked[0] == reply:
            wish, self._asked = self._asked[1], None
            self.want(wish)

    # What happens.

    def state(self, state: State) -> None:
        self._state = state

    def began(self, reply: ReplyId) -> None:
        """Whoever asked for it: a reply that begins knows all that is known, and nothing more is to be said."""
        own = self._asked is not None and self._asked[0] == reply
        if own:
            self._asked = None
        else:
            self._wish = None
        self._open.add(reply)

    def over(self, reply: ReplyId) -> None:
        self._open.discard(reply)
