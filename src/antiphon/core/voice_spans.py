"""Who speaks when in one turn of the user, put together look by look as its audio comes.

A *look* is what a speaker model made of the last seconds of the turn. What was said of earlier audio stands: each look
adds who spoke since. All times are in ms from the start of the turn's audio.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from antiphon.core.who import HeardVoice, Span, Who

LOOK_MS = 1_000
"""A voice that still speaks, and has said less than this, is waited for."""

GOES_ON_MS = 300
"""It still speaks, if it was heard so shortly before the end."""

PATIENCE_MS = 6_000
"""So long a voice that nobody can be named for is looked at again, with what came since."""

SHORT_MS = 1_500
"""So short a piece of speech is rather the voice that went on than whom it resembles."""

LINK_MS = 300
"""So long a voice must have been heard before to be one that went on."""

JOIN_MS = 1_000
"""A pause of one speaker that is shorter divides nothing."""


@dataclass(frozen=True, slots=True)
class NamedSpan:
    """``speaker`` is None where it could not be said."""

    start_ms: int
    end_ms: int
    speaker: str | None

    @property
    def length_ms(self) -> int:
        return self.end_ms - self.start_ms


class VoiceSpans:
    """The speakers of one turn."""

    def __init__(self) -> None:
        self._spans: list[NamedSpan] = []
        self.done_ms = 0
        """Up to where it is settled who speaks."""

    def take(self, voices: Sequence[HeardVoice], from_ms: int, end_ms: int, who: Who, *, last: bool) -> None:
        """A look at the audio from ``from_ms`` to ``end_ms``; the embeddings are of what lies after ``done_ms``.

        ``last``: the user makes a pause, so that what there is must do.
        """
        known = self.done_ms
        settled_ms = end_ms
        for voice in sorted(voices, key=lambda each: -each.speech_ms):
            spans = [(start + from_ms, end + from_ms) for start, end in voice.spans]
            new = [(max(start, known), end) for start, end in spans if end > known]
            if not new:
                continue
            waits = not last and new[0][0] > end_ms - PATIENCE_MS
            if waits and voice.speech_ms < LOOK_MS and new[-1][1] > end_ms - GOES_ON_MS:
                settled_ms = min(settled_ms, new[0][0])
                continue
            name = self._who(voice, self._link([span for span in spans if span[0] < known]), who)
            if waits and name is None and voice.embedding is not None:
                settled_ms = min(settled_ms, new[0][0])
                continue
            self._spans += (NamedSpan(start, end, name) for start, end in new)
        self._spans = [_until(span, settled_ms) for span in self._spans if span.start_ms < settled_ms]
        self._spans.sort(key=lambda span: (span.start_ms, span.end_ms))
        self.done_ms = max(known, settled_ms)

    def _who(self, voice: HeardVoice, link: str | None, who: Who) -> str | None:
        if voice.embedding is None or (link is not None and voice.speech_ms < SHORT_MS):
            return link
        return who.hear(voice.embedding, voice.speech_ms) or link

    def _link(self, before: Iterable[Span]) -> str | None:
        """Who was said to speak where this voice did before, if that is clear."""
        shared: dict[str, int] = {}
        for start, end in before:
            for span in self._spans:
                both_ms = min(end, span.end_ms) - max(start, span.start_ms)
                if span.speaker is not None and both_ms > 0:
                    shared[span.speaker] = shared.get(span.speaker, 0) + both_ms
        best = max(shared, key=lambda name: shared[name], default=None)
        return best if best is not None and shared[best] >= LINK_MS else None

    @property
    def spans(self) -> tuple[NamedSpan, ...]:
        """In order, each as long as nobody else speaks. What nobody could be named for is the nearest speaker's."""
        named = [span for span in self._spans if span.speaker is not None]
        found: list[NamedSpan] = []
        for span in self._spans:
            speaker = span.speaker or (_nearest(span, named) if named else None)
            if found and found[-1].speaker == speaker and span.start_ms - found[-1].end_ms < JOIN_MS:
                span = NamedSpan(found[-1].start_ms, max(span.end_ms, found[-1].end_ms), speaker)
                found.pop()
            found.append(NamedSpan(span.start_ms, span.end_ms, speaker))
        return tuple(found)

    @property
    def speaker(self) -> str | None:
        """Who spoke last, as far as that is known."""
        named = [span for span in self._spans if span.speaker is not None]
        return max(named, key=lambda span: span.end_ms).speaker if named else None

    @property
    def main_speaker(self) -> str | None:
        """Who spoke longest."""
        return longest(self.spans)


def longest(spans: Iterable[NamedSpan]) -> str | None:
    """The speaker with the most speech; the first one of several."""
    total: dict[str, int] = {}
    for span in spans:
        if span.speaker is not None:
            total[span.speaker] = total.get(span.speaker, 0) + span.length_ms
    return max(total, key=lambda name: total[name], default=None)


def _until(span: NamedSpan, end_ms: int) -> NamedSpan:
    return span if span.end_ms <= end_ms else NamedSpan(span.start_ms, end_ms, span.speaker)


def _nearest(span: NamedSpan, named: Sequence[NamedSpan]) -> str | None:
    def gap_ms(other: NamedSpan) -> int:
        return max(other.start_ms - span.end_ms, span.start_ms - other.end_ms, 0)

    return min(named, key=gap_ms).speaker
