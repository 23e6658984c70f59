"""A brain of stated times that keeps count of its runs: what it wrote in vain is known to the token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta
from antiphon.core.text import words_of
from antiphon.engines.cached_answer import CHECKED_TOKENS

PASS_TOKENS = CHECKED_TOKENS
"""So many are read in the time in which one is written: a model waits for its weights more than for its arithmetic."""

_ENOUGH = 0.8
"""Recognizers miss words: a turn of which so much was heard counts as whole."""


@dataclass(slots=True)
class Run:
    """One request."""

    at: float
    tokens: int = 0


class StatedBrain:
    """Answers each turn with the text that ``expect`` named, a word a token.

    ``judges``: it yields, by saying nothing, while it has not heard the whole turn. That is an ideal judge, who knows
    what will be said; else it answers whatever it is asked.

    ``keeps``: as the models in our own processes it reads what it wrote last and was thrown away, ``PASS_TOKENS`` in
    the time of one token, and goes on behind as many of its tokens as stay the same: no more than so many. 0 for a
    model elsewhere, which writes all of it again.
    """

    name = "stated:"
    description = "a brain of stated times, for comparison"

    def __init__(self, first_token_ms: float, tokens_a_second: float, *, judges: bool = False, keeps: int = 0) -> None:
        self._first_token_s, self._token_s = first_token_ms / 1000, 1 / tokens_a_second
        self._judges, self._keeps = judges, keeps
        self._words, self._answer = 0, ""
        self._draft: tuple[str, ...] = ()
        """What stays of what it wrote last."""
        self.runs: list[Run] = []

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def expect(self, text: str, answer: str) -> None:
        """The turn that comes next, and what is to be said to it."""
        self._words, self._answer = len(words_of(text)), answer

    def _says(self, request: BrainRequest) -> str:
        heard = request.messages[-1].text if request.messages else ""
        return "" if self._judges and len(words_of(heard)) < _ENOUGH * self._words else self._answer

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        run = Run(asyncio.get_running_loop().time())
        self.runs.append(run)
        words = self._says(request).split()
        draft = self._draft
        known = 0
        await asyncio.sleep(self._first_token_s)
        for number, word in enumerate(words):
            if number > known:
                await asyncio.sleep(self._token_s)
                same = draft[:number] == tuple(words[:number])
                known = number + min(PASS_TOKENS, len(draft) - number) if same and len(draft) > number else number
            run.tokens += 1
            stays = max(run.tokens, len(draft)) if draft == tuple(words[: len(draft)]) else run.tokens
            self._draft = tuple(words[: min(self._keeps, stays)])
            yield TextDelta(f" {word}" if number else word)
        yield Finish("stop", 0, run.tokens)
