"""The items of a conversation: what the user's turns and the client's commands make of them, and who is told."""

from __future__ import annotations

import asyncio

from antiphon.core import commands as ask
from antiphon.core.conversation import HEARD_S, ROOT, Conversation, Item
from antiphon.ids import ItemId, TurnId
from antiphon.session.listener import Listener
from antiphon.session.live_replies import LiveReplies
from antiphon.session.transcripts import Transcripts
from antiphon.transport.base import Outlet

_KEPT_AUDIO_ITEMS = 1
"""Of so many items the user's audio is kept for ``conversation.item.retrieve``."""

ItemCommand = ask.CreateItem | ask.DeleteItem | ask.RetrieveItem | ask.TruncateItem | ask.Recount


class Items:
    def __init__(
        self,
        conversation: Conversation,
        transcripts: Transcripts,
        replies: LiveReplies,
        listener: Listener,
        outlet: Outlet,
    ) -> None:
        self._conversation = conversation
        self._transcripts = transcripts
        self._replies = replies
        self._listener = listener
        self._outlet = outlet

    def _tell(self, item: Item, previous: ItemId | None) -> None:
        self._outlet.item_added(item, previous)
        self._outlet.item_done(item, previous)

    def commit(self, turn: TurnId, *, speech: bool, hears_audio: bool) -> None:
        """The turn becomes the user's item. ``speech``: somebody spoke; ``hears_audio``: the brain does."""
        item = Item(turn, "message", "user", audio=True, speech=speech)
        previous = self._conversation.add(item)
        self._outlet.committed(turn, previous)
        self._tell(item, previous)
        self._transcripts.commit(turn, item)
        self._keep_audio(hears_audio)

    def _keep_audio(self, hears_audio: bool) -> None:
        self._conversation.keep_audio(_KEPT_AUDIO_ITEMS, HEARD_S if hears_audio else 0.0)

    def obey(self, command: ItemCommand, group: asyncio.TaskGroup, *, hears_audio: bool) -> None:
        """Raises ProtocolError for an item that is not there."""
        match command:
            case ask.CreateItem(item, previous):
                before = self._conversation.add(item, previous)
                self._listener.note_item(item, front=previous == ROOT)
                self._tell(item, before)
                if item.pcm is not None:
                    self._transcripts.transcribe_item(item, group)
                    if hears_audio:
                        self._keep_audio(hears_audio)
            case ask.DeleteItem(item_id):
                self._conversation.delete(item_id)
                self._listener.forget_item(item_id)
                self._outlet.item_deleted(item_id)
            case ask.RetrieveItem(item_id):
                self._replies.refresh_items()
                self._outlet.item_retrieved(self._conversation.get(item_id))
            case ask.TruncateItem(item_id, content_index, audio_end_ms):
                self._replies.refresh_items()
                end_ms = self._conversation.truncate(item_id, audio_end_ms)
                self._outlet.item_truncated(item_id, content_index, end_ms)
            case ask.Recount():
                self._replies.refresh_items()
                previous_id: ItemId | None = None
                for item in self._conversation:
                    self._tell(item, previous_id)
                    previous_id = item.id
