"""Which voice says what of a reply: one stream of the synthesizer for each run of clauses in the same voice.

A clause is handed over when all audio of the one before it was taken, so that a change of voice counts from the next
clause that is not being made yet; where the voice would be late with it, up to two more are begun beside. A voice that
fails at the moment is stood in for by another, from the first word that was not said.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

import structlog

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.clauses import Clause
from antiphon.core.pieces import CHARS_PER_S, longest_chars, patience_s
from antiphon.core.settings import ReplySettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import AudioChunk, Voice
from antiphon.core.voice_pace import VoicePace
from antiphon.engines.base import VoiceInfo
from antiphon.errors import EngineError
from antiphon.session.clause_pool import ClausePool, UnspokenError
from antiphon.session.clause_queue import ClauseQueue
from antiphon.session.marks import Marks
from antiphon.session.narration import Narration
from antiphon.session.prompter import Prompter
from antiphon.session.speech_source import SpeechSource

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
        source: SpeechSource,
        settings: ReplySettings,
        narration: Narration,
        prompter: Prompter,
        clauses: ClauseQueue,
        marks: Marks,
        unsaid: Callable[[], list[str]],
        buffered_s: Callable[[], float],
    ) -> None:
        """``unsaid`` is called when a voice has failed, and returns what is to be said anew.

        ``buffered_s`` says how much audio waits to be played.
        """
        self.voice = Voice(settings.voice, settings.speed)
        self._source = source
        self._settings = settings.speech
        self._narration = narration
        self._prompter = prompter
        self._clauses = clauses
        self._marks = marks
        self._unsaid = unsaid
        self._buffered_s = buffered_s
        self._loop = asyncio.get_running_loop()
        self._pool = ClausePool(source.synthesizer)
        self._waiting: Clause | None = None
        """Taken from the reply, and for the next run."""
        self._again: deque[str] = deque()
        self._taken = asyncio.Event()
        """The audio of the clause that was handed over last has come to its end."""
        self._failed: frozenset[str] = frozenset()
        self._ended = False
        self._begun = False
        self._left_chars = 0.0
        """Of the clause that is spoken, about so many are still to come."""

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        """The audio of all clauses, in order. The next chunk is asked for when the last one was dealt with.

        Raises EngineError when no voice is left that could go on.
        """
        try:
            while not self._ended or self._again:
                voice = self._current()
                try:
                    async with aclosing(self._run(voice)) as text, aclosing(self._spoken(text, voice)) as chunks:
                        async for chunk in chunks:
                            yield chunk
                except UnspokenError as error:
                    self._again.extend(error.texts)
                except EngineError as error:
                    await self._pool.close()
                    self._give_up_on(voice, error)
        finally:
            await self._pool.close()

    def _current(self) -> Voice:
        name = self.voice.name
        if name in self._failed:
            name = stand_in(name, self._source.synthesizer.voices, self._failed) or name
        return Voice(name, self.voice.speed)

    async def _spoken(self, text: AsyncGenerator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        """What ``voice`` makes of the text, and after each clause those that were begun beside it."""
        pace = self._source.pace(voice)
        opening, self._begun = not self._begun, True
        async with aclosing(self._source.speak(text, voice, opening=opening)) as chunks:
            async for chunk in chunks:
                self._left_chars = max(self._left_chars - len(chunk.pcm) / 2 / MOUTH_RATE_HZ * CHARS_PER_S, 0.0)
                self._speak_beside(voice, pace)
                yield chunk
                if chunk.last:
                    async with aclosing(self._pool.chunks()) as others:
                        async for other in others:
                            self._speak_beside(voice, pace)
                            yield other
                    self._taken.set()

    async def _run(self, voice: Voice) -> AsyncGenerator[str]:
        """What ``voice`` has to say, until another is wanted or the reply is over."""
        while (text := await self._text(voice)) is not None:
            self._taken.clear()
            self._left_chars = float(len(text))
            self._marks.voice_started_at = self._marks.voice_started_at or self._loop.time()
            yield text
            await self._taken.wait()

    async def _text(self, voice: Voice) -> str | None:
        if self._again:
            self._prompter.voice(voice.name)
            return self._again.popleft()
        while not self._ended:
            self._waiting = self._waiting or await self._clauses.get()
            if self._waiting is None:
                self._ended = True
                break
            self._waiting = await self._grown(self._waiting, voice)
            if self._current() != voice:
                break
            clause, self._waiting = self._waiting, None
            if spoken := self._hand_over(clause, voice):
                return spoken
        return None

    async def _grown(self, clause: Clause, voice: Voice) -> Clause:
        """With what comes after it, if there is time for that."""
        pace, buffered_s = self._source.pace(voice), self._buffered_s()
        limit_chars = longest_chars(buffered_s, pace.wait_per_s, self._settings.piece_chars)
        return await self._clauses.grown(clause, limit_chars, patience_s(buffered_s, pace.first_audio_s))

    def _hand_over(self, clause: Clause, voice: Voice) -> str:
        """The clause is said next; returns what there is to say of it."""
        self._narration.add(clause)
        self._prompter.voice(voice.name)
        self._prompter.clause(clause.source)
        return clause.spoken

    def _speak_beside(self, voice: Voice, pace: VoicePace) -> None:
        """Begins further clauses while one is spoken, where the voice would else be late and the server has room."""
        while self._may_speak_beside(voice) and len(self._pool) + 1 < self._streams(pace):
            clause = self._clauses.take()
            if clause is None:
                return
            if spoken := self._hand_over(clause, voice):
                self._pool.begin(spoken, voice)

    def _may_speak_beside(self, voice: Voice) -> bool:
        settled = self._waiting is None and not self._again and self._current() == voice
        return settled and self._source.room_ahead() is Ahead.VOICE

    def _streams(self, pace: VoicePace) -> int:
        return min(pace.streams(self._buffered_s(), round(self._left_chars)), self._settings.clauses_at_once)

    def _give_up_on(self, voice: Voice, error: EngineError) -> None:
        self._failed |= {voice.name}
        other = self._current().name
        if not error.retryable or other in self._failed or len(self._failed) > _MAX_STAND_INS:
            raise error
        log.warning("a voice failed and another goes on", voice=voice.name, by=other, reason=str(error))
        self._again = deque(self._unsaid())
