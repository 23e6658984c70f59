"""One answer, or one piece of reading, on a model in this process: steps between which others have their turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from antiphon.core.speech import BrainRequest
from antiphon.engines.chat_prompt import ChatPrompt
from antiphon.engines.contexts import CachedModel, Context, Contexts, User
from antiphon.engines.sampling import Sampling
from antiphon.engines.token_tape import Tokens
from antiphon.errors import EngineError

CHECKED_TOKENS = 16
"""So many of an earlier draft are read at a time, in the hope that they are written again."""
AHEAD_TOKENS = 64
"""So many are written before somebody has to take them."""
ANSWER_TOKENS = 1024
"""Where nobody says how long an answer may be: some minutes of speech."""

Steps = Generator[None, None, None]


@dataclass(slots=True)
class TokenCount:
    """``read`` counts those that had to be read, ``cached`` those of prompts that had been read before."""

    read: int = 0
    cached: int = 0
    written: int = 0

    def add(self, other: TokenCount) -> None:
        self.read += other.read
        self.cached += other.cached
        self.written += other.written


@dataclass(frozen=True, slots=True)
class Mind:
    """What all answers of a model share. ``tokenizer`` is one of transformers, ``most_tokens`` that of a context."""

    model: CachedModel
    tokenizer: Any
    prompt: ChatPrompt
    contexts: Contexts
    sampling: Sampling
    most_tokens: int


class CachedAnswer:
    """Made for one request. Whoever made it calls ``give_back`` after the last step."""

    def __init__(self, mind: Mind, session: str, request: BrainRequest, user: User) -> None:
        self.user = user
        self.count = TokenCount()
        self.reason = ""
        """Empty until the end is written: ``stop`` or ``length``."""
        self._context: Context | None = None
        self._broken = False
        self._mind = mind
        self._session = session
        self._request = request
        self._scores: Any = None
        self._token: int | None = None
        self._text = ""
        from tokenizers.decoders import DecodeStream

        self._decoder = DecodeStream(skip_special_tokens=True)
        self._random = np.random.default_rng()
        self._most = 0
        self._draft: deque[int] = deque()
        """What was written when less was heard, from where this answer is now; empty where it has come to differ."""
        self._checked: deque[tuple[int, Any]] = deque()
        """What of it the model has read ahead, with the scores behind each."""

    def read(self) -> Steps:
        """Reads what stays of the prompt when more is said."""
        tokens = self._mind.prompt.to_read(self._request)
        yield
        yield from self._read(tokens, len(tokens))

    def write(self, emit: Callable[[str], None]) -> Steps:
        """The next tokens of the answer, up to ``AHEAD_TOKENS``; the first time, the prompt is read before them.

        ``emit`` is given each piece of text in the moment in which it is known.
        """
        if self._context is None:
            yield from self._begin(emit)
        for _ in range(AHEAD_TOKENS):
            if self.user.stop.is_set() or self.reason:
                return
            if self._token is not None:
                self._take_in()
            token = self._mind.sampling.choose(self._scores, self._random)
            if token in self._mind.model.stop_tokens:
                self.reason = "stop"
                return
            self._token = token
            self._text = self._decoder.step(self._mind.tokenizer.backend_tokenizer, token) or ""
            self.count.written += 1
            if self._text:
                emit(self._text)
            if self.count.written >= self._most:
                self.reason = "length"
                return
            yield

    def give_back(self) -> None:
        """What was read stays for the next one."""
        context, self._context = self._context, None
        if context is not None:
            context.beyond = len(self._checked)
            if rest := [*(token for token, _ in self._checked), *self._draft]:
                context.draft = rest if self._token in (None, rest[0]) else []
            self._mind.contexts.give_back(context, broken=self._broken)

    def _begin(self, emit: Callable[[str], None]) -> Steps:
        tokens, begun = self._mind.prompt.to_answer(self._request)
        room = self._mind.most_tokens - len(tokens)
        if room <= 0:
            raise EngineError(
                f"what the model must be told takes {len(tokens)} tokens of {self._mind.most_tokens} in its context: "
                "shorten the instructions or the functions, or give it more with context=TOKENS"
            )
        self._most = max(1, min(self._request.max_output_tokens or ANSWER_TOKENS, room))
        yield
        yield from self._read(tokens, len(tokens) - 1)
        if self._context is not None and self._mind.model.can_check:
            self._draft.extend(self._context.draft)
            self._context.draft = []
        if begun:
            emit(begun)

    def _read(self, tokens: Tokens, most: int) -> Steps:
        context, known = yield from self._mind.contexts.take(self._session, tokens, most, self.user)
        self._context = context
        self.count.cached = known
        size = self._mind.model.chunk_tokens
        for start in range(known, len(tokens), size):
            if self.user.stop.is_set():
                return
            stop = min(start + size, len(tokens))
            self._scores = self._run(context, list(tokens.ids[start:stop]))
            context.tape.read(tokens, start, stop)
            self.count.read += stop - start
            yield

    def _take_in(self) -> None:
        """The model reads what it wrote last, which nobody took back.

        Where it wrote the same when it knew less of the user's words, it reads in one go what it wrote then. Each
        token is chosen as ever, from the scores behind those before it: what is written is what would be written
        without, and sampled as it would be, but for the arithmetic of a longer pass.
        """
        context, token = self._context, self._token
        assert context is not None
        assert token is not None
        if self._checked:
            expected, scores = self._checked.popleft()
            if expected == token:
                self._scores = scores
                context.tape.wrote(token, self._text)
                return
            self._leave_draft(context)
        scores = self._run_all(context, [token, *self._next_of_draft(token)])
        self._scores = scores[0]
        self._checked.extend(zip(tuple(self._draft)[: len(scores) - 1], scores[1:], strict=True))
        for _ in self._checked:
            self._draft.popleft()
        context.tape.wrote(token, self._text)

    def _next_of_draft(self, token: int) -> list[int]:
        """What followed on ``token``, if that is how the draft goes on."""
        if not self._draft or self._draft.popleft() != token:
            self._draft.clear()
        return list(islice(self._draft, CHECKED_TOKENS))

    def _leave_draft(self, context: Context) -> None:
        """It writes something else now. Takes back what was read of the draft."""
        if not self._mind.model.cut(context.cache, len(context.tape), 1 + len(self._checked)):
            self._broken = True
            raise EngineError("the model could not take back what it has read")
        self._checked.clear()
        self._draft.clear()

    def _run_all(self, context: Context, tokens: list[int]) -> Any:
        """The scores behind each of them."""
        if len(tokens) == 1:
            return [self._run(context, tokens)]
        try:
            return self._mind.model.check(context.cache, tokens)
        except BaseException:
            self._broken = True
            raise

    def _run(self, context: Context, tokens: list[int]) -> Any:
        try:
            return self._mind.model.read(context.cache, tokens)
        except BaseException:
            self._broken = True
            raise
