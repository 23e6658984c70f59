"""A brain that writes by rule, at stated speeds, and counts what a model that remembers its context had to read."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta

_MS = 1000.0
_FRAGMENT = re.compile(r"\s?[^\s]{1,5}|\s+", re.DOTALL)
"""About a token: words are cut, and so are tags."""

Rule = Callable[[Sequence[Message]], str]
"""What is written to a context; nothing, to yield."""


def tokens_of(messages: Sequence[Message]) -> list[str]:
    """The context as a model reads it, about."""
    tokens: list[str] = []
    for message in messages:
        written = (message.text, message.name or "", message.arguments or "")
        tokens += [f"<{message.role}>", *(piece for text in written for piece in _FRAGMENT.findall(text)), "<end>"]
    return tokens


class RuleBrain:
    """Fragments of five letters, the first after ``first_token_ms`` and the others ``token_ms`` apart."""

    name = "rule:"
    description = "a brain that writes by rule, for tests and measurements"

    def __init__(self, rule: Rule, *, first_token_ms: float = 50.0, token_ms: float = 20.0) -> None:
        self._rule = rule
        self._first_token_ms = first_token_ms
        self._token_ms = token_ms
        self._context: list[str] = []
        self.requests = 0
        self.read_tokens = 0
        """Those that were not in its context yet."""
        self.written_tokens = 0
        self.longest_context = 0
        self.running = 0

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        self.requests += 1
        prompt = tokens_of(request.messages)
        known = _common(self._context, prompt)
        self.read_tokens += len(prompt) - known
        self.longest_context = max(self.longest_context, len(prompt))
        self._context = prompt
        self.running += 1
        written = 0
        try:
            await asyncio.sleep(self._first_token_ms / _MS)
            for written, fragment in enumerate(_FRAGMENT.findall(self._rule(request.messages)), 1):
                if written > 1:
                    await asyncio.sleep(self._token_ms / _MS)
                self.written_tokens += 1
                yield TextDelta(fragment)
            yield Finish("stop", len(prompt), written, known)
        finally:
            self.running -= 1


def _common(these: Sequence[str], those: Sequence[str]) -> int:
    pairs = enumerate(zip(these, those, strict=False))
    return next((index for index, (this, that) in pairs if this != that), min(len(these), len(those)))
