"""Which voice says what of a reply: one stream of the synthesizer for each run of clauses in the same voice.

A clause is handed over when all audio of the one before it was taken, so that a change of voice counts from the next
clause that is not being made yet. A voice that fails at the moment is stood in for by another, from the first word that
was not said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing

import structlog

from antiphon.core.clauses import Clause
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import Synthesizer, VoiceInfo
from antiphon.errors import EngineError
from antiphon.session.narration import Narration
from antiphon.session.prompter import Prompter

log = structlog.get_logger(__name__)

_MAX_STAND_INS = 2
"""So many other voices are tried in one reply; when they fail as well it is not the voices that are at fault."""


def stand_in(name: str, voices: Sequence[VoiceInfo], failed: frozenset[str]) -> str | None:
    """The voice to go on with when ``name`` has failed: of its language, if there is one, and of an engine that works.

    ``failed`` are those that may not be chosen. None when no other is left.
    """
    if not voices:
        return None
    given = next((voice for voice in voices if voice.name == name), voices[0])
    out_of = failed | {name, given.name}
    broken = {each.partition(":")[0] for each in out_of}

    def distance(voice: VoiceInfo) -> tuple[bool, bool, bool]:
        return (
            voice.language.partition("-")[0] != given.language.partition("-")[0],
            voice.name.partition(":")[0] in broken,
            voice.language != given.language,
        )

    left = [voice for voice in voices if voice.name not in out_of]
    return min(left, key=distance).name if left else None


class VoiceRuns:
    """The voices of one reply. ``voice`` may be set at any time: it speaks from the next clause on."""

    def __init__(
        self,
        synthesizer: Synthesizer,
        voice: Voice,
        narration: Narration,
        prompter: Prompter,
        next_clause: Callable[[], Awaitable[Clause | None]],
        unsaid: Callable[[], list[str]],
    ) -> None:
        """``next_clause`` waits for the next one, None after the last; cancelling it loses none.

        ``unsaid`` is called when a voice has failed, and returns what is to be said anew.
        """
        self.voice = voice
        self._synthesizer = synthesizer
        self._narration = narration
        self._prompter = prompter
        self._next_clause = next_clause
        self._unsaid = unsaid
        self._waiting: Clause | None = None
        """Taken from the reply, and for the next run."""
        self._again: deque[str] = deque()
        self._taken = asyncio.Event()
        """The audio of the clause that was handed over last has come to its end."""
        self._failed: frozenset[str] = frozenset()
        self._ended = False

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        """The audio of all clauses, in order. The next chunk is asked for when the last one was dealt with.

        Raises EngineError when no voice is left that could go on.
        """
        while not self._ended or self._again:
            voice = self._current()
            try:
                async with (
                    aclosing(self._run(voice)) as text,
                    aclosing(self._synthesizer.speak(text, voice)) as chunks,
                ):
                    async for chunk in chunks:
                        yield chunk
                        if chunk.last:
                            self._taken.set()
            except EngineError as error:
                self._give_up_on(voice, error)

    def _current(self) -> Voice:
        name = self.voice.name
        if name in self._failed:
            name = stand_in(name, self._synthesizer.voices, self._failed) or name
        return Voice(name, self.voice.speed)

    async def _run(self, voice: Voice) -> AsyncGenerator[str]:
        """What ``voice`` has to say, until another is wanted or the reply is over."""
        while (text := await self._text(voice)) is not None:
            self._taken.clear()
            yield text
            await self._taken.wait()

    async def _text(self, voice: Voice) -> str | None:
        if self._again:
            self._prompter.voice(voice.name)
            return self._again.popleft()
        while not self._ended:
            if self._waiting is None:
                self._waiting = await self._next_clause()
            if self._waiting is None:
                self._ended = True
            elif self._current() != voice:
                break
            else:
                clause, self._waiting = self._waiting, None
                self._narration.add(clause)
                self._prompter.voice(voice.name)
                self._prompter.clause(clause.source)
                if clause.spoken:
                    return clause.spoken
        return None

    def _give_up_on(self, voice: Voice, error: EngineError) -> None:
        self._failed |= {voice.name}
        other = self._current().name
        if not error.retryable or other in self._failed or len(self._failed) > _MAX_STAND_INS:
            raise error
        log.warning("a voice failed and another goes on", voice=voice.name, by=other, reason=str(error))
        self._again = deque(self._unsaid())
