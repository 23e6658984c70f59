"""The listening brain in its session: it gets the user's words as they become certain, and its speech makes replies.

``core.turns`` decides when a reply may be heard; here is decided what the brain reads, when it is asked to write, and
when what it has written is void because the user has said more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action
from antiphon.core.agreement import Agreement, Change
from antiphon.core.conversation import Conversation, Item
from antiphon.core.events import Event
from antiphon.core.settings import Answers, Detection, SessionSettings
from antiphon.core.speech import Message
from antiphon.engines.base import Brain
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ItemId, ReplyId, TurnId
from antiphon.session.listening import ListeningBrain
from antiphon.session.replies import Replies
from antiphon.session.said_alone import SaidAlone
from antiphon.session.span import Span, Standing
from antiphon.session.spans import Spans
from antiphon.session.writer import Writer, WriterHost
from antiphon.transport.base import Outlet

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Turn:
    """A turn of the user whose words are not all certain."""

    words: Agreement = field(default_factory=Agreement)
    asked: int = 0
    """The newest revision whose final was asked for."""
    answered: int = -1
    """The one whose final came last."""
    over: bool = False

    @property
    def settled(self) -> bool:
        return self.asked == self.answered


class Listener:
    """One for each session; it does nothing unless the session's settings have the brain listen.

    ``note`` and ``applied`` follow the session's loop, ``pump`` is called when a step of that is done.
    """

    def __init__(
        self,
        brain: Brain,
        ids: IdSource,
        conversation: Conversation,
        replies: Replies,
        outlet: Outlet,
        post: Callable[[Event], None],
        settings: SessionSettings,
    ) -> None:
        self._engine = brain
        self._ids = ids
        self._conversation = conversation
        self._replies = replies
        self._outlet = outlet
        self._post = post
        self._settings = settings
        self._writer: Writer | None = None
        self._brain: ListeningBrain | None = None
        self._spans = Spans()
        self._turns: dict[TurnId, _Turn] = {}
        self._open: TurnId | None = None
        self._quiet = False
        """The user pauses in the open turn."""
        self._untold_end: TurnId | None = None
        """The turn that is over, which the brain was not told."""
        self._asked_at = self._read_at = -1
        """The versions of the context that were last written to, and read ahead."""
        self._held = False
        """It is not decided yet whether the user's words interrupt what is being said."""
        self._again = False
        """What was written was thrown away: the brain is to be asked again when the user is silent."""

    def configure(self, settings: SessionSettings, group: asyncio.TaskGroup) -> None:
        before, self._settings = self._settings, settings
        listens = settings.turn.answers is Answers.LISTENING
        if listens and self._brain is not None and settings.listening == before.listening:
            return
        self.close()
        if not listens:
            return
        brain = ListeningBrain(self._engine, settings.listening)
        host = WriterHost(self._wish, self._stop, self._think_aloud, self._failed, self.pump)
        self._brain, self._writer = brain, Writer(brain, self._ids, group, host)
        for item in self._conversation:
            brain.mind.note(item)
        self._asked_at = brain.mind.version
        speaks = settings.listening.speak_tool
        self._replies.answer_with(SaidAlone(self._engine, self._ids) if speaks else self._engine, self)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._brain = self._writer = None
        self._replies.answer_with(None, None)

    @property
    def brain(self) -> ListeningBrain | None:
        """None while the brain does not listen."""
        return self._brain

    # For replies that somebody else asks for.

    def context(self) -> tuple[Message, ...]:
        """What the brain knows."""
        self._learn_what_was_heard()
        return () if self._brain is None else self._brain.mind.messages()

    def note_item(self, item: Item, *, front: bool = False) -> None:
        """An item that is not of the brain's making. Whoever brings it asks for an answer, if it needs one."""
        if self._brain is not None:
            self._brain.mind.note(item, front=front)
            self._asked_at = self._brain.mind.version

    def forget_item(self, item: ItemId) -> None:
        if self._brain is None:
            return
        self._brain.mind.forget(item)
        if (span := self._spans.of_item(item)) is not None:
            self._brain.mind.cut(span.id, "")

    # What happens.

    def stands(self, event: Event) -> bool:
        """Whether it is still true: a wish may have become void before the loop came to it."""
        return not isinstance(event, on.BrainSpeaks) or event.reply in self._spans

    def note(self, event: Event) -> list[ReplyId]:
        """Takes what happens, before turn-taking does. Returns the replies that are void because of it."""
        brain = self._brain
        if brain is None:
            return []
        match event:
            case on.PartialHeard(turn, text, speaker) if turn in self._turns:
                return self._hear(turn, self._turns[turn].words.partial(text), speaker)
            case on.FinalHeard(turn, revision, text, speaker) if turn in self._turns:
                known = self._turns[turn]
                known.answered = revision
                void = [] if text is None else self._hear(turn, known.words.final(text), speaker)
                self._look_for_end(turn)
                return void
            case on.SpeechStarted() if self._open is not None:
                self._quiet = False
                brain.reopen()
            case on.SpeechPaused():
                self._quiet = True
            case on.ReplyMade(reply, _, audible=False) | on.PlayoutDrained(reply) if reply in self._spans:
                self._spans[reply].standing = Standing.OVER
                self._held = False
            case _:
                pass
        return []

    def applied(self, action: Action) -> None:
        """Follows what turn-taking has decided, and what was done about it."""
        brain = self._brain
        if brain is None:
            return
        match action:
            case do.OpenTurn(turn):
                self._turns[turn] = _Turn()
                self._open, self._quiet = turn, False
                brain.begin()
            case do.Transcribe(turn, revision) if turn in self._turns:
                self._turns[turn].asked = revision
            case do.CommitTurn(turn) if turn in self._turns:
                self._turns[turn].over = True
                self._open = None
                self._look_for_end(turn)
            case do.DropTurn(turn):
                self._drop(turn)
            case do.PausePlayout():
                self._held = True
            case do.ResumePlayout():
                self._held = False
            case do.PrepareReply(reply) if reply in self._spans:
                self._stand(self._spans[reply], Standing.PREPARED)
            case do.StartReply(reply, side=False):
                self._started(reply)
            case do.DiscardReply(reply) if reply in self._spans:
                self._throw_away(self._spans[reply])
            case do.CancelReply(reply):
                self._held = False
                if reply in self._spans:
                    self._cut(self._spans[reply])
            case _:
                pass

    # The user's words.

    def _hear(self, turn: TurnId, change: Change, speaker: str | None) -> list[ReplyId]:
        brain, writer = self._brain, self._writer
        if brain is None or writer is None or not change:
            return []
        void = self._take_back()
        if self._held:
            pass  # it may be no more than a nod
        elif writer.span is None or writer.span.standing is Standing.UNTOLD:
            writer.break_off()
        else:
            writer.break_soon()
        brain.retract(turn, change.retracted)
        brain.hear(turn, change.words, speaker)
        return void

    def _take_back(self) -> list[ReplyId]:
        """What was written before the user's newest words were known, and nobody has heard, is void."""
        void = self._spans.unheard
        for span in void:
            self._throw_away(span)
        return [span.id for span in void]

    def _look_for_end(self, turn: TurnId) -> None:
        """When all words of a turn that is over, or that pauses, are known, the brain need not wait for more."""
        brain, known = self._brain, self._turns[turn]
        if brain is None or not known.settled:
            return
        if known.over:
            del self._turns[turn]
            self._untold_end = turn
        elif not self._quiet:
            return
        if self._open in (None, turn):
            brain.close()
            yielded = known.over and not self._settings.listening.speak_tool and brain.mind.unanswered
            if self._again or yielded:
                self._asked_at = -1

    def _drop(self, turn: TurnId) -> None:
        """It was no turn, and the brain has heard nothing."""
        brain = self._brain
        if brain is None or self._turns.pop(turn, None) is None:
            return
        self._open = None if self._open == turn else self._open
        brain.mind.drop(turn)
        self._asked_at = -1 if self._again else brain.mind.version
        if self._open is None:
            brain.close()

    # What the brain wants.

    def pump(self) -> None:
        """Has the brain write or read, if there is anything new and it may."""
        brain, writer = self._brain, self._writer
        if brain is None or writer is None or writer.busy:
            return
        self._tell_end(brain)
        mind, turn = brain.mind, self._settings.turn
        may_speak = turn.create_response and turn.detection is not Detection.MANUAL and not self._held
        if not mind.unanswered:
            return
        if may_speak and mind.version != self._asked_at and brain.policy.may_write():
            self._learn_what_was_heard()
            self._asked_at = self._read_at = mind.version
            self._again = False
            writer.write(self._settings.reply)
        elif brain.reads_ahead and mind.version not in (self._read_at, self._asked_at):
            self._learn_what_was_heard()
            self._read_at = mind.version
            writer.read(self._settings.reply)

    def _tell_end(self, brain: ListeningBrain) -> None:
        """The brain is told of the end of a turn that it has not spoken to."""
        turn, self._untold_end = self._untold_end, None
        if turn is not None and not self._spans.pending:
            brain.mind.silence(turn)

    def _wish(self, span: Span) -> None:
        self._spans.add(span)
        self._replies.offer(span)
        self._stand(span, Standing.WISHED)
        self._post(on.BrainSpeaks(span.id))

    def _stop(self) -> None:
        """The brain stops what it says, if it has heard something since it wrote that."""
        brain, writer = self._brain, self._writer
        assert brain is not None and writer is not None
        for span in self._spans.pending:
            if span.run < writer.run and span.heard_words < brain.heard_words:
                self._post(on.BrainStops(span.id))

    def _think_aloud(self, text: str) -> None:
        if self._settings.listening.thoughts:
            self._outlet.thought(text)

    def _failed(self, error: EngineError) -> None:
        """It failed with nothing said. Where an answer is awaited that is told as the failure of one."""
        brain, writer = self._brain, self._writer
        assert brain is not None and writer is not None
        log.warning("a listening brain failed", error=str(error))
        self._again = True
        if not brain.policy.open and self._open is None:
            span = writer.make_span()
            self._wish(span)
            span.fail(error)

    # What becomes of it.

    def _stand(self, span: Span, standing: Standing) -> None:
        span.standing = standing
        assert self._writer is not None
        if self._spans.wished:
            self._writer.room.clear()
        else:
            self._writer.room.set()

    def _throw_away(self, span: Span) -> None:
        """Nothing of it was heard, and nothing will be: it was not written, nor what came after it."""
        brain, writer = self._brain, self._writer
        assert brain is not None and writer is not None
        if span.run == writer.run:
            writer.break_off()
        self._stand(span, Standing.OVER)
        self._spans.remove(span)
        self._replies.withdraw(span.id)
        brain.mind.cut_back(span.id)
        brain.rewind(span.written)
        self._again = True

    def _cut(self, span: Span) -> None:
        """The rest of it will not be heard."""
        assert self._writer is not None
        span.cut = True
        self._stand(span, Standing.OVER)
        if span.run == self._writer.run:
            self._writer.break_off()

    def _started(self, reply: ReplyId) -> None:
        """One reply is live at a time."""
        assert self._brain is not None and self._writer is not None
        self._spans.end_started()
        if reply in self._spans:
            self._stand(self._spans[reply], Standing.STARTED)
        else:  # somebody asked for it: the brain need not speak to the same
            self._writer.break_off()
            self._asked_at = self._brain.mind.version

    def _learn_what_was_heard(self) -> None:
        if self._brain is not None:
            self._spans.tell_heard(self._brain.mind)
