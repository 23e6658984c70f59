"""The replies of a session: prepared, live, and beside the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from antiphon.core import actions as do
from antiphon.core.actions import Action
from antiphon.core.commands import CreateReply, ItemReference
from antiphon.core.conversation import Conversation, Item
from antiphon.core.events import CancelRequested, Event, PlayoutDrained, ReplyAudible, ReplyMade
from antiphon.core.settings import ReplySettings, SessionSettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import Message, Voice
from antiphon.core.speech_memory import SpeechMemory
from antiphon.engines.base import Brain, hears_now, place_of, prepare_brain, prepare_voice
from antiphon.engines.suite import Suite
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ReplyId, TurnId
from antiphon.session.given_text import GivenText
from antiphon.session.pacer import Pacer
from antiphon.session.recollection import Recollection
from antiphon.session.reply import Reply
from antiphon.session.reply_host import ReplyHost
from antiphon.session.span import Span
from antiphon.session.speaker import BurstSpeaker, PacedSpeaker, Speaker
from antiphon.session.speech_source import SpeechSource
from antiphon.session.stopwatch import Stopwatch
from antiphon.session.transcripts import Transcripts
from antiphon.transport.base import Outlet

log = structlog.get_logger(__name__)

_Messages = Callable[[], Awaitable[tuple[Message, ...]]]


class Context(Protocol):
    """What is known beyond the conversation's items, for replies that the session or the client asks for."""

    def context(self) -> tuple[Message, ...]: ...

    def note_item(self, item: Item) -> None:
        """An item that such a reply has brought."""
        ...


@dataclass(slots=True)
class _Live:
    reply: Reply
    task: asyncio.Task[None]
    side: bool = False
    follows: bool = False
    """It speaks in the session's voice, also when that changes."""
    ahead: Ahead = Ahead.VOICE
    """How much of it was to be done before it was wanted,"""
    prepared: bool = False
    """and whether there was such a time."""
    span: Span | None = None
    """What a listening brain says by it."""


