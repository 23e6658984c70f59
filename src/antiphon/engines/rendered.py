"""What a neural voice renders, on its way out: silence off both ends, resampled, words in their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from antiphon.audio import MOUTH_RATE_HZ, Resampler
from antiphon.core.speech import Word
from antiphon.engines.segments import Emit
from antiphon.engines.silence import SilenceTrimmer, pause_after_ms


class RenderedPart:
    """The audio of one part of a text. Belongs to the thread that renders it."""

    def __init__(self, text: str, rate_hz: int, emit: Emit) -> None:
        self._text = text
        self._rate_hz = rate_hz
        self._emit = emit
        self._trimmer = SilenceTrimmer(rate_hz)
        self._resampler = Resampler(rate_hz, MOUTH_RATE_HZ)
        self._waiting: list[Word] = []
        self._rendered_samples = 0
        self._going = True

    def push(self, sound: npt.NDArray[np.float32], words: Sequence[Word] = ()) -> bool:
        """Takes the next samples, -1 to 1, and words whose times count from the first of them, at its rate.

        Returns whether to go on.
        """
        if not self._going:
            return False
        for word in words:
            start, end = (self._rendered_samples + sample for sample in (word.start_sample, word.end_sample))
            self._waiting.append(replace(word, start_sample=start, end_sample=end))
        self._rendered_samples += len(sound)
        pcm = (np.clip(sound, -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
        audible = self._trimmer.push(pcm)
        if audible:
            self._going = self._emit(self._resampler.push(audible), self._take_words())
        return self._going

    def finish(self) -> None:
        """No more comes: the pause after the part."""
        pause = self._trimmer.finish(pause_after_ms(self._text)) if self._going else b""
        if pause:
            self._emit(self._resampler.push(pause, last=True), self._take_words())

    def _take_words(self) -> tuple[Word, ...]:
        """At 48 kHz, from the first sample that left."""
        words, self._waiting = self._waiting, []
        return tuple(
            replace(word, start_sample=self._moved(word.start_sample), end_sample=self._moved(word.end_sample))
            for word in words
        )

    def _moved(self, sample: int) -> int:
        return max(0, sample - self._trimmer.cut_samples) * MOUTH_RATE_HZ // self._rate_hz
