"""The conversation: items in order, and what of them the brain may know, cut to what was heard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.segments import Segment, tagged
from antiphon.core.speech import Message, Spoken
from antiphon.core.spoken import heard_text
from antiphon.errors import ProtocolError
from antiphon.ids import ItemId

ROOT = ItemId("root")
"""As ``previous``: the front of the conversation."""

_BYTES_PER_S = 2 * EAR_RATE_HZ

HEARD_TURN_S = 60
"""A brain that hears gets so much of one turn, its end."""

HEARD_S = 60
"""And so much of the turns before it, which with it stay below the 4 MiB of a worker's message; it reads older ones by
their words."""


@dataclass(slots=True)
class Item:
    """One item. Which fields count depends on ``kind``.

    ``content`` holds the client's own parts in wire form (text and images) for items that a client created.
    """

    id: ItemId
    kind: Literal["message", "function_call", "function_call_output"]
    role: Literal["user", "assistant", "system"] | None = None
    status: Literal["in_progress", "completed", "incomplete"] = "completed"
    text: str = ""
    """What was said or written, whole."""
    audio: bool = False
    """It was spoken, by the user or by the agent."""
    content: tuple[dict[str, Any], ...] = ()
    call_id: str | None = None
    name: str | None = None
    arguments: str = ""
    output: str = ""
    segments: tuple[Segment, ...] = ()
    """What the user said by who said it, where speakers are told apart."""
    pcm: bytes | None = None
    """The user's audio, mono s16 at 16 kHz, while it is kept."""
    speech: bool = True
    """Somebody speaks in that audio, as far as is known."""
    spoken: list[Spoken] = field(default_factory=list)
    """When each word of ``text`` sounded, in order; empty for text."""
    heard_ms: float | None = None
    """Where the listener's hearing of it ended; None while nothing was cut."""

    @property
    def lost(self) -> bool:
        """The user said something, and nobody knows what."""
        return self.role == "user" and self.audio and self.speech and not self.text

    @property
    def audio_ms(self) -> float:
        """How long the agent's audio of it is."""
        return self.spoken[-1].end_ms if self.spoken else 0.0

    @property
    def weight_bytes(self) -> int:
        """About how much memory its texts and images take."""
        parts = sum(len(value) for part in self.content for value in part.values() if isinstance(value, str))
        return len(self.text) + len(self.arguments) + len(self.output) + parts

    def heard(self) -> str:
        """The words that the listener has heard; for all that was not cut, the text."""
        return self.text if self.heard_ms is None else heard_text(self.spoken, self.heard_ms)

    def message(self, *, with_speakers: bool = False, hearing: bool = False) -> Message | None:
        """The item as the brain reads it (``with_speakers`` by who said what) or hears it; None when empty."""
        if self.kind == "function_call":
            return Message("assistant", call_id=self.call_id, name=self.name, arguments=self.arguments)
        if self.kind == "function_call_output":
            return Message("tool", self.output, call_id=self.call_id)
        images = tuple(part["image_url"] for part in self.content if part.get("image_url"))
        text = tagged(self.segments) if with_speakers and self.segments else self.heard().strip()
        audio = self.pcm[-HEARD_TURN_S * _BYTES_PER_S :] if hearing and self.pcm and self.speech else None
        return Message(self.role or "user", text, images=images, audio=audio) if text or images or audio else None


