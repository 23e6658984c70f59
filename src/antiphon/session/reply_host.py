"""What a reply needs of its session."""

from __future__ import annotations

from collections.abc import Callable

from antiphon.core.conversation import Item
from antiphon.core.events import Outcome
from antiphon.ids import ReplyId


class ReplyHost:
    """Plain callables. ``sounded`` is called with the first sound that leaves, ``audible`` with the first sample."""

    __slots__ = ("add_item", "audible", "drained", "failed", "made", "sounded")

    def __init__(
        self,
        add_item: Callable[[Item], None],
        audible: Callable[[ReplyId], None],
        sounded: Callable[[ReplyId], None],
        made: Callable[[ReplyId, Outcome, bool], None],
        drained: Callable[[ReplyId], None],
        failed: Callable[[str], None],
    ) -> None:
        self.add_item = add_item
        self.audible = audible
        self.sounded = sounded
        self.made = made
        self.drained = drained
        self.failed = failed
