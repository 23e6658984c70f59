"""The order of a conversation's items, as its client was told it."""

from __future__ import annotations

from antiphon.core.conversation import ROOT
from antiphon.ids import ItemId


class ItemOrder:
    """Where the items stand, so that an item of the agent can name the one before it."""

    def __init__(self) -> None:
        self._ids: list[ItemId] = []

    def insert(self, item: ItemId, previous: ItemId | None) -> None:
        if item in self._ids:
            return
        if previous is None or previous == ROOT:
            self._ids.insert(0, item)
        elif self._ids and self._ids[-1] != previous and previous in self._ids:
            self._ids.insert(self._ids.index(previous) + 1, item)
        else:
            self._ids.append(item)

    def append(self, item: ItemId) -> ItemId | None:
        before = self._ids[-1] if self._ids else None
        self._ids.append(item)
        return before

    def remove(self, item: ItemId) -> None:
        if item in self._ids:
            self._ids.remove(item)
