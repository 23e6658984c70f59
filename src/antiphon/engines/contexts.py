"""What a model in this process has read of each conversation, kept in memory for its next words.

A conversation has one context, and another one beside it while that is in use or would lose most of what it holds. A
new one begins with a copy of what others have read alike: the instructions, as a rule. The memory for all is bounded;
who was not heard of for the longest time is read anew.
"""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from antiphon.engines.token_tape import Tape, Tokens

MOST_EACH = 2
"""Contexts of one conversation that are kept."""
FEW_TOKENS = 64
"""So many a conversation may always give up: to keep them for another answer would be worth little."""
WORTH_COPYING = 16


class CachedModel(Protocol):
    """A language model as the library has it. Used by whoever has its turn, in a thread."""

    chunk_tokens: int
    """How many tokens are read at a time: others wait so long for their turn."""
    bytes_per_token: int
    """What a token takes in the cache."""
    most_tokens: int
    """The longest context that it knows."""
    stop_tokens: frozenset[int]
    can_check: bool
    """What it has read can always be taken back, so that it may read what it only might write."""

    def new_cache(self) -> Any: ...

    def read(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        """Reads some tokens behind what the cache holds; returns the scores of the next one, shape (vocabulary,)."""
        ...

    def check(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        """As ``read``, with the scores behind each of the tokens: shape (tokens, vocabulary)."""
        ...

    def cut(self, cache: Any, length: int, lost: int) -> bool:
        """Keeps the first ``length`` tokens and gives up the ``lost`` behind them; says whether it could."""
        ...

    def copy(self, cache: Any, length: int) -> Any | None:
        """The first ``length`` tokens as a cache of their own; None where that cannot be."""
        ...


@dataclass(slots=True, eq=False)
class Context:
    """One cache, and what is in it."""

    session: str | None
    """Empty for those that named none; None once it is of no more use."""
    cache: Any
    tape: Tape = field(default_factory=Tape)
    beyond: int = 0
    """Tokens that the cache holds behind those of the tape, and nobody wants."""
    draft: list[int] = field(default_factory=list)
    """What was written last and then thrown away, or would have followed on it: it may be written again."""
    used: int = 0
    user: User | None = None


@dataclass(slots=True, eq=False)
class User:
    """Who works on a context. ``brief``: does nothing but read, and so is soon done."""

    brief: bool
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def ends_soon(self) -> bool:
        return self.brief or self.stop.is_set()


class Contexts:
    """The contexts of one model. ``take`` is for whoever has the model's turn, the rest for any thread."""

    def __init__(self, model: CachedModel, most_tokens: int) -> None:
        """``most_tokens`` is how many all contexts hold together; one that is in use may be beyond it."""
        self._model = model
        self._most_tokens = most_tokens
        self._lock = threading.Lock()
        self._contexts: list[Context] = []
        self._clock = count(1)

    @property
    def tokens(self) -> int:
        """How many are held."""
        return sum(len(context.tape) for context in self._contexts)

    def __len__(self) -> int:
        return len(self._contexts)

    def take(self, session: str, tokens: Tokens, most: int, user: User) -> Generator[None, None, tuple[Context, int]]:
        """A context that holds as much as can be of the first ``most`` of ``tokens``, and how many those are.

        Gives up its turn while one that is soon to be had is in use.
        """
        while any(own.user is not None and own.user.ends_soon for own in self._of(session)):
            if user.stop.is_set():
                break
            yield
        with self._lock:
            context, known = self._chosen(session, tokens, most)
            context.user = user
            context.used = next(self._clock)
            self._make_room(session, len(tokens) - known)
        return context, known

    def give_back(self, context: Context, *, broken: bool = False) -> None:
        """``broken``: what is in its cache is not certain."""
        with self._lock:
            context.user = None
            if broken:
                context.session = None

    def forget(self, session: str) -> None:
        with self._lock:
            for context in self._of(session):
                context.session = None

    def sweep(self) -> None:
        """Frees what is of no more use. For whoever has the model's turn."""
        with self._lock:
            self._sweep()

    def clear(self) -> None:
        """Frees all. As ``sweep``."""
        with self._lock:
            self._contexts.clear()

    def _of(self, session: str) -> list[Context]:
        return [context for context in self._contexts if context.session == session]

    def _chosen(self, session: str, tokens: Tokens, most: int) -> tuple[Context, int]:
        alike = {id(context): context.tape.common(tokens, most) for context in self._contexts}
        idle = [context for context in self._of(session) if context.user is None]
        best = max(idle, key=lambda context: alike[id(context)][0], default=None)
        if best is not None:
            kept, known = alike[id(best)]
            lost = len(best.tape) - kept + best.beyond
            if lost <= max(kept, FEW_TOKENS if session else 0):
                if not lost or self._model.cut(best.cache, kept, lost):
                    best.draft = best.tape.written_behind(kept) + best.draft
                    best.beyond = 0
                    best.tape.cut(kept)
                    return best, known
                best.session = None
        source = max(self._contexts, key=lambda context: alike[id(context)][0], default=None)
        kept, known = alike[id(source)] if source is not None else (0, 0)
        cache = None
        if source is not None and kept >= WORTH_COPYING:
            cache = self._model.copy(source.cache, kept)
        context = Context(session, cache or self._model.new_cache())
        if cache is None or source is None:
            known = 0
        else:
            context.tape = source.tape.copy(kept)
        self._contexts.append(context)
        return context, known

    def _make_room(self, session: str, more: int) -> None:
        """For so many more tokens."""
        own = sorted(self._of(session), key=lambda context: context.used)
        if session:
            for context in own[:-MOST_EACH]:
                if context.user is None:
                    context.session = None
        self._sweep()
        idle = sorted((each for each in self._contexts if each.user is None), key=lambda context: context.used)
        for context in idle:
            if self.tokens + more <= self._most_tokens:
                break
            self._contexts.remove(context)

    def _sweep(self) -> None:
        self._contexts = [context for context in self._contexts if context.session is not None or context.user]
