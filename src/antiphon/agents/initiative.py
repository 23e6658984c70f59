"""What an agent says by itself: its greeting, what bridges a silence, and answers to what its tools have found."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.agents.turn import AgentTurn, Wish
from antiphon.audio import EAR_RATE_HZ, ms_to_bytes
from antiphon.core.actions import State
from antiphon.core.commands import CancelResponse, Command, CreateReply
from antiphon.core.settings import ReplySettings
from antiphon.ids import IdSource, ReplyId

_GREET_AFTER_BYTES = ms_to_bytes(1000, EAR_RATE_HZ)
"""A client that sends no settings is ready when so much of its audio has come."""
_MARK = "\0agent "
"""No client's event id begins so."""


class Initiative:
    """Asks for replies when the agent has something to say and may. Told what happens in the session."""

    def __init__(self, ids: IdSource, post: Callable[[Command], None], settings: Callable[[], ReplySettings]) -> None:
        """``post`` takes what the session is asked; ``settings`` gives those of a reply."""
        self._ids = ids
        self._post = post
        self._settings = settings
        self._turn = AgentTurn()
        self._texts: set[ReplyId] = set()
        """Replies whose words were given."""
        self._unheard_bytes = _GREET_AFTER_BYTES
        """So much more of the user's audio until the greeting; none is left once it was said, or is not wanted."""

    @property
    def is_answered(self) -> bool:
        """A reply is being given."""
        return self._turn.is_answered

    # The greeting.

    def greets_after(self, heard_bytes: int) -> bool:
        """So much audio of the user has come; whether it is time for the greeting, which it is once."""
        if self._unheard_bytes <= 0:
            return False
        self._unheard_bytes -= heard_bytes
        return self._unheard_bytes <= 0

    def greets_now(self) -> bool:
        """The client is ready; as ``greets_after``."""
        return self.greets_after(self._unheard_bytes)

    def begun(self) -> None:
        """Somebody was first: there is no greeting any more."""
        self._unheard_bytes = 0

    # What it wants to say.

    def want(self, text: str | None) -> None:
        """To say a text, or, where it is None, what the model answers."""
        if text is None or text.strip():
            self._turn.want(Wish(text))
        self._speak_up()

    def leave_texts(self) -> None:
        """There is something better to say: what is being said of given words ends at its next pause."""
        for reply in self._texts:
            self._post(CancelResponse(reply, _MARK + reply, at_pause=True))

    def _speak_up(self) -> None:
        if not self._turn.has_come:
            return
        reply = self._ids.reply()
        wish = self._turn.take(reply)
        if wish.text is not None:
            self._texts.add(reply)
        mark = _MARK + reply
        self._post(CreateReply(reply, self._settings(), client_event_id=mark, text=wish.text, when_free=True))

    # What happens.

    def state(self, state: State) -> None:
        self._turn.state(state)
        self._speak_up()

    def reply_began(self, reply: ReplyId) -> None:
        self.begun()
        self._turn.began(reply)

    def is_given(self, reply: ReplyId) -> bool:
        """The words of the reply are not its model's."""
        return reply in self._texts

    def forget(self, reply: ReplyId) -> None:
        self._texts.discard(reply)

    def reply_over(self, reply: ReplyId) -> None:
        self._turn.over(reply)

    def refused(self, client_event_id: str | None) -> bool:
        """Something was refused; whether it was asked for from here."""
        if client_event_id is None or not client_event_id.startswith(_MARK):
            return False
        reply = ReplyId(client_event_id.removeprefix(_MARK))
        self._texts.discard(reply)
        self._turn.refused(reply)
        return True