class Conversation:
    """Items in order. Raises ProtocolError, with the wire's code, for a request that cannot be met.

    It keeps ``max_items`` items of ``max_bytes`` in all, and forgets the oldest beyond.
    """

    def __init__(self, max_items: int = 1000, max_bytes: int = 32 * 1024 * 1024) -> None:
        self._items: list[Item] = []
        self._max_items = max_items
        self._max_bytes = max_bytes
        self.changes = 0
        """How often items were added, taken away, or cut by the client."""

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def _index(self, item: ItemId) -> int | None:
        # From the end, since it is the newest items that are asked for.
        for index in range(len(self._items) - 1, -1, -1):
            if self._items[index].id == item:
                return index
        return None

    def find(self, item: ItemId) -> Item | None:
        index = self._index(item)
        return None if index is None else self._items[index]

    def get(self, item: ItemId) -> Item:
        found = self.find(item)
        if found is None:
            raise ProtocolError(
                f"Item with item_id not found: {item}", code="item_retrieve_invalid_item_id", param="item_id"
            )
        return found

    def add(self, item: Item, previous: ItemId | None = None) -> ItemId | None:
        """Puts the item after ``previous``, by default at the end; returns the id of the one before it."""
        if self._index(item.id) is not None:
            raise ProtocolError(
                f"Item with id {item.id} already exists", code="item_create_duplicate_item_id", param="item.id"
            )
        place = len(self._items)
        if previous == ROOT:
            place = 0
        elif previous is not None:
            index = self._index(previous)
            if index is None:
                raise ProtocolError(
                    f"Previous item with id {previous} not found",
                    code="item_create_invalid_previous_item_id",
                    param="previous_item_id",
                )
            place = index + 1
        self._items.insert(place, item)
        self.changes += 1
        before = self._items[place - 1].id if place else None
        self._forget_oldest()
        return before

    def _forget_oldest(self) -> None:
        weight_bytes = sum(item.weight_bytes for item in self._items)
        while len(self._items) > 1 and (len(self._items) > self._max_items or weight_bytes > self._max_bytes):
            weight_bytes -= self._items.pop(0).weight_bytes

    def delete(self, item: ItemId) -> None:
        index = self._index(item)
        if index is None:
            raise ProtocolError(
                f"Item with item_id not found: {item}", code="item_delete_invalid_item_id", param="item_id"
            )
        del self._items[index]
        self.changes += 1

    def last_id(self) -> ItemId | None:
        return self._items[-1].id if self._items else None

    def before(self, item: ItemId) -> ItemId | None:
        index = self._index(item)
        return self._items[index - 1].id if index else None

    def truncate(self, item: ItemId, audio_end_ms: int) -> int:
        """Cuts the agent's item to what the client played. Returns where it was cut, within the audio there is."""
        found = self.get(item)
        if found.role != "assistant" or found.kind != "message":
            raise ProtocolError("Only assistant messages can be truncated", code="invalid_value", param="item_id")
        end_ms = max(0, audio_end_ms)
        if found.spoken:
            end_ms = min(end_ms, round(found.audio_ms))
        found.heard_ms = float(end_ms)
        self.changes += 1
        return end_ms

    def context(
        self,
        then: Sequence[Segment] = (),
        *,
        given: Sequence[Item] | None = None,
        audio: bytes | None = None,
        hearing: bool = False,
    ) -> tuple[Message, ...]:
        """All that the brain may know, in order, and ``then`` what the user says in a turn that is no item yet.

        Where more than one speaker is known, each line of the user says whose it is. ``given``: these items alone. A
        brain that is ``hearing`` gets the user's audio too, ``audio`` being that of the turn.
        """
        said = [segment for item in self._items for segment in item.segments]
        several = len({segment.speaker for segment in (*said, *then)} - {None}) > 1
        items = self._items if given is None else given
        read = (item.message(with_speakers=several, hearing=hearing) for item in items)
        messages = [message for message in read if message is not None]
        if then or audio:
            text = tagged(then) if several else " ".join(segment.text for segment in then)
            messages.append(Message("user", text, audio=audio))
        return tuple(messages)

    def keep_audio(self, items: int, seconds: float = 0.0) -> None:
        """Forgets the user's audio but for the newest ``items`` that have some, and for the newest ``seconds``."""
        kept, kept_bytes = 0, 0
        for item in reversed(self._items):
            if item.pcm is not None:
                kept += 1
                kept_bytes += len(item.pcm)
                if kept > items and kept_bytes > seconds * _BYTES_PER_S:
                    item.pcm = None
