"""The writing of a listening brain: one run at a time, what it says as spans, each the brain of one reply."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import structlog

from antiphon.core.settings import ReplySettings
from antiphon.core.speech import TextDelta, ToolCallDelta
from antiphon.core.writing import Call, Event, Said, SpeakBegan, SpeakEnded, Stopped, Thought
from antiphon.errors import EngineError
from antiphon.ids import IdSource
from antiphon.session.listening import ListeningBrain
from antiphon.session.span import Span, Standing

log = structlog.get_logger(__name__)

_WORDS_TO_FINISH = 20
"""What is being said when the user's words come is written to the end of its sentence, and no further than this."""


class WriterHost:
    """What a writer needs of who uses it. Plain callables."""

    __slots__ = ("failed", "idle", "stop", "thought", "wish")

    def __init__(
        self,
        wish: Callable[[Span], None],
        stop: Callable[[], None],
        thought: Callable[[str], None],
        failed: Callable[[EngineError], None],
        idle: Callable[[], None],
    ) -> None:
        """``wish``: a span has its first words. ``stop``: its speech is to stop. ``idle``: what it did is over."""
        self.wish = wish
        self.stop = stop
        self.thought = thought
        self.failed = failed
        self.idle = idle


class Writer:
    """Writes and reads ahead, one task at a time. Its state changes only between two awaits."""

    def __init__(self, brain: ListeningBrain, ids: IdSource, group: asyncio.TaskGroup, host: WriterHost) -> None:
        self._brain = brain
        self._ids = ids
        self._group = group
        self._host = host
        self._task: asyncio.Task[None] | None = None
        self._reply = ReplySettings()
        """Those of the run."""
        self._words_to_go: int | None = None
        """So many more words of what is being said; None while nobody speaks against it."""
        self.room = asyncio.Event()
        """Another span may begin."""
        self.room.set()
        self.writes = False
        self.run = 0
        """Counts the runs."""
        self.span: Span | None = None
        """What is being said."""

    @property
    def busy(self) -> bool:
        return self._task is not None

    def read(self, reply: ReplySettings) -> None:
        """Has the brain read ahead."""
        self._task = self._group.create_task(self._read(reply))

    def write(self, reply: ReplySettings) -> None:
        """Begins a run."""
        self.run += 1
        self._reply = reply
        self.writes = True
        self._words_to_go = None
        self._brain.mind.begin()
        self._task = self._group.create_task(self._write(reply))

    def break_off(self) -> None:
        """Ends the run now. What was begun and has no words yet was not written."""
        if not self.writes:
            return
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._close()

    def break_soon(self) -> None:
        """Ends the run where its sentence ends: the user says something meanwhile."""
        if self._words_to_go is None:
            self._words_to_go = _WORDS_TO_FINISH

    def close(self) -> None:
        """Ends all work."""
        self.break_off()
        if self._task is not None:
            self._task.cancel()

    async def _read(self, reply: ReplySettings) -> None:
        try:
            await self._brain.read(reply)
        except EngineError as error:
            log.warning("a brain could not read ahead", error=str(error))
        except Exception:
            log.exception("a brain failed at reading ahead")
        self._task = None
        self._host.idle()

    async def _write(self, reply: ReplySettings) -> None:
        try:
            async with aclosing(self._brain.write(reply)) as events:
                if await self._take_all(events):
                    self._brain.ended()
        except EngineError as error:
            self._fail(error)
        except Exception:
            log.exception("a listening brain failed")
            self._fail(EngineError("The server failed to make the reply."))
        self._task = None
        self._close()
        self._host.idle()

    async def _take_all(self, events: AsyncGenerator[Event]) -> bool:
        """Whether it was written to its end."""
        async for event in events:
            await self._take(event)
            if self._is_finished(event):
                return False
        return True

    async def _take(self, event: Event) -> None:
        mind = self._brain.mind
        match event:
            case SpeakBegan():
                await self.room.wait()
                self.span = self.make_span()
                mind.write(event, self.span.id)
            case Said(text):
                span = self._current()
                mind.write(event, span.id)
                span.heard_words = self._brain.heard_words
                if span.standing is Standing.UNTOLD and text.strip():
                    self._host.wish(span)
                await span.say(TextDelta(text))
            case SpeakEnded():
                self._end_span(event)
            case Call():
                await self._call(event)
            case Stopped():
                mind.write(event)
                self._host.stop()
            case Thought(text):
                mind.write(event)
                self._host.thought(text)
            case _:
                mind.write(event)

    def make_span(self) -> Span:
        """Something that is about to be said."""
        return Span(self._ids.reply(), self.run, self._brain.policy.written, self._brain.name(self._reply))

    def _current(self) -> Span:
        assert self.span is not None  # what is said is said between a beginning and an end
        return self.span

    async def _call(self, call: Call) -> None:
        """A function is called in the reply that is being made, else in one of its own."""
        call_id = call.call_id or self._ids.call()
        span = self.span
        if span is None:
            await self.room.wait()
            span = self.make_span()
        self._brain.mind.write(replace(call, call_id=call_id), span.id)
        if span.standing is Standing.UNTOLD:
            self._host.wish(span)
        await span.say(ToolCallDelta(call_id, call.name, call.arguments))
        if span is not self.span:
            span.end("tool_calls")

    def _end_span(self, ended: SpeakEnded) -> None:
        span, self.span = self._current(), None
        self._brain.mind.write(ended, span.id)
        span.end()
        if span.standing is Standing.UNTOLD:
            self._brain.mind.cut(span.id, "")

    def _is_finished(self, event: Event) -> bool:
        """The sentence is over in which the user spoke."""
        if self._words_to_go is None or not isinstance(event, Said):
            return self._words_to_go is not None and self.span is None
        self._words_to_go -= len(event.text.split())
        return self._words_to_go <= 0 or event.text.rstrip().endswith((".", "!", "?", "。", "！", "？"))

    def _fail(self, error: EngineError) -> None:
        if self.span is not None and self.span.standing is not Standing.UNTOLD:
            self.span.fail(error)
        else:
            self._host.failed(error)

    def _close(self) -> None:
        """The run is over, wherever it stands."""
        self.writes = False
        for event in self._brain.break_off():
            if isinstance(event, SpeakEnded) and self.span is not None:
                self._end_span(event)
        self._brain.mind.end()
