"""The making of one reply: brain to clauses, clauses to voice, voice to speaker.

A reply may be prepared before it is wanted. Until ``commit`` nothing of it leaves: the first clause waits as audio, and
the brain's text and calls wait behind it. Discarding it is cancelling its task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing

import structlog

from antiphon.core.actions import CancelReason
from antiphon.core.clauses import Clause
from antiphon.core.conversation import Item
from antiphon.core.events import Outcome
from antiphon.core.settings import ReplySettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import AudioChunk, BrainRequest, Finish, Message, TextDelta, ToolCallDelta, Voice
from antiphon.core.spoken import pauses_at
from antiphon.engines.base import Brain, answering
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ItemId, ReplyId
from antiphon.session.clause_queue import ClauseQueue
from antiphon.session.given_text import GivenText
from antiphon.session.marks import Answered, Marks
from antiphon.session.narration import Narration
from antiphon.session.prompter import Prompter
from antiphon.session.reply_host import ReplyHost
from antiphon.session.speaker import Speaker
from antiphon.session.speech_source import SpeechSource
from antiphon.session.voice_runs import VoiceRuns
from antiphon.transport.base import Outlet

log = structlog.get_logger(__name__)


class Reply:
    """One reply. ``run`` is a task of the session; all else is called from its loop."""

    def __init__(
        self,
        reply: ReplyId,
        settings: ReplySettings,
        messages: Callable[[], Awaitable[tuple[Message, ...]]],
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
        self.answers: Answered | None = None
        """The turn that it answers."""
        self.asked = False
        """The client asked for it."""
        self.item: Item | None = None
        self._message: ItemId | None = None
        self._settings = settings
        self._messages = messages
        self._brain = brain
        self._speech = speech
        self._outlet = outlet
        self._host = host
        self._ids = ids
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
        self._prompter = Prompter(self._tell_voice, self._tell_clause)
        self._calls: dict[str, Item] = {}
        self._untold_calls: list[ToolCallDelta] = []
        self.finish = Finish()
        """What it told at its end."""
        self._error: str | None = None
        self._outcome = Outcome.COMPLETED
        self._leave: Callable[[], None] | None = None
        """Called at the next pause, once."""
        self.done = False
        self._cut = False
        """It was cancelled. Its tasks end a moment later: what they still bring is not told."""
        self.plays = False
        """Frames of it leave on the server's clock, and its first has left."""
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
        self._outlet.reply_created(self.id)
        if self._model is not None:
            self._outlet.brain(self.id, self._model)
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
        if self.done:
            return
        self.done = True
        if self._outcome is not Outcome.FAILED:
            self._tell_transcript(self._narration.tell_all())
        for delta in self._untold_calls:
            self._tell_call(delta)
        self.refresh_item()
        if self.item is not None:
            if self._outcome is Outcome.FAILED and self._settings.audio:
                self.item.heard_ms = self._narration.audio_ms  # the rest was never spoken
            self.item.status = "completed" if self._outcome is Outcome.COMPLETED else "incomplete"
        for call in self._calls.values():
            call.status = "completed"
        reason = "max_output_tokens" if self._outcome is Outcome.INCOMPLETE else None
        self._outlet.reply_done(
            self.id,
            self._outcome.value,
            reason,
            error=self._error,
            input_tokens=self.finish.input_tokens,
            output_tokens=self.finish.output_tokens,
        )
        if self.plays:
            self.plays = False
            self._outlet.playout_stopped(self.id)

    def cancel(self, reason: CancelReason) -> None:
        """Ends it now and cuts its item to what was heard. Its task is the session's to cancel."""
        self._cut = True
        heard_ms = self.speaker.stop()
        self.refresh_item()
        if self.item is not None:
            if self._settings.audio and not (self.done and heard_ms >= self.item.audio_ms):
                self.item.heard_ms = heard_ms
            if not self.done:
                self.item.status = "incomplete"
        if not self.done:
            self.done = True
            told = "client_cancelled" if reason is CancelReason.CLIENT_CANCELLED else "turn_detected"
            self._outlet.reply_done(self.id, "cancelled", told)
        if self.plays:
            self.plays = False
            self._outlet.playout_cut(self.id, self._message_id(), round(heard_ms))

    def refresh_item(self) -> None:
        """Brings the item up to date with what was spoken; it is costly, so only done when somebody will read it."""
        if self.item is not None and self._settings.audio:
            self.item.text = self._narration.text
            self.item.spoken = self._narration.timeline()

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
            self._outlet.brain(self.id, self._model)
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
        if self._cut:
            return
        item = self._message_item()
        item.text += text
        self._outlet.reply_text(self.id, item.id, text)

    async def _call(self, delta: ToolCallDelta, *, after_speech: bool) -> None:
        """A call is told at once, or after the speech that came before it."""
        await self._committed.wait()
        if self._cut:
            return
        if after_speech:
            self._untold_calls.append(delta)
        else:
            self._tell_call(delta)

    def _tell_call(self, delta: ToolCallDelta) -> None:
        item = self._calls.get(delta.call_id)
        if item is None:
            item = Item(self._ids.item(), "function_call", status="in_progress", call_id=delta.call_id, name=delta.name)
            self._calls[delta.call_id] = item
            self._host.add_item(item)
        item.arguments += delta.arguments
        self._outlet.reply_call(self.id, item.id, delta.call_id, item.name or "", delta.arguments)

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

    def _message_id(self) -> ItemId:
        """The item's, which may not be there yet: a client is told of it before it hears it."""
        self._message = self._message or self._ids.item()
        return self._message

    def _message_item(self) -> Item:
        if self.item is None:
            self.item = Item(
                self._message_id(), "message", "assistant", status="in_progress", audio=self._settings.audio
            )
            self._host.add_item(self.item)
        return self.item

    # What leaves.

    def _deliver(self, chunk: AudioChunk) -> None:
        """A chunk of audio to the speaker, and its words to the item."""
        if self._cut:
            return
        self._narration.take(chunk)
        if not self._paced:
            self._tell_transcript(self._narration.tell_begun())
        self.speaker.push(chunk.pcm)

    def _tell_voice(self, name: str) -> None:
        if not self._cut:
            self._outlet.voice(self.id, self._message_id(), name)

    def _tell_clause(self, text: str) -> None:
        if not self._cut:
            self._outlet.clause(self.id, self._message_id(), text)

    def _tell_transcript(self, text: str) -> None:
        if text:
            self._outlet.reply_transcript(self.id, self._message_item().id, text)

    def send(self, pcm: bytes, plays_at: float) -> None:
        self._outlet.reply_audio(self.id, self._message_item().id, pcm)
        if self.marks.sent(pcm, plays_at):
            self._host.sounded(self.id)

    def audible(self) -> None:
        self._host.audible(self.id)

    def reached(self, heard_ms: float) -> None:
        self._tell_transcript(self._narration.tell_until(heard_ms))
        if not self.plays:
            self._tell_transcript(self._narration.tell_first())  # the protocol has words before sound
            self.plays = True
            self._outlet.playout_started(self.id)
        if self._leave is not None and pauses_at(self._narration.timeline(), heard_ms):
            leave, self._leave = self._leave, None
            leave()

    def drained(self) -> None:
        self._host.drained(self.id)
