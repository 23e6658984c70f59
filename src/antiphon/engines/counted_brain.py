"""A brain whose tokens are counted, for whoever shows what conversations cost."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from antiphon.core.speech import BrainDelta, BrainRequest, Finish
from antiphon.engines.base import Attentive, Brain, answering, hears_audio, models_of, place_of, prepare_brain

Count = Callable[[int, int, int], None]
"""Told the tokens of one answer, or of one reading ahead: newly read, known from before, written."""


def counted(brain: Brain, count: Count) -> Brain:
    """The brain for a conversation, with all that it can do besides."""
    return _CountedReader(brain, brain, count) if isinstance(brain, Attentive) else _Counted(brain, count)


class _Counted:
    """It is loaded and closed with the brain that it counts for."""

    def __init__(self, brain: Brain, count: Count) -> None:
        self._brain = brain
        self._count = count

    @property
    def name(self) -> str:
        return self._brain.name

    @property
    def description(self) -> str:
        return self._brain.description

    @property
    def place(self) -> str | None:
        return place_of(self._brain)

    @property
    def hears(self) -> bool:
        return hears_audio(self._brain)

    @property
    def models(self) -> tuple[str, ...]:
        return models_of(self._brain)

    def answering(self, model: str) -> str:
        return answering(self._brain, model)

    async def prepare(self, model: str) -> None:
        await prepare_brain(self._brain, model)

    async def load(self) -> None:
        """As the class says."""

    async def close(self) -> None:
        """As the class says."""

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
