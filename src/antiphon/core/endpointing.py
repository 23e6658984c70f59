"""Endpointing: how long a silence ends the user's turn."""

from __future__ import annotations

from antiphon.core.settings import Detection, TurnSettings
from antiphon.core.text import words_of

LONGEST_WAIT_MS = {"low": 8000, "medium": 4000, "high": 2000, "auto": 4000}
"""The longest waits that the Realtime protocol gives for ``eagerness``."""

_COMPLETE_MS = {"low": 700, "medium": 400, "high": 250, "auto": 400}
_UNSURE_MS = {"low": 1800, "medium": 1000, "high": 600, "auto": 1000}

_WORDS = """
    a an and as at because but by er erm for from i i'm if into is my of or our than the their to uh um was were we
    with your
"""

_UNFINISHED = frozenset(_WORDS.split())
"""Words that rarely end an English sentence: function words that bind to what follows, and fillers."""


def sounds_finished(text: str) -> bool | None:
    """Whether the words could stand as a turn: True, False, or None where they do not tell.

    Recognizers put a full stop after anything, so the last word counts before the punctuation does.
    """
    words = words_of(text)
    if not words:
        return None
    stripped = text.rstrip()
    if stripped.endswith("?"):
        return True
    if words[-1] in _UNFINISHED or stripped.endswith((",", ";", ":", "-", "…", "...")):
        return False
    return True if stripped.endswith((".", "!", "。", "！", "？")) else None


def silence_needed_ms(settings: TurnSettings, text: str | None) -> int:
    """How long the user must be silent for the turn to be over. ``text`` are the words so far, None if unknown."""
    if settings.detection is not Detection.SEMANTIC:
        return settings.silence_duration_ms
    finished = None if text is None else sounds_finished(text)
    if finished is None:
        return _UNSURE_MS[settings.eagerness]
    return _COMPLETE_MS[settings.eagerness] if finished else LONGEST_WAIT_MS[settings.eagerness]
