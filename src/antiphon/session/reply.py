"""The making of one reply: brain to clauses, clauses to voice, voice to speaker.

A reply may be prepared before it is wanted. Until ``commit`` nothing of it leaves: the first clause waits as audio, and
the brain's text and calls wait behind it. Discarding it is cancelling its task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

import structlog

from antiphon.core.actions import CancelReason
from antiphon.core.clauses import Clause
from antiphon.core.events import Outcome
from antiphon.core.settings import ReplySettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import AudioChunk, BrainRequest, Finish, Message, TextDelta, ToolCallDelta, Voice
from antiphon.core.spoken import pauses_at
from antiphon.engines.base import Brain
from antiphon.engines.optional import answering
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ReplyId
from antiphon.session.clause_queue import ClauseQueue
from antiphon.session.given_text import GivenText
from antiphon.session.marks import Marks
from antiphon.session.narration import Narration
from antiphon.session.prompter import Prompter
from antiphon.session.reply_context import Messages
from antiphon.session.reply_host import ReplyHost
from antiphon.session.speaker import Speaker
from antiphon.session.speech_source import SpeechSource
from antiphon.session.telling import Telling
from antiphon.session.voice_runs import VoiceRuns
from antiphon.transport.base import Outlet

log = structlog.get_logger(__name__)


class Reply:
    """One reply. ``run`` is a task of the session; all else is called from its loop."""

    def __init__(
        self,
        reply: ReplyId,
        settings: ReplySettings,
        messages: Messages,
        brain: Brain,
        speech: SpeechSource,
        outlet: Outlet,
        host: ReplyHost,
        ids: IdSource,
        make_speaker: Callable[[Reply], Speaker],
        paced: bool,
        ahead: Ahead,
    ) -> None:
        """``ahead``: how much of it may be made before it is committed."""
        self.id = reply
        self.marks = Marks()
        self._settings = settings
        self._messages = messages
        self._brain = brain
        self._speech = speech
        self._host = host
        self._paced = paced
        self._ahead = ahead
        self._loop = asyncio.get_running_loop()
        self._committed = asyncio.Event()
        self.request: BrainRequest | None = None
        """What the language model is asked, once it is."""
        self._model: str | None = None
        """The language model that answers, once it was asked."""
        self._clauses = ClauseQueue(self._committed, ahead)
        self._held: list[AudioChunk] = []
        self._narration = Narration()
        self.told = Telling(reply, outlet, host, ids, self._narration, audio=settings.audio)
        self._prompter = Prompter(self.told.voice, self.told.clause)
        self.finish = Finish()
        """What it told at its end."""
        self._error: str | None = None
        self._outcome = Outcome.COMPLETED
        self._leave: Callable[[], None] | None = None
        """Called at the next pause, once."""
        self.speaker = make_speaker(self)
        self._runs = VoiceRuns(
            speech,
            settings,
            self._narration,
            self._prompter,
            self._clauses,
            self.marks,
            self._unsaid,
            self.speaker.ahead_s,
        )

    # The session's side.

    def commit(self) -> None:
        """It is wanted: what was prepared is let out, in this very moment."""
        self.marks.wanted_at = self._loop.time()
        self._committed.set()
        self.told.begin(self._model)
        self._prompter.let_out()
        held, self._held = self._held, []
        for chunk in held:
            self._deliver(chunk)

    def change_voice(self, voice: Voice) -> None:
        """From the next clause on."""
        self._runs.voice = voice

    def leave_at_pause(self, leave: Callable[[], None]) -> None:
        """Has ``leave`` called where the clause that sounds is over, if another one follows."""
        self._leave = leave

    def conclude(self) -> None:
        """Tells its end to the client, after all else of it was told."""
        self.told.conclude(self._outcome, self._error, self.finish)

    def cancel(self, reason: CancelReason) -> None:
        """Ends it now and cuts its item to what was heard. Its task is the session's to cancel."""
        self.told.cut = True
        self.told.cancel(reason, self.speaker.stop())

    # The work.

    async def run(self) -> None:
        try:
            await self._make()
        except* EngineError as group:
            self._fail(str(group.exceptions[0]))
        except* Exception as group:
            log.exception("a reply failed", exc_info=group)
            self._fail("The server failed to make the reply.")
        await self._committed.wait()
        self.speaker.finish()
        self._host.made(self.id, self._outcome, self._settings.audio and self._narration.samples > 0)

    def _fail(self, message: str) -> None:
        self._outcome = Outcome.FAILED
        self._error = message

    async def _make(self) -> None:
        if self._ahead is Ahead.NOTHING:
            await self._committed.wait()
        messages = await self._messages()
        if self._settings.instructions:
            messages = (Message("system", self._settings.instructions), *messages)
        request = BrainRequest(
            messages,
            self._settings.tools,
            self._settings.tool_choice,
            self._settings.max_output_tokens,
            self._settings.model,
        )
        self.request = request
        async with asyncio.TaskGroup() as group:
            if self._settings.audio:
                group.create_task(self._speak())
            group.create_task(self._think(request))

    async def _think(self, request: BrainRequest) -> None:
        clauses = self._speech.clauses(self._settings)
        spoke = False
        self.marks.brain_started_at = self._loop.time()
        if not isinstance(self._brain, GivenText):
            self._model = answering(self._brain, request.model)
        if self._committed.is_set() and self._model is not None:
            self.told.brain(self._model)
        try:
            async with aclosing(self._brain.respond(request)) as deltas:
                async for delta in deltas:
                    self.marks.brain_at = self.marks.brain_at or self._loop.time()
                    self.marks.tokens += not isinstance(delta, Finish)
                    match delta:
                        case TextDelta(text) if self._settings.audio:
                            spoke = True
                            await self._say(clauses.push(text))
                        case TextDelta(text):
                            await self._write(text)
                        case ToolCallDelta():
                            await self._say(clauses.finish())
                            clauses = self._speech.clauses(self._settings)
                            await self._call(delta, after_speech=spoke)
                        case Finish():
                            self.finish = delta
                            self.marks.brain_done_at = self._loop.time()
                            self.marks.tokens = delta.output_tokens or self.marks.tokens
        except EngineError:
            self._host.failed("llm")
            raise
        if self.finish.reason == "length":
            self._outcome = Outcome.INCOMPLETE
        await self._say([*clauses.finish(), None])

    async def _say(self, clauses: Sequence[Clause | None]) -> None:
        for clause in clauses:
            if clause is not None and clause.spoken:
                self.marks.clause_at = self.marks.clause_at or self._loop.time()
            await self._clauses.put(clause)

    async def _write(self, text: str) -> None:
        """Text of a reply that is not spoken."""
        await self._committed.wait()
        self.told.text(text)

    async def _call(self, delta: ToolCallDelta, *, after_speech: bool) -> None:
        await self._committed.wait()
        self.told.call(delta, after_speech=after_speech)

    async def _speak(self) -> None:
        try:
            async with aclosing(self._runs.chunks()) as chunks:
                async for chunk in chunks:
                    self.marks.voice_at = self.marks.voice_at or self._loop.time()
                    if not self._committed.is_set():
                        self._hold(chunk)
                        continue
                    await self.speaker.room()
                    self._deliver(chunk)
        except EngineError:
            self._host.failed("tts")
            raise

    def _hold(self, chunk: AudioChunk) -> None:
        """Audio of a reply that is only prepared."""
        self._held.append(chunk)
        self.marks.ahead_samples += len(chunk.pcm) // 2
        if chunk.last:
            self.marks.voice_done_at = self._loop.time()

    def _unsaid(self) -> list[str]:
        """A voice has failed. What was only prepared is prepared anew; else the next goes on behind what was said."""
        self._host.failed("tts")
        self._held.clear()
        return self._narration.break_off()

    # What leaves.

    def _deliver(self, chunk: AudioChunk) -> None:
        """A chunk of audio to the speaker, and its words to the item."""
        if self.told.cut:
            return
        self._narration.take(chunk)
        if not self._paced:
            self.told.words(self._narration.tell_begun())
        self.speaker.push(chunk.pcm)

    def send(self, pcm: bytes, plays_at: float) -> None:
        self.told.audio(pcm)
        if self.marks.sent(pcm, plays_at):
            self._host.sounded(self.id)

    def audible(self) -> None:
        self._host.audible(self.id)

    def reached(self, heard_ms: float) -> None:
        self.told.reached(heard_ms)
        if self._leave is not None and pauses_at(self._narration.timeline(), heard_ms):
            leave, self._leave = self._leave, None
            leave()

    def drained(self) -> None:
        self._host.drained(self.id)