class Replies:
    """Carries out what ``core.turns`` decides about replies."""

    def __init__(
        self,
        suite: Suite,
        outlet: Outlet,
        ids: IdSource,
        conversation: Conversation,
        transcripts: Transcripts,
        stopwatch: Stopwatch,
        post: Callable[[Event], None],
        pacer: Pacer,
        settings: SessionSettings,
        room_ahead: Callable[[], Ahead],
        memory: SpeechMemory,
        recollection: Recollection,
    ) -> None:
        """``room_ahead`` is asked how much may be done ahead at the moment. ``memory``: of what was said before."""
        self._suite = suite
        self._outlet = outlet
        self._ids = ids
        self._conversation = conversation
        self._transcripts = transcripts
        self._stopwatch = stopwatch
        self._post = post
        self._pacer = pacer
        self._settings = settings
        self._room_ahead = room_ahead
        self._speech = SpeechSource(suite.synthesizer, room_ahead, memory)
        self._recollection = recollection
        self._prepared: dict[ReplyId, _Live] = {}
        self._live: dict[ReplyId, _Live] = {}
        self._expected: dict[ReplyId, CreateReply] = {}
        self._paused: ReplyId | None = None
        """The one that turn-taking has paused."""
        self._on_hold = False
        """The client cannot be reached."""
        self._changes_before: int | None = None
        """How often the conversation had changed when the reply that is prepared began to read it."""
        self._preparing: dict[str, asyncio.Task[None]] = {}
        """What is made ready for a change of settings."""
        self._offered: dict[ReplyId, Span] = {}
        """What a listening brain wants to say, until turn-taking has decided about it."""
        self._brain = suite.brain
        self._known: Context | None = None
        self._host = ReplyHost(
            add_item=self._add_asked_item,
            audible=lambda reply: post(ReplyAudible(reply)),
            sounded=self._sounded,
            made=lambda reply, outcome, audible: post(ReplyMade(reply, outcome, audible)),
            drained=lambda reply: post(PlayoutDrained(reply)),
            failed=stopwatch.meter.failed,
        )
        self._span_host = ReplyHost(
            add_item=self._add_item,
            audible=lambda reply: post(ReplyAudible(reply)),
            sounded=self._sounded,
            made=lambda reply, outcome, audible: post(ReplyMade(reply, outcome, audible)),
            drained=lambda reply: post(PlayoutDrained(reply)),
            failed=stopwatch.meter.failed,
        )
        self._side_host = ReplyHost(
            add_item=lambda item: None,
            audible=lambda reply: None,
            sounded=lambda reply: None,
            made=lambda reply, outcome, audible: post(ReplyMade(reply, outcome, audible)),
            drained=lambda reply: None,
            failed=stopwatch.meter.failed,
        )

    def configure(self, settings: SessionSettings, group: asyncio.TaskGroup) -> None:
        before, after = self._settings.reply, settings.reply
        self._settings = settings
        if _voice_of(after) != _voice_of(before):
            self._prepare("voice", self._change_voice(_voice_of(after)), group)
        if after.model != before.model:
            self._prepare("brain", self._ready_brain(after.model), group)

    def _prepare(self, what: str, work: Coroutine[Any, Any, None], group: asyncio.TaskGroup) -> None:
        if (former := self._preparing.get(what)) is not None:
            former.cancel()
        self._preparing[what] = group.create_task(work)

    async def _ready_brain(self, model: str) -> None:
        """Replies ask for it from now on, and are given by another until it is ready."""
        try:
            await prepare_brain(self._suite.brain, model)
        except EngineError as error:
            log.warning("a language model is not ready; another answers", model=model, reason=str(error))
        except Exception:
            log.exception("a language model could not be prepared", model=model)

    async def _change_voice(self, voice: Voice) -> None:
        """Replies that are being spoken change over when the voice is ready, and go on in the old one until then."""
        try:
            await prepare_voice(self._suite.synthesizer, voice)
        except EngineError as error:
            log.warning(
                "a voice is not ready; what is being said stays in the old one", voice=voice.name, reason=str(error)
            )
            return
        except Exception:
            log.exception("a voice could not be prepared", voice=voice.name)
            return
        for live in (*self._prepared.values(), *self._live.values()):
            if live.follows:
                live.reply.change_voice(voice)

    # What the client asked for, between its command and the decision.

    def expect(self, command: CreateReply) -> None:
        self._expected[command.reply] = command

    def forget_unstarted(self, reply: ReplyId) -> None:
        self._expected.pop(reply, None)

    # What a listening brain wants to say.

    def offer(self, span: Span) -> None:
        """The words of a reply that may be wanted soon."""
        self._offered[span.id] = span

    def withdraw(self, reply: ReplyId) -> None:
        self._offered.pop(reply, None)

    def answer_with(self, brain: Brain | None, known: Context | None) -> None:
        """Who makes the other replies, and what it knows; None for the suite's brain and the conversation."""
        self._brain = brain or self._suite.brain
        self._known = known

    # Time.

    def deadline(self) -> float | None:
        """When the playout of a reply that was sent at once will be over."""
        times = [at for live in self._live.values() if not live.side and (at := live.reply.speaker.deadline())]
        return min(times, default=None)

    def expire(self, now: float) -> None:
        for live in tuple(self._live.values()):
            at = live.reply.speaker.deadline()
            if not live.side and at is not None and at <= now:
                live.reply.speaker.expire()

    # What becomes of them.

    def apply(self, action: Action, group: asyncio.TaskGroup) -> None:
        match action:
            case do.PrepareReply(reply, turn):
                span = self._offered.pop(reply, None)
                context = self._ahead_of(turn) if span is None else _no_context
                ahead = self._room_ahead()
                self._prepared[reply] = self._begin(reply, group, self._settings.reply, context, ahead=ahead, span=span)
            case do.DiscardReply(reply):
                self._changes_before = None
                self.withdraw(reply)
                if (discarded := self._prepared.pop(reply, None)) is not None:
                    self._discard(discarded)
            case do.StartReply(reply, prepared, side):
                self._start(reply, group, prepared=prepared, side=side)
            case do.PausePlayout(reply):
                self._paused = reply
                self._live[reply].reply.speaker.pause()
            case do.ResumePlayout(reply):
                self._paused = None
                if not self._on_hold:
                    self._live[reply].reply.speaker.resume()
            case do.CancelReply(reply, reason):
                self._paused = None if reply == self._paused else self._paused
                live = self._live.pop(reply)
                live.task.cancel()
                live.reply.cancel(reason)
            case _:
                raise AssertionError(f"nobody carries out {action}")

    def leave_at_pause(self, reply: ReplyId, client_event_id: str | None) -> None:
        """The client wants no more of a reply than the clause that sounds."""
        if (live := self._live.get(reply)) is not None:
            live.reply.leave_at_pause(lambda: self._post(CancelRequested(reply, client_event_id)))

    def hold(self) -> None:
        """Nobody hears what is played: it stops where it is, and what begins waits."""
        self._on_hold = True
        for live in self._live.values():
            live.reply.speaker.pause()

    def go_on(self) -> None:
        """Plays on, but for what is paused for another reason."""
        if not self._on_hold:
            return
        self._on_hold = False
        for reply, live in tuple(self._live.items()):
            if reply != self._paused:
                live.reply.speaker.resume()

    def note(self, event: Event) -> None:
        """Tells the client what became of a reply, before turn-taking goes on."""
        match event:
            case ReplyMade(reply, _, audible) if (live := self._live.get(reply)) is not None:
                if live.reply.request is not None:
                    self._recollection.counted(live.reply.request, live.reply.finish)
                if live.side or not audible or not self._settings.turn.paced:
                    live.reply.conclude()
                if live.side or not audible:
                    del self._live[reply]
            case PlayoutDrained(reply) if (live := self._live.get(reply)) is not None:
                live.reply.conclude()
                del self._live[reply]
            case _:
                pass

    def _start(self, reply: ReplyId, group: asyncio.TaskGroup, *, prepared: bool, side: bool) -> None:
        command = self._expected.pop(reply, None)
        if not side:
            self._let_play_on()
        if prepared and self._prepared[reply].span is None and self._is_stale():
            self._discard(self._prepared.pop(reply))
            prepared = False
        if prepared:
            live = self._prepared.pop(reply)
            live.prepared = True
        else:
            settings = self._settings.reply if command is None else command.settings
            span = self._offered.pop(reply, None)
            context = self._context(command) if span is None else _no_context
            brain = None if command is None or command.text is None else GivenText(command.text)
            live = self._begin(reply, group, settings, context, side=side, brain=brain, span=span)
        self._live[reply] = live
        if not side:
            self._answer_turn(live.reply, command)
        if self._on_hold:
            live.reply.speaker.pause()
        live.reply.commit()

    def _is_stale(self) -> bool:
        """Whether the conversation has changed under the reply that was prepared, by more than the turn itself."""
        before, self._changes_before = self._changes_before, None
        return before is not None and self._conversation.changes > before + 1

    def _discard(self, live: _Live) -> None:
        if live.ahead is not Ahead.NOTHING:
            self._stopwatch.thrown_away(live.reply.marks)
        live.task.cancel()

    def _answer_turn(self, reply: Reply, command: CreateReply | None) -> None:
        """Which turn of the user it answers, if any: what a client asks for may answer the last thing that was said."""
        turn = self._stopwatch.take_turn()
        if turn is None:
            return
        if command is None or (command.messages is None and self._conversation.last_id() == turn.id):
            reply.answers, reply.asked = turn, command is not None

    def _let_play_on(self) -> None:
        """A reply whose audio was all sent is not watched any more once the next one begins."""
        for reply, live in tuple(self._live.items()):
            if not live.side and live.reply.done:
                del self._live[reply]

    def _begin(
        self,
        reply: ReplyId,
        group: asyncio.TaskGroup,
        settings: ReplySettings,
        messages: _Messages,
        *,
        brain: Brain | None = None,
        side: bool = False,
        ahead: Ahead = Ahead.VOICE,
        span: Span | None = None,
    ) -> _Live:
        paced = self._settings.turn.paced and not side
        self._recollection.give_way()

        def speaker_of(made: Reply) -> Speaker:
            return PacedSpeaker(made, self._pacer) if paced else BurstSpeaker(made)

        made = Reply(
            reply,
            settings,
            messages,
            span or brain or self._brain,
            self._speech.for_fixed_texts() if isinstance(brain, GivenText) else self._speech,
            self._outlet,
            self._side_host if side else self._host if span is None else self._span_host,
            self._ids,
            speaker_of,
            paced,
            ahead,
        )
        if span is not None:
            span.reply = made
        follows = _voice_of(settings) == _voice_of(self._settings.reply)
        return _Live(made, group.create_task(made.run()), side, follows, ahead, span=span)

    # What a reply answers to.

    def _hearing(self, settings: ReplySettings) -> bool:
        """What the user said is given as audio. A model that is not ready may be stood in for by one that reads."""
        return hears_now(self._suite.brain, settings.model)

    def _ahead_of(self, turn: TurnId) -> _Messages:
        """The conversation as it would be, were the turn over now."""
        said = self._transcripts.segments(turn)
        hearing = self._hearing(self._settings.reply)
        audio = self._transcripts.audio(turn) if hearing else None
        self._changes_before = self._conversation.changes

        async def messages() -> tuple[Message, ...]:
            await self._transcripts.settled(hearing=hearing)
            whole = self._settings.reply.whole_context
            return self._recollection.context(said, whole=whole, audio=audio, hearing=hearing)

        return messages

    def _context(self, command: CreateReply | None) -> _Messages:
        async def messages() -> tuple[Message, ...]:
            given = command.messages if command is not None else None
            settings = self._settings.reply if command is None else command.settings
            hearing = self._hearing(settings)
            if given is not None and not any(isinstance(entry, ItemReference) for entry in given):
                return self._resolved(given, hearing)
            await self._transcripts.settled(hearing=hearing)
            self.refresh_items()
            if given is not None:
                return self._resolved(given, hearing)
            side = command is not None and command.side
            if self._known is None or side:
                return self._recollection.context(whole=settings.whole_context, hearing=hearing)
            return self._known.context()

        return messages

    def _resolved(self, given: Iterable[Message | ItemReference], hearing: bool) -> tuple[Message, ...]:
        """The context that a client gave. An item that was deleted meanwhile says nothing."""

        def message_of(reference: ItemReference) -> Message | None:
            item = self._conversation.find(reference.item)
            return None if item is None else item.message(hearing=hearing)

        found = (message_of(entry) if isinstance(entry, ItemReference) else entry for entry in given)
        return tuple(message for message in found if message is not None)

    def refresh_items(self) -> None:
        for live in self._live.values():
            live.reply.refresh_item()

    @property
    def playing(self) -> ReplyId | None:
        """The reply of which the client hears the frames as they leave."""
        return next((reply for reply, live in self._live.items() if live.reply.plays), None)

    # What replies report.

    def _add_item(self, item: Item) -> None:
        self._conversation.add(item)

    def _add_asked_item(self, item: Item) -> None:
        self._add_item(item)
        if self._known is not None:
            self._known.note_item(item)

    def _sounded(self, reply: ReplyId) -> None:
        live = self._live.get(reply)
        if live is None or live.reply.answers is None:
            return
        suite = self._suite
        self._stopwatch.answered(
            live.reply.answers,
            reply,
            live.reply.marks,
            asked=live.reply.asked,
            ahead=live.prepared and live.ahead is not Ahead.NOTHING,
            served_by={
                "asr": place_of(suite.recognizer),
                "llm": place_of(suite.brain),
                "tts": place_of(suite.synthesizer),
            },
        )

    def close(self) -> None:
        """Stops all work; the turn table has cancelled what was live."""
        for task in self._preparing.values():
            task.cancel()
        for live in (*self._prepared.values(), *self._live.values()):
            live.task.cancel()
        self._prepared.clear()
        self._live.clear()


async def _no_context() -> tuple[Message, ...]:
    """What a listening brain says needs none."""
    return ()


def _voice_of(settings: ReplySettings) -> Voice:
    return Voice(settings.voice, settings.speed)
