"""A brain whose tokens are counted, for whoever shows what conversations cost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from antiphon.core.speech import BrainDelta, BrainRequest, Finish
from antiphon.engines.base import Brain
from antiphon.engines.brain_around import BrainAround
from antiphon.engines.optional import Attentive

Count = Callable[[int, int, int], None]
"""Told the tokens of one answer, or of one reading ahead: newly read, known from before, written."""


def counted(brain: Brain, count: Count) -> Brain:
    """The brain for a conversation, with all that it can do besides."""
    return _CountedReader(brain, brain, count) if isinstance(brain, Attentive) else _Counted(brain, count)


class _Counted(BrainAround):
    def __init__(self, brain: Brain, count: Count) -> None:
        super().__init__(brain)
        self._count = count

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        async with aclosing(self._brain.respond(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, Finish):
                    self._add(delta)
                yield delta

    def _add(self, finish: Finish) -> None:
        new = max(0, finish.input_tokens - finish.cached_tokens)
        self._count(new, finish.cached_tokens, finish.output_tokens)


class _CountedReader(_Counted):
    def __init__(self, reader: Attentive, brain: Brain, count: Count) -> None:
        super().__init__(brain, count)
        self._reader = reader

    async def read(self, request: BrainRequest) -> Finish:
        finish = await self._reader.read(request)
        self._add(finish)
        return finish
