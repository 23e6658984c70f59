"""Barge-in: what to do with a reply while the user makes a sound over it. The policy is the one table below."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from antiphon.core.text import words_of


class Verdict(Enum):
    WAIT = auto()
    """Hold the reply; it is too early to tell."""
    CANCEL = auto()
    """The user wants the floor."""
    RESUME = auto()
    """It was nothing, or a listener's "uh-huh": go on from the exact sample."""


_TOKENS = """
    ah aha alright cool good great hm hmm huh interesting mhm mm mmhm mmm nice oh ok okay really right sure true
    uh uhhuh uhuh um wow yeah yep yes yup
"""

BACKCHANNELS = frozenset(_TOKENS.split())
"""Words that listeners say without wanting the floor. After the usual lists of English response tokens
(Yngve 1970; Gardner 2001), less "no", "wait" and "stop", which are interruptions."""


@dataclass(frozen=True, slots=True)
class BargeInPolicy:
    """The settings of the table."""

    cancel_after_ms: int = 420
    """Speech that has gone on for so long with no backchannel heard in it takes the floor."""
    hold_backchannel_ms: int = 900
    """Speech that so far sounds like a backchannel may go on for so long before it takes the floor."""
    interrupt_words: int = 2
    """So many words that are not backchannels take the floor at once, while the recognizer is still guessing; of what
    it finds in the end, one does. (The first guess at a short sound is often wrong.)"""
    max_backchannel_words: int = 3
    """More words than this are a turn, whatever they are."""
    resume_after_ms: int = 600
    """Silence after the sound for so long, with no words found in it, resumes the reply."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the sound so far."""

    speaking: bool
    """The user is making it still."""
    held_ms: float
    """How long the reply has been held."""
    quiet_ms: float
    """How long the user has been silent; 0 while speaking."""
    text: str | None
    """The words so far; None when the recognizer has said nothing yet."""
    final: bool
    """``text`` is the recognizer's last word on this sound."""


def is_backchannel(text: str, policy: BargeInPolicy) -> bool:
    """Whether the words are a listener's response token and no more."""
    words = words_of(text)
    return 0 < len(words) <= policy.max_backchannel_words and all(word in BACKCHANNELS for word in words)


def _content_words(text: str) -> int:
    return sum(word not in BACKCHANNELS for word in words_of(text))


def _takes_the_floor(e: Evidence, p: BargeInPolicy) -> bool:
    if e.text is None:
        return False
    needed = 1 if e.final else p.interrupt_words
    return _content_words(e.text) >= needed or len(words_of(e.text)) > p.max_backchannel_words


def _heard_backchannel(e: Evidence, p: BargeInPolicy) -> bool:
    return e.text is not None and is_backchannel(e.text, p)


Rule = tuple[str, Callable[[Evidence, BargeInPolicy], bool], Verdict]

TABLE: tuple[Rule, ...] = (
    ("words that want the floor", _takes_the_floor, Verdict.CANCEL),
    ("a lone backchannel, over", lambda e, p: e.final and not e.speaking and _heard_backchannel(e, p), Verdict.RESUME),
    ("a sound without words, over", lambda e, p: e.final and not e.speaking, Verdict.RESUME),
    (
        "words that nobody confirmed, over",
        lambda e, p: not e.speaking and e.quiet_ms >= p.resume_after_ms and _content_words(e.text or "") > 0,
        Verdict.CANCEL,
    ),
    ("silent again, words never came", lambda e, p: not e.speaking and e.quiet_ms >= p.resume_after_ms, Verdict.RESUME),
    ("silent, words may still come", lambda e, p: not e.speaking, Verdict.WAIT),
    (
        "a backchannel that goes on",
        lambda e, p: _heard_backchannel(e, p) and e.held_ms < p.hold_backchannel_ms,
        Verdict.WAIT,
    ),
    ("speech that goes on", lambda e, p: e.held_ms >= p.cancel_after_ms, Verdict.CANCEL),
    ("too early to tell", lambda e, p: True, Verdict.WAIT),
)
"""Read from the top; the first rule that applies decides."""


def judge(evidence: Evidence, policy: BargeInPolicy) -> Verdict:
    """The verdict of the first rule of ``TABLE`` that applies."""
    return next(verdict for _, applies, verdict in TABLE if applies(evidence, policy))
