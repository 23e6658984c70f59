"""Which context a conversation gets, with a model whose caches are lists of tokens."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.engines.contexts import MOST_EACH, Context, Contexts, User
from antiphon.engines.token_tape import Tokens


class Lists:
    """The CachedModel, as far as contexts need it."""

    chunk_tokens = 8
    bytes_per_token = 1
    most_tokens = 1000
    stop_tokens: frozenset[int] = frozenset()
    can_check = True

    def __init__(self, *, can_cut: bool = True, can_copy: bool = True) -> None:
        self.can_cut = can_cut
        self.can_copy = can_copy

    def new_cache(self) -> list[int]:
        return []

    def read(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        cache += tokens
        return np.zeros(1, np.float32)

    def check(self, cache: Any, tokens: list[int]) -> NDArray[np.float32]:
        cache += tokens
        return np.zeros((len(tokens), 1), np.float32)

    def cut(self, cache: Any, length: int, lost: int) -> bool:
        assert len(cache) == length + lost
        if self.can_cut:
            del cache[length:]
        return self.can_cut

    def copy(self, cache: Any, length: int) -> Any | None:
        return cache[:length] if self.can_copy else None


def tokens(text: str) -> Tokens:
    """One for each letter."""
    return Tokens(text, [ord(letter) for letter in text], range(1, len(text) + 1))


def end_of(steps: Generator[None, None, tuple[Context, int]], most_steps: int = 0) -> tuple[Context, int]:
    for _ in range(most_steps + 1):
        try:
            next(steps)
        except StopIteration as stopped:
            context, known = stopped.value
            assert isinstance(context, Context)
            return context, known
    raise AssertionError("it still waits")


class Reader:
    def __init__(self, model: Lists | None = None, most_tokens: int = 10_000) -> None:
        self.model = model or Lists()
        self.contexts = Contexts(self.model, most_tokens)

    def take(self, session: str, text: str, user: User | None = None) -> tuple[Context, int]:
        """Takes a context and reads the text into it."""
        given = tokens(text)
        context, known = end_of(self.contexts.take(session, given, len(text), user or User(brief=False)))
        self.model.read(context.cache, list(given.ids[known:]))
        context.tape.read(given, known, len(text))
        assert "".join(map(chr, context.cache)) == context.tape.text == text
        return context, known

    def read(self, session: str, text: str) -> int:
        """Takes one, reads and gives it back; how much of the text was there before."""
        context, known = self.take(session, text)
        self.contexts.give_back(context)
        return known


LONG = "the rain in spain stays mainly in the plain"


def test_a_conversation_has_one_which_is_cut_to_what_stays() -> None:
    reader = Reader()
    assert reader.read("a", LONG) == 0
    assert reader.read("a", LONG + " and") == len(LONG)
    assert reader.read("a", "the rain in rome") == len("the rain in ")
    assert (len(reader.contexts), reader.contexts.tokens) == (1, 16)


def test_what_was_written_and_is_cut_away_is_kept_as_a_draft() -> None:
    reader = Reader()
    reader.read("a", LONG)
    context, _ = reader.take("a", LONG)
    for letter in " yes":
        context.cache.append(ord(letter))
        context.tape.wrote(ord(letter), letter)
    context.cache += b"!!"
    context.beyond, context.draft = 2, list(b"!")
    reader.contexts.give_back(context)
    assert reader.read("a", f"{LONG} and") == len(LONG) + 1, "a written space is as good as one that was heard"
    assert (bytes(context.draft), context.beyond) == (b"yes!", 0)
    assert reader.read("a", f"{LONG} so") == len(LONG) + 1
    assert bytes(context.draft) == b"yes!", "until somebody writes"


def test_what_would_lose_much_is_kept_beside_a_new_one() -> None:
    reader = Reader()
    reader.read("a", LONG * 5)
    assert reader.read("a", "is this a question?") == 0
    assert reader.read("a", LONG * 5 + " and") == len(LONG) * 5
    assert len(reader.contexts) == 2
    for number in range(5):
        reader.read("a", f"{number} {LONG} {number}" * 3)
        assert len(reader.contexts) <= MOST_EACH


def test_a_new_one_begins_with_a_copy() -> None:
    reader = Reader()
    reader.read("a", LONG)
    assert reader.read("b", LONG[:20] + "!") == 20
    assert reader.read("c", LONG[:9] + "!") == 0, "too little to be copied"
    assert reader.read("a", LONG) == len(LONG), "which leaves the other as it is"


def test_while_one_is_in_use_another_is_begun() -> None:
    reader = Reader()
    context, _ = reader.take("a", LONG)
    other, known = reader.take("a", LONG + " or not")
    assert other is not context
    assert known == len(LONG)


@pytest.mark.parametrize("brief", [True, False])
def test_one_that_is_soon_free_is_waited_for(brief: bool) -> None:
    reader = Reader()
    user = User(brief)
    context, _ = reader.take("a", LONG, user)
    if not brief:
        user.stop.set()
    later = User(brief=False)
    steps = reader.contexts.take("a", tokens(LONG), len(LONG), later)
    for _ in range(3):
        next(steps)
    reader.contexts.give_back(context)
    assert end_of(steps)[0] is context
    assert context.user is later


def test_who_is_stopped_waits_no_longer() -> None:
    reader = Reader()
    reader.take("a", LONG, User(brief=True))
    user = User(brief=False)
    steps = reader.contexts.take("a", tokens(LONG), len(LONG), user)
    next(steps)
    user.stop.set()
    assert end_of(steps)[0].user is user


def test_without_a_name_the_best_is_taken() -> None:
    reader = Reader()
    reader.read("", "one " + LONG)
    reader.read("", "two " + LONG)
    assert reader.read("", f"one {LONG} and") == 4 + len(LONG)
    assert reader.read("", f"two {LONG} and") == 4 + len(LONG)
    assert len(reader.contexts) == 2


def test_what_is_over_is_freed() -> None:
    reader = Reader()
    reader.read("a", LONG)
    context, _ = reader.take("a", LONG + "!", None)
    reader.take("a", "something else")
    reader.contexts.forget("a")
    reader.contexts.sweep()
    assert len(reader.contexts) == 2, "those in use"
    reader.contexts.give_back(context)
    reader.contexts.sweep()
    assert len(reader.contexts) == 1
    reader.contexts.clear()
    assert reader.contexts.tokens == 0


def test_what_broke_is_not_used_again() -> None:
    reader = Reader(Lists(can_copy=False))
    context, _ = reader.take("a", LONG)
    reader.contexts.give_back(context, broken=True)
    assert reader.read("a", LONG) == 0


def test_the_memory_is_bounded() -> None:
    """Who was not heard of for the longest time goes first; what is in use stays."""
    reader = Reader(most_tokens=100)
    context, _ = reader.take("a", "a" + LONG)
    for name in "bcd":
        reader.read(name, name + LONG)
    assert reader.contexts.tokens <= 100
    reader.contexts.give_back(context)
    assert reader.read("d", "d" + LONG) == len(LONG) + 1
    assert reader.read("a", "a" + LONG) == len(LONG) + 1
    assert reader.read("b", "b" + LONG) == 0


def test_a_cache_that_cannot_be_cut_or_copied_is_read_anew() -> None:
    reader = Reader(Lists(can_cut=False, can_copy=False))
    reader.read("a", LONG)
    assert reader.read("a", LONG + "!") == len(LONG)
    assert reader.read("a", LONG[:30]) == 0
    assert len(reader.contexts) == 1
