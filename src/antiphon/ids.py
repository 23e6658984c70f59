"""Identifiers: one type a meaning, minted in one place, repeatable under a seed."""

from __future__ import annotations

import random
from typing import NewType

ReplyId = NewType("ReplyId", str)
"""One answer of the agent, prepared or committed. It is also the wire's response id."""

ItemId = NewType("ItemId", str)
"""An item of the conversation."""

TurnId = NewType("TurnId", ItemId)
"""A stretch of user speech, which becomes the item of the same id."""

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH = 21


class IdSource:
    """Mints identifiers. Given a seed it mints the same ones again, which replay relies on."""

    __slots__ = ("_random",)

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed) if seed is not None else random.SystemRandom()

    def _mint(self, prefix: str) -> str:
        return prefix + "".join(self._random.choices(_ALPHABET, k=_LENGTH))

    def seed(self) -> int:
        """A seed for another source, repeatable under this one's own."""
        return self._random.getrandbits(63)

    def turn(self) -> TurnId:
        return TurnId(self.item())

    def reply(self) -> ReplyId:
        return ReplyId(self._mint("resp_"))

    def item(self) -> ItemId:
        return ItemId(self._mint("item_"))

    def event(self) -> str:
        return self._mint("event_")

    def session(self) -> str:
        return self._mint("sess_")

    def conversation(self) -> str:
        return self._mint("conv_")

    def call(self) -> str:
        return self._mint("call_")
