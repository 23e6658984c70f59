"""How much of a reply's text the voice is handed at a time: little while nothing is buffered, more as it builds up.

Short pieces sound soon; long ones sound better, as the voice knows what comes. What is buffered says how long a piece
may take to sound.
"""

from __future__ import annotations

from antiphon.core.clauses import Clause

CHARS_PER_S = 15.0
"""Of Latin letters, at an ordinary pace."""

LEAST_CHARS = 40
"""A piece of so many is not too short for the melody of its sentence: about 2.5 s of speech."""

MOST_CHARS = 140
"""About 9 s of speech, which an interruption throws away and a change of voice waits for."""

LONGEST_WAIT_S = 1.0
"""A piece waits for more text no longer than this, however much is buffered."""

_RESERVE_S = 0.3
"""Of what is buffered, not to be waited away."""

_SHARE = 0.7
"""So much of what is buffered may be over when a piece begins to sound."""


def longest_chars(buffered_s: float, wait_per_s: float, most_chars: int = MOST_CHARS) -> int:
    """How long the next piece may be while so much audio waits to be played.

    ``wait_per_s`` is how long the voice took to its first audio for each second of a piece: a voice that makes all of a
    piece before it gives any of it is handed less. 0 while nothing is buffered: the clause at hand alone.
    """
    if buffered_s <= 0:
        return 0
    seconds = buffered_s * _SHARE / max(wait_per_s, 0.05)
    return round(min(max(seconds * CHARS_PER_S, LEAST_CHARS), most_chars))


def patience_s(buffered_s: float, first_audio_s: float) -> float:
    """How long a piece that is at hand may wait for more text. ``first_audio_s``: what the voice takes to sound."""
    return min(max(buffered_s - 2 * first_audio_s - _RESERVE_S, 0.0), LONGEST_WAIT_S)


def is_whole(clause: Clause) -> bool:
    """It ends a sentence and is long enough for it."""
    return len(clause.spoken) >= LEAST_CHARS and clause.spoken.rstrip("\"'”’»)")[-1:] in ".!?…。！？"


def may_join(first: Clause, second: Clause, limit_chars: int) -> bool:
    """Whether two clauses that follow on each other can be said in one breath, in so many characters at most."""
    if not first.spoken or not second.spoken or len(first.spoken) + len(second.spoken) >= limit_chars:
        return False
    between = first.source[len(first.source.rstrip()) :] + second.source[: -len(second.source.lstrip()) or None]
    return "\n" not in between or not first.spoken[-1:].isalnum()  # the end of a line is a pause of its own


def joined(first: Clause, second: Clause) -> Clause:
    """Both as one. The voice gets the text that it would have got had there been no cut."""
    spaced = first.source[-1:].isspace() or second.source[:1].isspace() or first.spoken[-1:] == ","
    spoken = f"{first.spoken} {second.spoken}" if spaced else first.spoken + second.spoken
    chars, source = len(spoken) - len(second.spoken), len(first.source)
    marks = tuple((chars + spoken_end, source + source_end) for spoken_end, source_end in second.marks)
    return Clause(spoken, first.source + second.source, (*first.marks, *marks))
