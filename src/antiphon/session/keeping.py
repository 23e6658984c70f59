"""Conversations that outlive their sessions: what is kept of one, where, and when it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import structlog

from antiphon.core.conversation import Conversation, Item
from antiphon.core.memory import Memory
from antiphon.errors import AntiphonError
from antiphon.ids import ItemId

log = structlog.get_logger(__name__)

WRITE_EVERY_S = 1.0
"""A conversation under way is written no more often."""

FINISH_S = 2.0
"""What the last writing of a conversation may take; a slow disk keeps no session alive."""


class StoreError(AntiphonError):
    """What is kept cannot be read or written. The message says why."""


class HeldError(StoreError):
    """Another session has the conversation, and does not let go of it, or has only just begun to go on with it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation as it was left. ``notes`` stand for the items ``covered``, as in ``core.memory``."""

    items: tuple[Item, ...] = ()
    notes: str = ""
    covered: frozenset[ItemId] = frozenset()
    agent: str = ""
    """Which agent had it at the end; empty where none did."""


NOTHING_KEPT = Kept()


@dataclass(frozen=True, slots=True)
class About:
    """What people are told of a conversation that is kept. Times are of the wall clock, in seconds."""

    id: str
    created_at: float
    changed_at: float
    items: int


@dataclass(frozen=True, slots=True)
class Change:
    """What is different since the last writing: ``items`` by their places, in the order of which they stand."""

    items: Mapping[int, Item] = field(default_factory=dict)
    removed: tuple[ItemId, ...] = ()
    notes: str = ""
    covered: frozenset[ItemId] = frozenset()
    agent: str = ""
    begins: bool = False
    """There is nothing of it yet, as far as its session knows."""


class ConversationStore(Protocol):
    """Keeps conversations, each for one session at a time. Nothing blocks the event loop; all of it raises StoreError.

    ``holder`` is the id of the session that has a conversation, in whatever process.
    """

    async def claim(self, conversation: str, holder: str) -> Kept | None:
        """From now on it is the holder's alone, until it leaves it. None where there is no such, or no longer.

        A session that has it elsewhere is asked to let go. Raises HeldError where another one gets it.
        """
        ...

    async def save(self, conversation: str, change: Change, holder: str) -> bool:
        """One that begins is the holder's. False where the conversation was deleted since it was begun, or is
        another's by now: then nothing more is kept of it."""
        ...

    def leave(self, conversation: str, holder: str) -> None:
        """Whoever wants it may have it, once what was to be saved is written. No harm if it is not the holder's."""
        ...

    async def about(self, conversation: str) -> About | None:
        """None where there is no such conversation, or no longer."""
        ...

    async def delete(self, conversation: str) -> bool:
        """Whether there was one."""
        ...


_State = tuple[int, str, int, int, int, float | None]
_Aside = tuple[str, frozenset[ItemId], str]
"""What else there is of a conversation: notes, what they cover, and the agent."""


class Notebook:
    """Writes one conversation down while it lasts. ``run`` must be running, ``finish`` is the last call.

    What cannot be written is told in the log and tried again with the next change; the conversation goes on. One that
    somebody deletes meanwhile is not begun anew.
    """

    def __init__(self, store: ConversationStore, conversation_id: str, holder: str, kept: Kept) -> None:
        """``holder``: the id of the session."""
        self.kept = kept
        """What there was of it before."""
        self._store = store
        self._id = conversation_id
        self._holder = holder
        self._conversation = Conversation()
        self._memory: Memory | None = None
        self._places: dict[ItemId, int] = {}
        self._written: dict[ItemId, _State] = {}
        self._aside: _Aside = (kept.notes, kept.covered, kept.agent)
        self._agent = kept.agent
        self._begins = not kept.items
        self._deleted = False
        self._changed = asyncio.Event()

    def open(self, conversation: Conversation, memory: Memory | None) -> None:
        """Puts what was kept into a conversation that begins, which is what is written from now on."""
        for item in self.kept.items:
            conversation.add(item)
        self._conversation, self._memory = conversation, memory

    def in_charge(self, agent: str) -> None:
        """The conversation is that agent's from now on."""
        self._agent = agent
        self.changed()

    def changed(self) -> None:
        """Something may be different."""
        self._changed.set()

    async def run(self) -> None:
        """Until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._changed.wait()
            self._changed.clear()
            began_at = loop.time()
            await self.write()
            await asyncio.sleep(max(0.0, began_at + WRITE_EVERY_S - loop.time()))

    async def finish(self) -> None:
        """The conversation is over. What is still to be written then is the store's."""
        try:
            async with asyncio.timeout(FINISH_S):
                await self.write()
        except TimeoutError:
            log.warning("the end of a conversation takes long to be written", conversation=self._id)
        finally:
            self._store.leave(self._id, self._holder)

    async def write(self) -> None:
        """Brings what is kept up to date."""
        items = self._final()
        states = {item.id: _state(place, item) for place, item in items.items()}
        notes = (self._memory.notes, self._memory.covered) if self._memory is not None else self._aside[:2]
        aside = (*notes, self._agent)
        if self._deleted or (self._begins and not states) or (states == self._written and aside == self._aside):
            return
        new = {place: _plain(item) for place, item in items.items() if states[item.id] != self._written.get(item.id)}
        change = Change(new, tuple(self._written.keys() - states.keys()), *aside, begins=self._begins)
        try:
            self._deleted = not await self._store.save(self._id, change, self._holder)
        except StoreError as error:
            log.warning("a conversation could not be written down", conversation=self._id, reason=str(error))
            return
        self._begins = False
        self._written, self._aside = states, aside

    def _final(self) -> dict[int, Item]:
        """The items of which no more comes, by their places: numbers that grow, and stay unless one comes between."""
        final: dict[int, Item] = {}
        last = -1
        for item in self._conversation:
            if item.status == "in_progress":
                continue
            place = self._places.get(item.id, -1)
            last = place if place > last else last + 1
            self._places[item.id] = last
            final[last] = item
        return final


def _state(place: int, item: Item) -> _State:
    """Differs when an item does: it only ever grows, or is cut."""
    return place, item.status, len(item.text), len(item.output), len(item.arguments), item.heard_ms


def _plain(item: Item) -> Item:
    """What is kept of it: the words that were heard, no audio."""
    return replace(item, text=item.heard(), heard_ms=None, spoken=[], pcm=None)


class Keeper:
    """Who writes which conversation down. Belongs to one event loop."""

    def __init__(self, store: ConversationStore) -> None:
        self.store = store
        self._notebooks: dict[str, Notebook] = {}
        """By session, until it begins."""

    def assign(self, session_id: str, conversation_id: str, kept: Kept) -> None:
        """The session of that id, which is about to be made, has this conversation."""
        self._notebooks[session_id] = Notebook(self.store, conversation_id, session_id, kept)

    def notebook(self, session_id: str) -> Notebook | None:
        """For the session that is being made."""
        return self._notebooks.pop(session_id, None)
