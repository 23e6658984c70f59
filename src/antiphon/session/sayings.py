"""What a listening brain says, from its first words to what was heard of it: wished for, let out, cut, thrown away."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from antiphon.core import events as on
from antiphon.core.actions import CancelReason
from antiphon.core.events import Event
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ItemId, ReplyId
from antiphon.session.listening import ListeningBrain
from antiphon.session.replies import Replies
from antiphon.session.span import Span, Standing
from antiphon.session.spans import Spans
from antiphon.session.writer import Writer, WriterHost


class Sayings:
    """Those of one brain, with who writes them."""

    def __init__(
        self,
        brain: ListeningBrain,
        spans: Spans,
        replies: Replies,
        ids: IdSource,
        group: asyncio.TaskGroup,
        post: Callable[[Event], None],
        *,
        thought: Callable[[str], None],
        failed: Callable[[EngineError], None],
        idle: Callable[[], None],
    ) -> None:
        """``thought``, ``failed`` and ``idle`` are those of ``WriterHost``."""
        self._brain = brain
        self._spans = spans
        self._replies = replies
        self._post = post
        self.writer = Writer(brain, ids, group, WriterHost(self._wish, self._stop, thought, failed, idle))
        self.unheard = False
        """Nobody has heard what was written: the brain is to be asked again when the user is silent."""

    # What the brain wants.

    def _wish(self, span: Span) -> None:
        self._spans.add(span)
        self._replies.offer(span)
        self._stand(span, Standing.WISHED)
        self._post(on.BrainSpeaks(span.id))

    def _stop(self) -> None:
        """The brain stops what it says, if it has heard something since it wrote that."""
        for span in self._spans.pending:
            if span.run < self.writer.run and span.heard_words < self._brain.heard_words:
                self._post(on.BrainStops(span.id))

    def fail(self, error: EngineError) -> None:
        """Tells of a failure with nothing said, as of that of a reply."""
        span = self.writer.make_span()
        self._wish(span)
        span.fail(error)

    # What becomes of it.

    def take_back(self) -> list[ReplyId]:
        """What was written before the user's newest words were known, and nobody has heard, is void."""
        void = self._spans.unheard
        for span in void:
            self._throw_away(span)
        return [span.id for span in void]

    def prepared(self, reply: ReplyId) -> None:
        if reply in self._spans:
            self._stand(self._spans[reply], Standing.PREPARED)

    def started(self, reply: ReplyId) -> bool:
        """One reply is live at a time. False for one that somebody else asked for: the brain need not speak too."""
        self._spans.end_started()
        if reply not in self._spans:
            self.writer.break_off()
            return False
        self._stand(self._spans[reply], Standing.STARTED)
        return True

    def discarded(self, reply: ReplyId) -> None:
        if reply in self._spans:
            self._throw_away(self._spans[reply])

    def cancelled(self, reply: ReplyId, reason: CancelReason) -> None:
        """The rest of it will not be heard. Whoever got no word of it, and spoke on, may still await an answer."""
        if reply not in self._spans:
            return
        span = self._spans[reply]
        span.cut = True
        self._stand(span, Standing.OVER)
        if span.run == self.writer.run:
            self.writer.break_off()
        if reason is CancelReason.TURN_DETECTED and not span.heard:
            self.unheard = True
            self.learn_what_was_heard()

    def forget(self, item: ItemId) -> None:
        """The client has deleted an item, which may be one that was said."""
        if (span := self._spans.of_item(item)) is not None:
            self._brain.mind.cut(span.id, "")

    def learn_what_was_heard(self) -> None:
        self._spans.tell_heard(self._brain.mind)

    def _stand(self, span: Span, standing: Standing) -> None:
        span.standing = standing
        if self._spans.wished:
            self.writer.room.clear()
        else:
            self.writer.room.set()

    def _throw_away(self, span: Span) -> None:
        """Nothing of it was heard, and nothing will be: it was not written, nor what came after it."""
        if span.run == self.writer.run:
            self.writer.break_off()
        self._stand(span, Standing.OVER)
        self._spans.remove(span)
        self._replies.withdraw(span.id)
        self._brain.mind.cut_back(span.id)
        self._brain.rewind(span.written)
        self.unheard = True
