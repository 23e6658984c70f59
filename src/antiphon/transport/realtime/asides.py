"""Who is told that a command was refused, where several clients take part in one session.

The session answers with the id of the client's event. What comes from a sideband goes in under an id of ours, by which
its answer finds back to it; the client whose session it is hears nothing of other people's mistakes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from antiphon.core.commands import Command, Configure

if TYPE_CHECKING:
    from antiphon.transport.realtime.inlet import Ear
    from antiphon.transport.realtime.sender import Sender

_MARK = "\0aside"
"""No client's id begins so: it is not sent to anybody."""

_MOST = 256
"""Commands are refused within moments, if they are; the oldest of more are forgotten."""


class Asker(NamedTuple):
    sender: Sender | None
    event_id: str | None


class Asides:
    def __init__(self) -> None:
        self._asked: dict[str, Asker] = {}
        self._count = 0

    def marked(self, command: Command, sender: Sender) -> Command:
        """The command as it goes to the session."""
        if isinstance(command, Configure):
            return command
        self._count += 1
        mark = f"{_MARK}{self._count}"
        self._asked[mark] = Asker(sender, command.client_event_id)
        if len(self._asked) > _MOST:
            del self._asked[next(iter(self._asked))]
        return replace(command, client_event_id=mark)

    def asker(self, event_id: str | None) -> Asker:
        """Who sent the event of this id; no sender where it was the client whose session it is."""
        if event_id is None or not event_id.startswith(_MARK):
            return Asker(None, event_id)
        return self._asked.pop(event_id, Asker(None, None))


class AsideEar:
    """The session as a sideband sees it."""

    def __init__(self, ear: Ear, asides: Asides, sender: Sender) -> None:
        self._ear = ear
        self._asides = asides
        self._sender = sender

    def hear(self, pcm: bytes) -> None:
        self._ear.hear(pcm)

    def post(self, command: Command) -> None:
        self._ear.post(self._asides.marked(command, self._sender))
