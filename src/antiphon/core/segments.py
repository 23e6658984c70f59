"""A turn's words by who said them. Times are in ms from the start of the turn's audio."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from antiphon.core.voice_spans import NamedSpan

_TAG = re.compile(r"^\[[^\]\n]{1,60}\]: ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Segment:
    """What one speaker said without a break. ``speaker`` is None where it could not be said."""

    speaker: str | None
    text: str
    start_ms: int
    end_ms: int


def one_segment(text: str, spans: Sequence[NamedSpan], speaker: str | None, length_ms: int) -> tuple[Segment, ...]:
    """All of a turn of ``length_ms`` as one speaker's; nothing where there are no words."""
    start_ms = min((span.start_ms for span in spans), default=0)
    end_ms = max((span.end_ms for span in spans), default=length_ms)
    return (Segment(speaker, text, start_ms, end_ms),) if text else ()


def runs_of(spans: Iterable[NamedSpan]) -> tuple[NamedSpan, ...]:
    """The spans in order, those of one speaker that follow on each other as one."""
    runs: list[NamedSpan] = []
    for span in sorted(spans, key=lambda each: each.start_ms):
        if runs and runs[-1].speaker == span.speaker:
            runs[-1] = replace(runs[-1], end_ms=max(runs[-1].end_ms, span.end_ms))
        else:
            runs.append(span)
    return tuple(runs)


def by_times(words: Iterable[tuple[str, int, int]], spans: Sequence[NamedSpan]) -> tuple[Segment, ...]:
    """Words that have times (text, start, end) as segments: a word is whose span is nearest to its middle."""

    def speaker(word: tuple[str, int, int]) -> str | None:
        middle_ms = (word[1] + word[2]) / 2
        return min(spans, key=lambda span: max(span.start_ms - middle_ms, middle_ms - span.end_ms, 0.0)).speaker

    return tuple(
        Segment(name, " ".join(word[0].strip() for word in said), said[0][1], said[-1][2])
        for name, group in groupby(words, key=speaker)
        if (said := list(group))
    )


def by_length(text: str, runs: Sequence[NamedSpan]) -> tuple[Segment, ...]:
    """Words without times, shared out by how long each run is: an estimate, for want of better."""
    words = text.split()
    total_ms = sum(run.length_ms for run in runs) or 1
    length = sum(map(len, words)) or 1
    texts: list[list[str]] = [[] for _ in runs]
    ends = [sum(run.length_ms for run in runs[: index + 1]) / total_ms for index in range(len(runs))]
    said = 0
    for word in words:
        middle = (said + len(word) / 2) / length
        said += len(word)
        texts[next(index for index, end in enumerate(ends) if middle <= end or index == len(runs) - 1)].append(word)
    return tuple(
        Segment(run.speaker, " ".join(part), run.start_ms, run.end_ms)
        for run, part in zip(runs, texts, strict=True)
        if part
    )


def tagged(segments: Iterable[Segment]) -> str:
    """The segments as a brain reads them where several people speak: a line each, ``[name]: words``."""
    lines = []
    for speaker, group in groupby(segments, key=lambda segment: segment.speaker):
        words = " ".join(segment.text for segment in group)
        lines.append(f"[{speaker}]: {words}" if speaker else words)
    return "\n".join(lines)


def untagged(text: str) -> str:
    """The words alone, for a brain that would take the names for words."""
    return _TAG.sub("", text)
