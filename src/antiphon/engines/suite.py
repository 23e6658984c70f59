"""The engines that serve a session, one for each stage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

from antiphon.engines.base import Brain, Engine, Recognizer, Synthesizer, Vad


@dataclass(frozen=True, slots=True)
class Suite:
    """Loaded once, shared by all sessions."""

    vad: Vad
    recognizer: Recognizer
    brain: Brain
    synthesizer: Synthesizer

    def __iter__(self) -> Iterator[Engine]:
        yield from (self.vad, self.recognizer, self.brain, self.synthesizer)

    async def load(self) -> None:
        """Loads all of them at once. Raises the first EngineError."""
        async with asyncio.TaskGroup() as group:
            for engine in self:
                group.create_task(engine.load())

    async def close(self) -> None:
        for engine in self:
            await engine.close()
