"""The listening brain in its session: it gets the user's words as they become certain, and its speech makes replies.

``core.turns`` decides when a reply may be heard; here is decided what the brain reads, when it is asked to write, and
when what it has written is void because the user has said more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action
from antiphon.core.agreement import Change
from antiphon.core.conversation import Conversation, Item
from antiphon.core.events import Event
from antiphon.core.settings import Answers, Detection, SessionSettings
from antiphon.core.speech import Message
from antiphon.engines.base import Brain
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ItemId, ReplyId, TurnId
from antiphon.session.heard_turns import HeardTurns
from antiphon.session.listening import ListeningBrain
from antiphon.session.replies import Replies
from antiphon.session.said_alone import SaidAlone
from antiphon.session.sayings import Sayings
from antiphon.session.span import Standing
from antiphon.session.spans import Spans
from antiphon.transport.base import Outlet

log = structlog.get_logger(__name__)


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
        self._brain: ListeningBrain | None = None
        self._sayings: Sayings | None = None
        """There while the brain listens."""
        self._spans = Spans()
        self._turns = HeardTurns()
        self._untold_end: TurnId | None = None
        """The turn that is over, which the brain was not told."""
        self._asked_at = self._read_at = -1
        """The versions of the context that were last written to, and read ahead."""
        self._held = False
        """It is not decided yet whether the user's words interrupt what is being said."""

    def configure(self, settings: SessionSettings, group: asyncio.TaskGroup) -> None:
        before, self._settings = self._settings, settings
        listens = settings.turn.answers is Answers.LISTENING
        if listens and self._brain is not None and settings.listening == before.listening:
            return
        self.close()
        if not listens:
            return
        brain = ListeningBrain(self._engine, settings.listening)
        self._brain = brain
        self._sayings = Sayings(
            brain,
            self._spans,
            self._replies,
            self._ids,
            group,
            self._post,
            thought=self._think_aloud,
            failed=self._failed,
            idle=self.pump,
        )
        for item in self._conversation:
            brain.mind.note(item)
        self._asked_at = brain.mind.version
        speaks = settings.listening.speak_tool
        self._replies.answer_with(SaidAlone(self._engine, self._ids) if speaks else self._engine, self)

    def close(self) -> None:
        if self._sayings is not None:
            self._sayings.writer.close()
        self._brain = self._sayings = None
        self._replies.answer_with(None, None)

    @property
    def brain(self) -> ListeningBrain | None:
        """None while the brain does not listen."""
        return self._brain

    # For replies that somebody else asks for.

    def context(self) -> tuple[Message, ...]:
        """What the brain knows."""
        if self._brain is None or self._sayings is None:
            return ()
        self._sayings.learn_what_was_heard()
        return self._brain.mind.messages()

    def note_item(self, item: Item, *, front: bool = False) -> None:
        """An item that is not of the brain's making. Whoever brings it asks for an answer, if it needs one."""
        if self._brain is not None:
            self._brain.mind.note(item, front=front)
            self._asked_at = self._brain.mind.version

    def forget_item(self, item: ItemId) -> None:
        if self._brain is not None and self._sayings is not None:
            self._brain.mind.forget(item)
            self._sayings.forget(item)

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
            case on.PartialHeard(turn, text, speaker):
                return self._hear(turn, self._turns.partial(turn, text), speaker)
            case on.FinalHeard(turn, revision, text, speaker):
                void = self._hear(turn, self._turns.final(turn, revision, text), speaker)
                self._look_for_end(turn)
                return void
            case on.SpeechStarted() if self._turns.open is not None:
                self._turns.quiet = False
                brain.reopen()
            case on.SpeechPaused():
                self._turns.quiet = True
            case on.ReplyMade(reply, _, audible=False) | on.PlayoutDrained(reply) if reply in self._spans:
                self._spans[reply].standing = Standing.OVER
                self._held = False
            case _:
                pass
        return []

    def applied(self, action: Action) -> None:
        """Follows what turn-taking has decided, and what was done about it."""
        brain, sayings = self._brain, self._sayings
        if brain is None or sayings is None:
            return
        match action:
            case do.OpenTurn(turn):
                self._turns.begin(turn)
                brain.begin()
            case do.Transcribe(turn, revision):
                self._turns.asked(turn, revision)
            case do.CommitTurn(turn):
                self._turns.commit(turn)
                self._look_for_end(turn)
            case do.DropTurn(turn):
                self._drop(turn)
            case do.PausePlayout():
                self._held = True
            case do.ResumePlayout():
                self._held = False
            case do.PrepareReply(reply):
                sayings.prepared(reply)
            case do.StartReply(reply, side=False):
                if not sayings.started(reply):
                    self._asked_at = brain.mind.version
            case do.DiscardReply(reply):
                sayings.discarded(reply)
            case do.CancelReply(reply, reason):
                self._held = False
                sayings.cancelled(reply, reason)
            case _:
                pass

    # The user's words.

    def _hear(self, turn: TurnId, change: Change, speaker: str | None) -> list[ReplyId]:
        brain, sayings = self._brain, self._sayings
        if brain is None or sayings is None or not change:
            return []
        void, writer = sayings.take_back(), sayings.writer
        if self._held:
            pass  # it may be no more than a nod
        elif writer.span is None or writer.span.standing is Standing.UNTOLD:
            writer.break_off()
        else:
            writer.break_soon()
        brain.retract(turn, change.retracted)
        brain.hear(turn, change.words, speaker)
        return void

    def _look_for_end(self, turn: TurnId) -> None:
        """When all words of a turn that is over, or that pauses, are known, the brain need not wait for more."""
        brain, sayings = self._brain, self._sayings
        if brain is None or sayings is None or not self._turns.is_known(turn):
            return
        over = self._turns.let_go(turn)
        if over:
            self._untold_end = turn
        if self._turns.open in (None, turn):
            brain.close()
            yielded = over and not self._settings.listening.speak_tool and brain.mind.unanswered
            if sayings.unheard or yielded:
                self._asked_at = -1

    def _drop(self, turn: TurnId) -> None:
        """It was no turn, and the brain has heard nothing."""
        brain, sayings = self._brain, self._sayings
        if not self._turns.drop(turn) or brain is None or sayings is None:
            return
        brain.mind.drop(turn)
        self._asked_at = -1 if sayings.unheard else brain.mind.version
        if self._turns.open is None:
            brain.close()

    # What the brain wants.

    def pump(self) -> None:
        """Has the brain write or read, if there is anything new and it may."""
        brain, sayings = self._brain, self._sayings
        if brain is None or sayings is None or sayings.writer.busy:
            return
        self._tell_end(brain)
        mind, turn = brain.mind, self._settings.turn
        may_speak = turn.create_response and turn.detection is not Detection.MANUAL and not self._held
        if not mind.unanswered:
            return
        if may_speak and mind.version != self._asked_at and brain.policy.may_write():
            sayings.learn_what_was_heard()
            self._asked_at = self._read_at = mind.version
            sayings.unheard = False
            sayings.writer.write(self._settings.reply)
        elif brain.reads_ahead and mind.version not in (self._read_at, self._asked_at):
            sayings.learn_what_was_heard()
            self._read_at = mind.version
            sayings.writer.read(self._settings.reply)

    def _tell_end(self, brain: ListeningBrain) -> None:
        """The brain is told of the end of a turn that it has not spoken to."""
        turn, self._untold_end = self._untold_end, None
        if turn is not None and not self._spans.pending:
            brain.mind.silence(turn)

    def _think_aloud(self, text: str) -> None:
        if self._settings.listening.thoughts:
            self._outlet.thought(text)

    def _failed(self, error: EngineError) -> None:
        """It failed with nothing said. Where an answer is awaited that is told as the failure of one."""
        brain, sayings = self._brain, self._sayings
        if brain is None or sayings is None:
            return
        log.warning("a listening brain failed", error=str(error))
        sayings.unheard = True
        if not brain.policy.open and self._turns.open is None:
            sayings.fail(error)
