"""The beginning of a brain around another."""

from __future__ import annotations

from antiphon.engines.base import Brain
from antiphon.engines.optional import answering, hears_audio, models_of, place_of, prepare_brain


class BrainAround:
    """A brain around another, whose answers it only looks at or changes: all else is the other's.

    It is loaded and closed with that one.
    """

    def __init__(self, brain: Brain) -> None:
        self._brain = brain

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
    def models(self) -> tuple[str, ...]:
        return models_of(self._brain)

    def hears_as(self, model: str) -> bool:
        return hears_audio(self._brain, model)

    def answering(self, model: str) -> str:
        return answering(self._brain, model)

    async def prepare(self, model: str) -> None:
        await prepare_brain(self._brain, model)

    async def load(self) -> None:
        """As the class says."""

    async def close(self) -> None:
        """As the class says."""
