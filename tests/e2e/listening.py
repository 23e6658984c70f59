"""What a listener would say of audio and of transcripts."""

from __future__ import annotations

import jiwer
import numpy as np

from antiphon.audio import samples_of
from antiphon.core.text import words_of


def loudness(pcm: bytes) -> float:
    """The root mean square of mono s16; 0 for no audio."""
    samples = samples_of(pcm).astype(np.float64)
    return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0


def word_error_rate(heard: str, said: str) -> float:
    """jiwer's, on words without case and punctuation."""
    return float(jiwer.wer(" ".join(words_of(said)), " ".join(words_of(heard))))


def words_in_common(heard: str, said: str) -> float:
    """The share of the words said that were heard, in any order."""
    wanted = words_of(said)
    got = set(words_of(heard))
    return sum(word in got for word in wanted) / len(wanted)
