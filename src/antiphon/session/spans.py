"""What a listening brain is saying, wants to say, and has said lately."""

from __future__ import annotations

from collections.abc import Iterator

from antiphon.core.mind import Mind
from antiphon.ids import ItemId, ReplyId
from antiphon.session.span import Span, Standing

_REMEMBERED = 16
"""Of so many of the latest it is followed how much was heard."""

_PENDING = (Standing.WISHED, Standing.PREPARED, Standing.STARTED)


class Spans:
    """By the names of their replies, in the order in which they were wished for."""

    def __init__(self) -> None:
        self._spans: dict[ReplyId, Span] = {}

    def __contains__(self, reply: ReplyId) -> bool:
        return reply in self._spans

    def __getitem__(self, reply: ReplyId) -> Span:
        return self._spans[reply]

    def __iter__(self) -> Iterator[Span]:
        return iter(tuple(self._spans.values()))

    def add(self, span: Span) -> None:
        """Another one; the oldest that is over may be forgotten for it."""
        self._spans[span.id] = span
        oldest = next(iter(self._spans.values()))
        if len(self._spans) > _REMEMBERED and oldest.standing not in _PENDING:
            del self._spans[oldest.id]

    def remove(self, span: Span) -> None:
        del self._spans[span.id]

    @property
    def pending(self) -> list[Span]:
        """Those that are not over."""
        return [span for span in self if span.standing in _PENDING]

    @property
    def wished(self) -> bool:
        """One waits until turn-taking has decided about it."""
        return any(span.standing is Standing.WISHED for span in self)

    @property
    def unheard(self) -> list[Span]:
        """Those that the user's next words make void. What waits behind another that sounds is not among them."""
        sounding = any(span.standing is Standing.STARTED for span in self)
        void = (Standing.PREPARED,) if sounding else (Standing.PREPARED, Standing.WISHED)
        return [span for span in self if span.standing in void]

    def end_started(self) -> None:
        """Another reply starts: what was before it plays on unwatched, if at all."""
        for span in self:
            if span.standing is Standing.STARTED:
                span.standing = Standing.OVER

    def of_item(self, item: ItemId) -> Span | None:
        """The one that has become this item of the conversation."""
        for span in self:
            if span.reply is not None and (told := span.reply.told.item) is not None and told.id == item:
                return span
        return None

    def tell_heard(self, mind: Mind) -> None:
        """The context keeps of each what was heard of it."""
        for span in self:
            heard = span.heard
            if heard is not None and heard != span.learnt:
                span.learnt = heard
                mind.cut(span.id, heard)
