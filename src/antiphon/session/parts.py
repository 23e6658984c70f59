"""Whose words are whose, in a turn in which several people spoke."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import structlog

from antiphon.audio import EAR_RATE_HZ, bytes_to_ms, ms_to_bytes
from antiphon.core.segments import Segment, by_length, by_times, runs_of
from antiphon.core.voice_spans import NamedSpan
from antiphon.engines.base import HeardWord, Recognizer
from antiphon.errors import EngineError

log = structlog.get_logger(__name__)

_LEAST_MS = 400
"""Less of one speaker in the midst of another is no part of its own."""

_MARGIN_MS = 100
"""Around a part that is recognized by itself."""

_QUIET = bytes(ms_to_bytes(_MARGIN_MS, EAR_RATE_HZ))


def parts_of(spans: Sequence[NamedSpan]) -> tuple[NamedSpan, ...]:
    """Who spoke after whom; one part or none where nobody took turns."""
    return runs_of(span for span in spans if span.speaker is not None and span.length_ms >= _LEAST_MS)


async def share_out(
    recognizer: Recognizer,
    language: str | None,
    text: str,
    words: Sequence[HeardWord],
    parts: Sequence[NamedSpan],
    pcm: bytes,
) -> tuple[Segment, ...]:
    """The words of a turn by who said them.

    By the times of the words where the recognizer gives them; else each part is recognized by itself, if ``pcm``, the
    turn's audio, reaches over all of them; else by how long each spoke.
    """
    if words:
        return by_times([(word.text, word.start_ms, word.end_ms) for word in words], parts)
    if parts[-1].end_ms <= bytes_to_ms(len(pcm), EAR_RATE_HZ) + _MARGIN_MS:
        try:
            return await _each(recognizer, language, parts, pcm)
        except EngineError as error:
            log.warning("a part of a turn was not recognized", error=str(error))
    return by_length(text, parts)


async def _each(
    recognizer: Recognizer, language: str | None, parts: Sequence[NamedSpan], pcm: bytes
) -> tuple[Segment, ...]:
    found: list[Segment] = []
    for part in parts:
        start = ms_to_bytes(max(0, part.start_ms - _MARGIN_MS), EAR_RATE_HZ)
        with closing(recognizer.open(_tell_nobody, language)) as stream:
            stream.feed(_QUIET + pcm[start : ms_to_bytes(part.end_ms + _MARGIN_MS, EAR_RATE_HZ)] + _QUIET)
            text = (await stream.final()).text.strip()
        if text:
            found.append(Segment(part.speaker, text, part.start_ms, part.end_ms))
    return tuple(found)


def _tell_nobody(_text: str) -> None:
    pass
