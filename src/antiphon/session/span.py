"""What a listening brain says in one go, as the brain of one reply: the reply asks it as it would ask any other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from enum import Enum, auto
from typing import TYPE_CHECKING

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta, ToolCallDelta
from antiphon.errors import EngineError
from antiphon.ids import ReplyId

if TYPE_CHECKING:
    from antiphon.session.reply import Reply

_AHEAD = 256
"""So many pieces may wait for the reply before the writing has to."""


class Standing(Enum):
    """How far it has come."""

    UNTOLD = auto()
    """It has no words yet."""
    WISHED = auto()
    PREPARED = auto()
    STARTED = auto()
    OVER = auto()


class Span:
    """The pieces of one reply, from the run of writing that says them to the reply that has them spoken."""

    description = "what a listening brain says"

    def __init__(self, reply: ReplyId, run: int, written: int, name: str) -> None:
        """``run`` is the one that it is written in, ``written`` how many words had been written before it.

        ``name`` is that of the model which writes it.
        """
        self.id = reply
        self.name = name
        self.run = run
        self.written = written
        self.heard_words = 0
        """How many words the brain had heard when it wrote its last."""
        self.standing = Standing.UNTOLD
        self.reply: Reply | None = None
        """Once it is being made."""
        self.cut = False
        """Not all of it may have been heard."""
        self.learnt: str | None = None
        """The beginning that the brain knows to have been heard."""
        self._pieces: asyncio.Queue[BrainDelta | EngineError] = asyncio.Queue()
        self._room = asyncio.Semaphore(_AHEAD)

    async def load(self) -> None:
        """Nothing: it is somebody else's words."""

    async def close(self) -> None:
        """Nothing."""

    async def say(self, piece: TextDelta | ToolCallDelta) -> None:
        """The next piece; waits while the reply is far behind."""
        await self._room.acquire()
        self._pieces.put_nowait(piece)

    def end(self, reason: str = "stop") -> None:
        self._pieces.put_nowait(Finish(reason))

    def fail(self, error: EngineError) -> None:
        self._pieces.put_nowait(error)

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        while True:
            piece = await self._pieces.get()
            if isinstance(piece, EngineError):
                raise piece
            yield piece
            if isinstance(piece, Finish):
                return
            self._room.release()

    @property
    def heard(self) -> str | None:
        """The beginning that was heard, where it is known that the rest was not."""
        item = None if self.reply is None else self.reply.told.item
        if item is None:
            return "" if self.cut else None
        return None if item.heard_ms is None else item.heard()
