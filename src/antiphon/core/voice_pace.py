"""How quickly a voice gives its audio, and how many clauses it therefore has to speak at once to keep up."""

from __future__ import annotations

from math import ceil

from antiphon.core.pieces import CHARS_PER_S

MOST_STREAMS = 3

_KEEPS_UP = 0.7
"""A voice that takes so much of a second for a second of audio keeps up, with some air."""

_MARGIN_S = 0.1
"""So much earlier than it is needed the next clause's first audio should be there."""

_MEMORY = 0.5
"""What the last piece counts against all before it."""


class VoicePace:
    """Learned from one piece after the other, as somebody who waits for the audio sees it."""

    def __init__(self) -> None:
        self.first_audio_s = 0.0
        """From the text to its first audio; 0 while nothing is known."""
        self.rtf = 0.0
        """Seconds waited for a second of audio, the first one included; 0 while nothing is known."""
        self.wait_per_s = 0.0
        """Seconds to the first audio, for a second of the piece."""
        self._waited_s = 0.0
        self._first_s: float | None = None
        self._audio_s = 0.0

    def took(self, waited_s: float, audio_s: float, *, last: bool) -> None:
        """The next audio of the piece came after so long. ``last``: it ends the piece."""
        self._waited_s += waited_s
        self._audio_s += audio_s
        if self._first_s is None and audio_s:
            self._first_s = self._waited_s
        if last:
            self._learn()

    def _learn(self) -> None:
        first_s, audio_s, waited_s = self._first_s, self._audio_s, self._waited_s
        self.start_over()
        if first_s is None or not audio_s:
            return
        self.first_audio_s = _mean(self.first_audio_s, first_s)
        self.rtf = _mean(self.rtf, waited_s / audio_s)
        self.wait_per_s = _mean(self.wait_per_s, first_s / audio_s)

    def start_over(self) -> None:
        """What was heard of the piece that was begun says nothing."""
        self._waited_s, self._first_s, self._audio_s = 0.0, None, 0.0

    def streams(self, buffered_s: float, left_chars: int) -> int:
        """How many clauses should be spoken at once, from 1 to 3.

        ``buffered_s`` waits to be played, ``left_chars`` are about what is still to come of the piece that is spoken.
        """
        left_s = left_chars / CHARS_PER_S
        buffered_then_s = buffered_s + left_s * (1 - self.rtf)
        if self.rtf <= _KEEPS_UP and buffered_then_s >= self.first_audio_s + _MARGIN_S:
            return 1
        return min(max(ceil(self.rtf / _KEEPS_UP), 2), MOST_STREAMS)


def _mean(before: float, now: float) -> float:
    return now if not before else before + (now - before) * _MEMORY
