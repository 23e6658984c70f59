"""What a reply needs of its session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from antiphon.core.conversation import Item
from antiphon.core.events import Outcome
from antiphon.ids import ReplyId


@dataclass(frozen=True, slots=True)
class ReplyHost:
    """Plain callables. ``sounded`` is called with the first sound that leaves, ``audible`` with the first sample."""

    add_item: Callable[[Item], object]
    audible: Callable[[ReplyId], None]
    sounded: Callable[[ReplyId], None]
    made: Callable[[ReplyId, Outcome, bool], None]
    drained: Callable[[ReplyId], None]
    failed: Callable[[str], None]
