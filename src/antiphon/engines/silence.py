"""The silence around a synthesized piece: none before it, a natural pause after it.

Synthesizers put tens of milliseconds of silence before their speech, which a listener takes for a slow answer, and up
to half a second after it, which makes a reply that is synthesized clause by clause halt.
"""

from __future__ import annotations

import numpy as np

from antiphon.audio import Samples, samples_of

LEAD_MS = 5
"""Kept before the first sound, so that a soft onset is not cut."""

SENTENCE_PAUSE_MS = 200
COMMA_PAUSE_MS = 120
BARE_PAUSE_MS = 60
"""After a piece without punctuation at its end: the sentence goes on in the next one."""

_WINDOW_MS = 5
_LOUD_RMS = 250.0
"""-42 dBFS. Pico closes a sentence with a rustle of about half of that, some 400 ms after its last sound."""
_SOFT_RMS = 25.0
"""-62 dBFS. What is louder and leads up to a loud window is the onset of its sound, as the f of "fine"."""
_ONSET_GAP_WINDOWS = 3
"""An onset is a noise, so single windows of it may be quiet."""
_ONSET_MS = 150
"""The longest such onset."""

_SENTENCE_ENDS = ".!?…。！？"
_CLAUSE_ENDS = ",;:—–、，；："
_CLOSERS = "\"'”’»)]* \t\n"


def pause_after_ms(text: str) -> int:
    """The pause that a speaker makes after ``text``, by its last punctuation."""
    end = text.rstrip(_CLOSERS)[-1:]
    if end and end in _SENTENCE_ENDS:
        return SENTENCE_PAUSE_MS
    if end and end in _CLAUSE_ENDS:
        return COMMA_PAUSE_MS
    return BARE_PAUSE_MS


class SilenceTrimmer:
    """Takes the silence off both ends of one piece of speech as it streams through.

    Silence is held back until sound follows it, so pauses inside the piece stay as they are. One instance belongs to
    one piece; all PCM is mono s16 at ``rate_hz``.
    """

    __slots__ = ("_held", "_lead_samples", "_rate_hz", "_rest", "_started", "_window", "cut_samples")

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._window = rate_hz * _WINDOW_MS // 1000
        self._lead_samples = rate_hz * LEAD_MS // 1000
        self._rest = b""
        self._held = b""
        self._started = False
        self.cut_samples = 0
        """How much was taken off the front, at ``rate_hz``: word times move by it."""

    def push(self, pcm: bytes) -> bytes:
        """Feeds the next PCM, of any even length; returns what is known to belong to the piece."""
        data = self._rest + pcm
        whole = len(data) // (2 * self._window) * 2 * self._window
        self._rest = data[whole:]
        if not whole:
            return b""
        level = _rms(samples_of(data[:whole]).reshape(-1, self._window))
        loud = np.flatnonzero(level > _LOUD_RMS)
        if not len(loud):
            self._hold(data[:whole])
            return b""
        end = (int(loud[-1]) + 1) * 2 * self._window
        sound = self._held + data[:end]
        if not self._started:
            first = self._onset(sound, len(self._held) // (2 * self._window) + int(loud[0]))
            self.cut_samples += first // 2
            sound = sound[first:]
            self._started = True
        self._held = data[end:whole]
        return sound

    def finish(self, pause_ms: int) -> bytes:
        """What is left: the rest of the sound and a pause of exactly ``pause_ms``; nothing if there was no sound."""
        rest, self._rest = self._rest, b""
        if not self._started:
            return b""
        pause_bytes = self._rate_hz * pause_ms // 1000 * 2
        tail = (self._held + rest)[:pause_bytes]
        self._held = b""
        return tail + bytes(pause_bytes - len(tail))

    def _onset(self, sound: bytes, first_loud: int) -> int:
        """The byte at which to begin, given the index of the first loud window."""
        level = _rms(samples_of(sound[: first_loud * 2 * self._window]).reshape(-1, self._window))
        onset = first_loud
        for window in range(first_loud - 1, -1, -1):
            if level[window] > _SOFT_RMS:
                onset = window
            elif onset - window > _ONSET_GAP_WINDOWS:
                break
        return 2 * max(0, onset * self._window - self._lead_samples)

    def _hold(self, silence: bytes) -> None:
        self._held += silence
        if not self._started:
            kept = 2 * self._window * (_ONSET_MS // _WINDOW_MS)
            extra = max(0, len(self._held) - kept)
            self.cut_samples += extra // 2
            self._held = self._held[extra:]


def _rms(windows: Samples) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    sound = windows.astype(np.float32)
    mean: np.ndarray[tuple[int], np.dtype[np.float32]] = np.sqrt(np.einsum("ij,ij->i", sound, sound) / sound.shape[1])
    return mean
