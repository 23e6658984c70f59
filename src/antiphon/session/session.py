"""One conversation: an inbox, one loop, and the work that it sets going.

The loop takes one event or command, lets ``core.turns`` decide, applies all actions, and waits again: for the inbox or
for the one deadline. Nothing else changes the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from antiphon.core import actions as do
from antiphon.core import commands as ask
from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.commands import Command
from antiphon.core.conversation import Conversation
from antiphon.core.events import Event
from antiphon.core.memory import Memory
from antiphon.core.settings import SessionSettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech_memory import SpeechMemory
from antiphon.core.turns import Turns
from antiphon.engines.optional import hears_audio
from antiphon.engines.suite import Suite
from antiphon.errors import ProtocolError
from antiphon.ids import IdSource, TurnId
from antiphon.session.hearing import Hearing
from antiphon.session.identity import Identity, Speakers
from antiphon.session.inbox import Inbox
from antiphon.session.items import Items
from antiphon.session.keeping import Notebook
from antiphon.session.listener import Listener
from antiphon.session.listening import ListeningBrain
from antiphon.session.meter import Meter, NoMeter, NoRecorder, Recorder
from antiphon.session.pacer import Pacer
from antiphon.session.recollection import Recollection
from antiphon.session.replies import Replies
from antiphon.session.stopwatch import Stopwatch
from antiphon.session.transcripts import Transcripts
from antiphon.transport.base import Outlet


class Session:
    """One conversation with one client.

    ``run()`` is awaited by the transport; it returns when ``close()`` was called, and everything of the session is
    gone by then. ``hear``, ``post`` and ``close`` are called from the event loop and never block.
    """

    def __init__(
        self,
        suite: Suite,
        outlet: Outlet,
        settings: SessionSettings,
        *,
        ids: IdSource | None = None,
        meter: Meter | None = None,
        recorder: Recorder | None = None,
        pacer: Pacer | None = None,
        stay: AbstractContextManager[object] | None = None,
        room_ahead: Callable[[], Ahead] | None = None,
        speakers: Speakers | None = None,
        speech_memory: SpeechMemory | None = None,
        memory: Memory | None = None,
        can_summarize: Callable[[str], bool] = lambda model: True,
        notebook: Notebook | None = None,
    ) -> None:
        """``stay`` is entered for as long as the session runs. ``room_ahead`` says how much may be done ahead of the
        end of a turn at the moment; all, when it is not given. ``speakers``: tell those who speak to it apart.
        ``speech_memory``: of what was said before, here and elsewhere.

        ``memory`` says how much of a long conversation the language model is given; all without it. ``can_summarize``
        is asked of one by its name. The conversation begins with what the ``notebook`` has, and is written down there.
        """
        self.ids = ids or IdSource()
        self.conversation = Conversation()
        self._notebook = notebook
        if notebook is not None:
            notebook.open(self.conversation, memory)
        self._recollection = Recollection(self.conversation, suite.brain, memory, can_summarize, self._note_down)
        self._stay = stay or nullcontext()
        self._outlet = outlet
        self._suite = suite
        self._settings = settings = self._attuned(settings)
        self._recorder = recorder or NoRecorder()
        self._loop = asyncio.get_running_loop()
        self._inbox = Inbox(self._loop)
        self._silent: TurnId | None = None
        """The latest turn in which nobody spoke: it stands for the user's silence."""
        seed = self.ids.seed()
        self._turns = Turns(settings.turn, IdSource(seed))  # ids of its own, so that a recording repeats them
        self._recorder.begin(self._loop.time(), settings, seed)
        self._identity = None if speakers is None else Identity(speakers)
        post = self._post_event
        self._hearing = Hearing(suite.vad, suite.recognizer, settings, post, self._identity)
        self._stopwatch = Stopwatch(self._loop, meter or NoMeter(), outlet, self._hearing.trailing_silence_ms)
        self._transcripts = Transcripts(suite.recognizer, self.conversation, outlet, settings)
        self._replies = Replies(
            suite,
            outlet,
            self.ids,
            self.conversation,
            self._transcripts,
            self._stopwatch,
            post,
            pacer or Pacer(),
            settings,
            room_ahead or (lambda: Ahead.VOICE),
            SpeechMemory(0) if speech_memory is None else speech_memory,
            self._recollection,
        )
        self._listener = Listener(suite.brain, self.ids, self.conversation, self._replies, outlet, post, settings)
        self._items = Items(self.conversation, self._transcripts, self._replies.live, self._listener, outlet)

    @property
    def brain(self) -> ListeningBrain | None:
        """The brain and its context, while it listens."""
        return self._listener.brain

    def _attuned(self, settings: SessionSettings) -> SessionSettings:
        """The same, with what follows from the engines."""
        hears = hears_audio(self._suite.brain, settings.reply.model)
        return replace(settings, turn=replace(settings.turn, hears_audio=hears))

    # From the transport.

    def hear(self, pcm: bytes) -> None:
        """The user's audio: mono s16 at 16 kHz, any even length."""
        if not self._inbox.closed:
            self._recorder.audio(self._loop.time(), pcm)
            self._hearing.hear(pcm)

    def post(self, command: Command) -> None:
        """A client's command; carried out in order."""
        self._inbox.post(command)

    def _post_event(self, event: Event) -> None:
        self._inbox.post(event)

    def close(self) -> None:
        """Ends the session: run() returns soon after."""
        self._inbox.close()

    async def run(self) -> None:
        """Lives until ``close()``. Cancelling it is the same as closing."""
        try:
            with self._stay:
                await self._converse()
        finally:
            self._recorder.close(self._loop.time())

    async def _converse(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                beside = [
                    group.create_task(each.run()) for each in (self._notebook, self._identity) if each is not None
                ]
                self._listener.configure(self._settings, group)
                try:
                    await self._loop_until_closed(group)
                finally:
                    self._shut(group)
                    for task in beside:
                        task.cancel()
        finally:
            if self._notebook is not None:
                await self._notebook.finish()

    # The loop.

    async def _loop_until_closed(self, group: asyncio.TaskGroup) -> None:
        while True:
            while (entry := self._inbox.take()) is not None:
                self._take(entry, group)
                self._listener.pump()
            if self._inbox.closed:
                return
            times = (self._turns.deadline(), self._replies.live.deadline())
            if not await self._inbox.wait(min((at for at in times if at is not None), default=None)):
                self._on_time(group)
                self._listener.pump()

    def _on_time(self, group: asyncio.TaskGroup) -> None:
        now = self._loop.time()
        self._replies.live.expire(now)
        deadline = self._turns.deadline()
        if deadline is not None and now >= deadline - 1e-6:
            self._handle(on.Timeout(self._hearing.position_ms), group)

    def _shut(self, group: asyncio.TaskGroup) -> None:
        """Ends all that belongs to the session; what was begun gets its end told."""
        self._inbox.close()
        self._handle(on.Closed(), group)
        self._inbox.clear()
        self._listener.close()
        self._hearing.close()
        self._transcripts.close()
        self._replies.close()
        self._recollection.give_way()

    def _note_down(self) -> None:
        """Something of the conversation may be different."""
        if self._notebook is not None:
            self._notebook.changed()

    def _take(self, entry: Event | Command, group: asyncio.TaskGroup) -> None:
        if isinstance(entry, Event):
            if self._listener.stands(entry):
                self._handle(entry, group)
            return
        self._recorder.command(self._loop.time(), entry)
        try:
            self._obey(entry, group)
        except ProtocolError as error:
            event_id = None if isinstance(entry, ask.Configure) else entry.client_event_id
            self._outlet.refused(str(error), error.code, event_id)
        self._note_down()

    def _handle(self, event: Event, group: asyncio.TaskGroup) -> None:
        now = self._loop.time()
        self._stopwatch.note(event, now)
        self._transcripts.note(event)
        self._replies.note(event)
        for void in self._listener.note(event):
            self._handle(on.BrainStops(void), group)
        actions = self._turns.handle(event, now)
        self._recorder.event(now, event, actions)
        for action in actions:
            self._apply(action, group)
        self._note_down()
        if isinstance(event, on.ReplyMade) and self._listener.brain is None:  # which bounds its context by itself
            settings = self._settings.reply
            if not settings.whole_context:
                self._recollection.consider(group, settings.model)

    # What the core wants done.

    def _apply(self, action: Action, group: asyncio.TaskGroup) -> None:
        self._stopwatch.note_action(action)
        self._carry_out(action, group)
        self._listener.applied(action)

    def _carry_out(self, action: Action, group: asyncio.TaskGroup) -> None:
        match action:
            case do.ShowState(state):
                self._outlet.state(state)
            case do.OpenTurn(turn, at_ms):
                self._transcripts.open(turn, self._hearing.open(turn, at_ms))
            case do.TellSpeechStarted(turn, at_ms):
                self._outlet.speech_started(turn, at_ms)
                self._transcripts.announce(turn)
            case do.TellSpeechStopped(turn, at_ms):
                self._outlet.speech_stopped(turn, at_ms)
            case do.Transcribe(turn, revision):
                self._transcripts.transcribe(turn, revision, group)
            case do.DropTurn(turn):
                self._hearing.drop()
                self._transcripts.drop(turn)
            case do.CommitTurn(turn, end_ms):
                self._hearing.commit(end_ms)
                spoken = turn != self._silent
                self._items.commit(turn, speech=spoken, hears_audio=self._settings.turn.hears_audio)
            case do.TellTimeout(turn, start_ms, end_ms):
                self._silent = turn
                self._outlet.idle_timeout(turn, start_ms, end_ms)
            case do.Refuse(code, message, client_event_id):
                self._outlet.refused(message, code, client_event_id)
            case _:
                self._replies.apply(action, group)

    # What the client asks.

    def _obey(self, command: Command, group: asyncio.TaskGroup) -> None:
        match command:
            case ask.Configure(settings):
                self._settings = settings = self._attuned(settings)
                self._hearing.configure(settings)
                self._transcripts.configure(settings)
                self._replies.configure(settings, group)
                self._listener.configure(settings, group)
                self._handle(on.Configured(settings.turn), group)
            case ask.CommitBuffer():
                self._handle(on.BufferCommitted(*self._hearing.uncommitted()), group)
            case ask.ClearBuffer():
                self._handle(on.BufferCleared(), group)
                self._hearing.clear()
                self._outlet.cleared()
            case ask.CreateItem() | ask.DeleteItem() | ask.RetrieveItem() | ask.TruncateItem() | ask.Recount():
                self._items.obey(command, group, hears_audio=self._settings.turn.hears_audio)
            case ask.CreateReply(reply, _, side, messages, client_event_id):
                for entry in messages or ():
                    if isinstance(entry, ask.ItemReference):
                        self.conversation.get(entry.item)  # refused here where there is none
                if command.when_free and self._turns.state not in (State.IDLE, State.SPEAKING):
                    raise ProtocolError("Somebody else is about to speak", code="conversation_busy")
                self._replies.expect(command)
                self._handle(on.ReplyRequested(reply, side, client_event_id), group)
                self._replies.forget_unstarted(reply)
            case ask.Hold():
                self._replies.live.hold()
            case ask.GoOn():
                self._replies.live.go_on()
            case ask.StopPlayout():
                if (playing := self._replies.live.playing) is not None:
                    self._handle(on.CancelRequested(playing), group)
            case ask.CancelResponse(str(left), client_event_id, at_pause=True):
                self._replies.leave_at_pause(left, client_event_id)
            case ask.CancelResponse(cancelled, client_event_id):
                self._handle(on.CancelRequested(cancelled, client_event_id), group)
