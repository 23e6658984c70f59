"""Which of the things that a brain says are still to come, and which the user's next words make void."""

from __future__ import annotations

from antiphon.core.mind import Mind
from antiphon.core.writing import Said, SpeakBegan, SpeakEnded
from antiphon.ids import ItemId, ReplyId
from antiphon.session.span import Span, Standing
from antiphon.session.spans import Spans


def span(name: str, standing: Standing = Standing.WISHED) -> Span:
    made = Span(ReplyId(name), 1, 0, "rule:")
    made.standing = standing
    return made


def spans_of(**standings: Standing) -> Spans:
    spans = Spans()
    for name, standing in standings.items():
        spans.add(span(name, standing))
    return spans


def names(spans: list[Span]) -> list[str]:
    return [each.id for each in spans]


def test_words_void_what_nobody_has_heard() -> None:
    spans = spans_of(old=Standing.OVER, ready=Standing.PREPARED, waiting=Standing.WISHED)
    assert names(spans.unheard) == ["ready", "waiting"]
    assert names(spans.pending) == ["ready", "waiting"]


def test_what_waits_behind_a_reply_that_sounds_is_left_to_turn_taking() -> None:
    spans = spans_of(now=Standing.STARTED, next=Standing.WISHED)
    assert spans.unheard == []
    assert spans.wished
    spans.end_started()
    assert names(spans.unheard) == ["next"]


def test_only_the_latest_are_remembered_and_all_that_are_to_come() -> None:
    spans = Spans()
    for number in range(40):
        spans.add(span(str(number), Standing.OVER))
    assert len(list(spans)) == 16
    spans = Spans()
    for number in range(40):
        spans.add(span(str(number)))
    assert len(list(spans)) == 40


def test_the_mind_learns_once_what_was_heard() -> None:
    spans, mind = Spans(), Mind()
    cut = span("cut", Standing.OVER)
    cut.cut = True  # before it sounded
    spans.add(cut)
    mind.begin()
    for event in (SpeakBegan("<speak>"), Said("one", "one"), SpeakEnded("</speak>")):
        mind.write(event, cut.id)
    mind.end()
    spans.tell_heard(mind)
    assert mind.messages() == ()
    assert cut.learnt == ""
    assert spans.of_item(ItemId("item")) is None
