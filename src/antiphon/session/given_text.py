"""A reply whose words are known: a greeting, or what is said while something takes its time."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta


class GivenText:
    """The Brain of one such reply. It says the text whatever it is asked."""

    def __init__(self, text: str) -> None:
        self._text = text

    @property
    def name(self) -> str:
        return "given:"

    @property
    def description(self) -> str:
        return "words that were given"

    async def load(self) -> None:
        """Nothing."""

    async def close(self) -> None:
        """Nothing."""

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        yield TextDelta(self._text)
        yield Finish()
