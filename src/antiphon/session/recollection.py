"""What a conversation's language model is given of it, and the notes that stand for what is older."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import structlog

from antiphon.core.conversation import Conversation
from antiphon.core.memory import Due, Memory, request_tokens
from antiphon.core.segments import Segment
from antiphon.core.speech import BrainRequest, Finish, Message, TextDelta
from antiphon.engines.base import Brain
from antiphon.engines.optional import answering
from antiphon.errors import EngineError

log = structlog.get_logger(__name__)

NOTES_LIMIT_S = 60.0
"""Notes that take longer are given up."""

_TOKENS_PER_WORD = 2
"""What the model may write at most, so that notes of unusual words are not broken off."""


class Recollection:
    """The memory of one session. Notes are made between replies; a reply never waits for them."""

    def __init__(
        self,
        conversation: Conversation,
        brain: Brain,
        memory: Memory | None,
        can_summarize: Callable[[str], bool],
        changed: Callable[[], None],
    ) -> None:
        """Without ``memory`` everything is given. ``can_summarize`` is asked of a language model by its name;
        ``changed`` is called when there are other notes.
        """
        self.memory = memory
        self._conversation = conversation
        self._brain = brain
        self._can_summarize = can_summarize
        self._changed = changed
        self._writing: asyncio.Task[None] | None = None

    def context(
        self, then: Sequence[Segment] = (), *, whole: bool = False, audio: bytes | None = None, hearing: bool = False
    ) -> tuple[Message, ...]:
        """All that the language model is given now, in order; the rest as in ``Conversation.context``.

        ``whole``: without any limit.
        """
        if self.memory is None or whole:
            return self._conversation.context(then, audio=audio, hearing=hearing)
        given = self.memory.given(self._conversation)
        said = self._conversation.context(then, given=given, audio=audio, hearing=hearing)
        return (*self.memory.preface, *said)

    def counted(self, request: BrainRequest, finish: Finish) -> None:
        """An answer has told what its request took."""
        if self.memory is not None:
            self.memory.counted(request_tokens(request), finish.input_tokens)

    def consider(self, group: asyncio.TaskGroup, model: str) -> None:
        """Begins notes if they are due and nobody writes them. ``model`` is the one that answers in this session."""
        if self.memory is None or self._writing is not None:
            return
        due = self.memory.due(self._conversation)
        if due is None:
            return
        if self._can_summarize(answering(self._brain, model)):
            self._writing = group.create_task(self._write(self.memory, due, model))
        else:
            self.memory.let_go(due)
            self._changed()

    def give_way(self) -> None:
        """A reply begins, which may need the same machine: notes under way are made later, from the beginning."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    async def _write(self, memory: Memory, due: Due, model: str) -> None:
        try:
            async with asyncio.timeout(NOTES_LIMIT_S):
                notes = await self._ask(memory, due, model)
        except (EngineError, TimeoutError) as error:
            log.warning("what is older was forgotten, since there are no notes of it", reason=str(error) or "too slow")
            notes = ""
        except Exception:
            log.exception("notes could not be made")
            notes = ""
        if notes.strip():
            memory.summarized(due, notes)
        else:
            memory.let_go(due)
        self._writing = None
        self._changed()

    async def _ask(self, memory: Memory, due: Due, model: str) -> str:
        limit = memory.words * _TOKENS_PER_WORD
        request = BrainRequest(due.request(memory.words), max_output_tokens=limit, model=model)
        async with aclosing(self._brain.respond(request)) as deltas:
            return "".join([delta.text async for delta in deltas if isinstance(delta, TextDelta)])
