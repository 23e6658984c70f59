"""Who is about to go on with which conversation: at most one client at a time."""

from __future__ import annotations

from antiphon.errors import ProtocolError

IN_USE = "conversation_in_use"


class Claims:
    """A claim holds from when a conversation is asked for until a session has it, or is not to be. Pure."""

    def __init__(self) -> None:
        self._claims: dict[str, str] = {}
        """By conversation the session that is to have it."""

    def claim(self, conversation: str, session_id: str) -> None:
        """Raises ProtocolError where another client is about to go on with it."""
        if conversation in self._claims:
            raise in_use()
        self._claims[conversation] = session_id

    def redeem(self, conversation: str, session_id: str) -> None:
        """The session is made now. Raises ProtocolError where its claim was revoked."""
        if self._claims.get(conversation) != session_id:
            raise in_use()
        del self._claims[conversation]

    def drop(self, conversation: str, session_id: str) -> None:
        """The session is not to be. No harm if it is there."""
        if self._claims.get(conversation) == session_id:
            del self._claims[conversation]

    def revoke(self, conversation: str) -> None:
        """Another process of this server wants it at the same time."""
        self._claims.pop(conversation, None)


def in_use() -> ProtocolError:
    reason = "Another client is just about to go on with this conversation; try again to take it over"
    return ProtocolError(reason, code=IN_USE, param="conversation")
