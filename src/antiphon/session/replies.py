"""The replies of a session: prepared, live, and beside the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from antiphon.core import actions as do
from antiphon.core.actions import Action
from antiphon.core.commands import CreateReply
from antiphon.core.conversation import Conversation, Item
from antiphon.core.events import CancelRequested, Event, PlayoutDrained, ReplyAudible, ReplyMade
from antiphon.core.settings import ReplySettings, SessionSettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import Voice
from antiphon.core.speech_memory import SpeechMemory
from antiphon.engines.base import Brain
from antiphon.engines.optional import place_of
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource, ReplyId
from antiphon.session.change_over import ChangeOver, voice_of
from antiphon.session.given_text import GivenText
from antiphon.session.live_replies import LiveReplies, LiveReply
from antiphon.session.marks import Answered
from antiphon.session.pacer import Pacer
from antiphon.session.recollection import Recollection
from antiphon.session.reply import Reply
from antiphon.session.reply_context import Known, Messages, ReplyContext, nothing
from antiphon.session.reply_host import ReplyHost
from antiphon.session.span import Span
from antiphon.session.speaker import BurstSpeaker, PacedSpeaker, Speaker
from antiphon.session.speech_source import SpeechSource
from antiphon.session.stopwatch import Stopwatch
from antiphon.session.transcripts import Transcripts
from antiphon.transport.base import Outlet


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
        self._stopwatch = stopwatch
        self._post = post
        self._pacer = pacer
        self._settings = settings
        self._room_ahead = room_ahead
        self._speech = SpeechSource(suite.synthesizer, room_ahead, memory)
        self._recollection = recollection
        self._prepared: dict[ReplyId, LiveReply] = {}
        self.live = LiveReplies()
        self._expected: dict[ReplyId, CreateReply] = {}
        self._offered: dict[ReplyId, Span] = {}
        """What a listening brain wants to say, until turn-taking has decided about it."""
        self._brain = suite.brain
        self._change_over = ChangeOver(suite, self._speak_in)
        self._context = ReplyContext(
            conversation, transcripts, recollection, suite.brain, settings.reply, self.live.refresh_items
        )
        self._host = ReplyHost(
            add_item=self._add_asked_item,
            audible=lambda reply: post(ReplyAudible(reply)),
            sounded=self._sounded,
            made=lambda reply, outcome, audible: post(ReplyMade(reply, outcome, audible)),
            drained=lambda reply: post(PlayoutDrained(reply)),
            failed=stopwatch.meter.failed,
        )
        self._span_host = replace(self._host, add_item=conversation.add)
        self._side_host = replace(self._host, add_item=_untold, audible=_untold, sounded=_untold, drained=_untold)

    def configure(self, settings: SessionSettings, group: asyncio.TaskGroup) -> None:
        self._change_over.begin(self._settings.reply, settings.reply, group)
        self._settings = settings
        self._context.settings = settings.reply

    def _speak_in(self, voice: Voice) -> None:
        """Those in the session's voice go on in another one."""
        for live in (*self._prepared.values(), *self.live.values()):
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

    def answer_with(self, brain: Brain | None, known: Known | None) -> None:
        """Who makes the other replies, and what it knows; None for the suite's brain and the conversation."""
        self._brain = brain or self._suite.brain
        self._context.known = known

    # What becomes of them.

    def apply(self, action: Action, group: asyncio.TaskGroup) -> None:
        match action:
            case do.PrepareReply(reply, turn):
                span = self._offered.pop(reply, None)
                context = self._context.ahead_of(turn) if span is None else nothing
                ahead = self._room_ahead()
                live = self._begin(reply, group, self._settings.reply, context, ahead=ahead, span=span)
                live.changes = self._conversation.changes if span is None else None
                self._prepared[reply] = live
            case do.DiscardReply(reply):
                self.withdraw(reply)
                if (discarded := self._prepared.pop(reply, None)) is not None:
                    self._discard(discarded)
            case do.StartReply(reply, prepared, side):
                self._start(reply, group, prepared=prepared, side=side)
            case do.PausePlayout(reply):
                self.live.pause(reply)
            case do.ResumePlayout(reply):
                self.live.resume(reply)
            case do.CancelReply(reply, reason):
                live = self.live.end(reply)
                live.task.cancel()
                live.reply.cancel(reason)
            case _:
                raise AssertionError(f"nobody carries out {action}")

    def leave_at_pause(self, reply: ReplyId, client_event_id: str | None) -> None:
        """The client wants no more of a reply than the clause that sounds."""
        if (live := self.live.get(reply)) is not None:
            live.reply.leave_at_pause(lambda: self._post(CancelRequested(reply, client_event_id)))

    def note(self, event: Event) -> None:
        """Tells the client what became of a reply, before turn-taking goes on."""
        match event:
            case ReplyMade(reply, _, audible) if (live := self.live.get(reply)) is not None:
                if live.reply.request is not None:
                    self._recollection.counted(live.reply.request, live.reply.finish)
                if live.side or not audible or not self._settings.turn.paced:
                    live.reply.conclude()
                if live.side or not audible:
                    del self.live[reply]
            case PlayoutDrained(reply) if (live := self.live.get(reply)) is not None:
                live.reply.conclude()
                del self.live[reply]
            case _:
                pass

    def _start(self, reply: ReplyId, group: asyncio.TaskGroup, *, prepared: bool, side: bool) -> None:
        command = self._expected.pop(reply, None)
        answered = None
        if not side:
            self.live.let_play_on()
            answered = self._answered_by(command)
        if prepared and self._is_stale(self._prepared[reply]):
            self._discard(self._prepared.pop(reply))
            prepared = False
        if prepared:
            live = self._prepared.pop(reply)
            live.prepared = True
        else:
            settings = self._settings.reply if command is None else command.settings
            span = self._offered.pop(reply, None)
            brain = None if command is None or command.text is None else GivenText(command.text)
            turn = None if answered is None or brain is not None else answered.id  # a given text answers to nothing
            context = self._context.of(command, turn) if span is None else nothing
            live = self._begin(reply, group, settings, context, side=side, brain=brain, span=span)
        live.answers, live.asked = answered, command is not None
        self.live.begin(live)

    def _is_stale(self, prepared: LiveReply) -> bool:
        """Whether the conversation has changed under it by more than the turn itself."""
        return prepared.changes is not None and self._conversation.changes > prepared.changes + 1

    def _discard(self, live: LiveReply) -> None:
        if live.ahead is not Ahead.NOTHING:
            self._stopwatch.thrown_away(live.reply.marks)
        live.task.cancel()

    def _answered_by(self, command: CreateReply | None) -> Answered | None:
        """Which turn of the user a reply answers: what a client asks for may answer the last thing that was said."""
        turn = self._stopwatch.take_turn()
        if turn is None or command is None:
            return turn
        return turn if command.messages is None and self._conversation.last_id() == turn.id else None

    def _begin(
        self,
        reply: ReplyId,
        group: asyncio.TaskGroup,
        settings: ReplySettings,
        messages: Messages,
        *,
        brain: Brain | None = None,
        side: bool = False,
        ahead: Ahead = Ahead.VOICE,
        span: Span | None = None,
    ) -> LiveReply:
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
        follows = voice_of(settings) == voice_of(self._settings.reply)
        return LiveReply(made, group.create_task(made.run()), side, follows, ahead, span=span)

    # What replies report.

    def _add_asked_item(self, item: Item) -> None:
        self._conversation.add(item)
        if (known := self._context.known) is not None:
            known.note_item(item)

    def _sounded(self, reply: ReplyId) -> None:
        live = self.live.get(reply)
        if live is None or live.answers is None:
            return
        suite = self._suite
        self._stopwatch.answered(
            live.answers,
            reply,
            live.reply.marks,
            asked=live.asked,
            ahead=live.prepared and live.ahead is not Ahead.NOTHING,
            served_by={
                "asr": place_of(suite.recognizer),
                "llm": place_of(suite.brain),
                "tts": place_of(suite.synthesizer),
            },
        )

    def close(self) -> None:
        """Stops all work; the turn table has cancelled what was live."""
        self._change_over.close()
        for live in (*self._prepared.values(), *self.live.values()):
            live.task.cancel()
        self._prepared.clear()
        self.live.clear()


def _untold(what: object) -> None:
    """Of a reply beside the conversation."""
