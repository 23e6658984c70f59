"""From probabilities of speech to its edges, in media time.

Only the raw edges: how much silence ends a turn is decided in ``core.turns``, counting from ``SpeechPaused.at_ms``.
So both edges are given as early as they are trustworthy.
"""

from __future__ import annotations

from antiphon.core.events import SpeechPaused, SpeechStarted

WINDOW_MS = 32
"""What one probability is about: Silero's window of 512 samples at 16 kHz."""

HYSTERESIS = 0.15
"""Speech that goes on is believed at a probability lower by this than speech that begins (Silero's own reference)."""

CONFIDENT = 0.9
"""From here on one window is enough to start speech."""

LEAST_THRESHOLD = 0.01
"""A probability of 0 is never speech, whatever threshold a client asks for."""


class SpeechGate:
    """Turns the probabilities of one stream, window by window, into alternating edges.

    Speech starts with a run of windows at ``threshold`` or more that is ``min_speech_ms`` long, or that holds one
    window of ``CONFIDENT``; a dip by less than ``HYSTERESIS`` does not end the run. It pauses after ``min_pause_ms``
    below that. ``threshold`` (0 to 1) may be set at any time.
    """

    __slots__ = ("_last_speech_ms", "_min_pause_ms", "_min_speech_ms", "_run_start_ms", "_speaking", "_threshold")

    def __init__(self, threshold: float = 0.5, *, min_speech_ms: int = 64, min_pause_ms: int = 64) -> None:
        self.threshold = threshold
        self._min_speech_ms = min_speech_ms
        self._min_pause_ms = min_pause_ms
        self._speaking = False
        self._run_start_ms: int | None = None
        self._last_speech_ms = 0

    @property
    def threshold(self) -> float:
        return self._threshold

    @threshold.setter
    def threshold(self, threshold: float) -> None:
        self._threshold = max(threshold, LEAST_THRESHOLD)

    @property
    def speaking(self) -> bool:
        """The last edge was ``SpeechStarted``."""
        return self._speaking

    @property
    def _release(self) -> float:
        return max(self._threshold - HYSTERESIS, self._threshold / 2)

    def push(self, probability: float, end_ms: int) -> SpeechStarted | SpeechPaused | None:
        """Takes the next window's probability and the media time at which the window ends.

        ``SpeechStarted.at_ms`` is the start of the first window of the run, ``SpeechPaused.at_ms`` the end of the
        last window of speech.
        """
        if self._speaking:
            return self._while_speaking(probability, end_ms)
        return self._while_silent(probability, end_ms)

    def _while_speaking(self, probability: float, end_ms: int) -> SpeechPaused | None:
        if probability >= self._release:
            self._last_speech_ms = end_ms
        elif end_ms - self._last_speech_ms >= self._min_pause_ms:
            self._speaking = False
            return SpeechPaused(self._last_speech_ms, end_ms)
        return None

    def _while_silent(self, probability: float, end_ms: int) -> SpeechStarted | None:
        if probability < (self._threshold if self._run_start_ms is None else self._release):
            self._run_start_ms = None
            return None
        if self._run_start_ms is None:
            self._run_start_ms = max(end_ms - WINDOW_MS, self._last_speech_ms)
        start_ms = self._run_start_ms
        if end_ms - start_ms < self._min_speech_ms and probability < max(CONFIDENT, self._threshold):
            return None
        self._speaking = True
        self._run_start_ms = None
        self._last_speech_ms = end_ms
        return SpeechStarted(start_ms, end_ms)
