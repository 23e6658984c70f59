"""What a reply answers to: the messages that its language model is asked with, read when its making begins."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from antiphon.core.commands import CreateReply, ItemReference
from antiphon.core.conversation import Conversation, Item
from antiphon.core.settings import ReplySettings
from antiphon.core.speech import Message
from antiphon.engines.base import Brain
from antiphon.engines.optional import hears_now
from antiphon.errors import EngineError
from antiphon.ids import TurnId
from antiphon.session.recollection import Recollection
from antiphon.session.transcripts import Transcripts

NOT_UNDERSTOOD = "What was said could not be recognized"

Messages = Callable[[], Awaitable[tuple[Message, ...]]]


class Known(Protocol):
    """What is known beyond the conversation's items, for replies that the session or the client asks for."""

    def context(self) -> tuple[Message, ...]: ...

    def note_item(self, item: Item) -> None:
        """An item that such a reply has brought."""
        ...


class ReplyContext:
    """``settings`` are the session's, ``known`` is what a brain that listens knows, while one does."""

    def __init__(
        self,
        conversation: Conversation,
        transcripts: Transcripts,
        recollection: Recollection,
        brain: Brain,
        settings: ReplySettings,
        refresh_items: Callable[[], None],
    ) -> None:
        """``refresh_items`` is called before the conversation is read: it brings the items of replies up to date."""
        self.settings = settings
        self.known: Known | None = None
        self._conversation = conversation
        self._transcripts = transcripts
        self._recollection = recollection
        self._brain = brain
        self._refresh_items = refresh_items

    def _hearing(self, settings: ReplySettings) -> bool:
        """What the user said is given as audio. A model that is not ready may be stood in for by one that reads."""
        return hears_now(self._brain, settings.model)

    def ahead_of(self, turn: TurnId) -> Messages:
        """The conversation as it would be, were the turn over now."""
        said = self._transcripts.segments(turn)
        hearing = self._hearing(self.settings)
        audio = self._transcripts.audio(turn) if hearing else None

        async def messages() -> tuple[Message, ...]:
            await self._transcripts.settled(hearing=hearing)
            whole = self.settings.whole_context
            return self._recollection.context(said, whole=whole, audio=audio, hearing=hearing)

        return messages

    def of(self, command: CreateReply | None, answered: TurnId | None = None) -> Messages:
        """What a reply is asked with that nobody has prepared: the client's own messages, or the conversation.

        They raise EngineError where the turn that is to be answered was not understood.
        """

        async def messages() -> tuple[Message, ...]:
            given = None if command is None else command.messages
            settings = self.settings if command is None else command.settings
            hearing = self._hearing(settings)
            if given is None or any(isinstance(entry, ItemReference) for entry in given):
                await self._transcripts.settled(hearing=hearing)
                self._refresh_items()
            if answered is not None and not hearing:
                self._check(answered)
            if given is not None:
                found = (self._resolved(entry, hearing) for entry in given)
                return tuple(message for message in found if message is not None)
            if self.known is not None and not (command is not None and command.side):
                return self.known.context()
            return self._recollection.context(whole=settings.whole_context, hearing=hearing)

        return messages

    def _check(self, turn: TurnId) -> None:
        """Raises EngineError: nothing can be said to what nobody understood."""
        item = self._conversation.find(turn)
        if item is not None and item.lost:
            raise EngineError(NOT_UNDERSTOOD)

    def _resolved(self, entry: Message | ItemReference, hearing: bool) -> Message | None:
        """Of the context that a client gave. An item that was deleted meanwhile says nothing."""
        if not isinstance(entry, ItemReference):
            return entry
        item = self._conversation.find(entry.item)
        return None if item is None else item.message(hearing=hearing)


async def nothing() -> tuple[Message, ...]:
    """What a listening brain says needs no context."""
    return ()
