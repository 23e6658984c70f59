"""Rendered audio on its way out: silence, rates, words."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.core.speech import Word
from antiphon.engines.rendered import RenderedPart
from antiphon.engines.silence import COMMA_PAUSE_MS

RATE_HZ = 24_000


class Listener:
    """Takes ``wanted`` emits."""

    def __init__(self, wanted: int = 100) -> None:
        self.pcm = b""
        self.words: list[Word] = []
        self._wanted = wanted

    def __call__(self, pcm: bytes, words: tuple[Word, ...]) -> bool:
        self.pcm += pcm
        self.words += words
        self._wanted -= 1
        return self._wanted > 0


def silence(seconds: float) -> npt.NDArray[np.float32]:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


def tone(seconds: float) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(np.arange(int(seconds * RATE_HZ)) / 10)).astype(np.float32)


def test_words_move_with_the_silence_that_is_cut() -> None:
    listener = Listener()
    part = RenderedPart("one two,", RATE_HZ, listener)
    assert part.push(np.concatenate([silence(0.3), tone(0.2)]), [Word(0, 3, 7200, 12000)])
    assert part.push(np.concatenate([tone(0.1), silence(0.5)]), [Word(4, 7, 0, 2400)])
    part.finish()
    [first, second] = listener.words
    assert first.start_sample < MOUTH_RATE_HZ // 100
    assert second.start_sample == first.end_sample == first.start_sample + MOUTH_RATE_HZ // 5
    assert abs(len(samples_of(listener.pcm)) / MOUTH_RATE_HZ - 0.3 - COMMA_PAUSE_MS / 1000) < 0.02


def test_what_is_too_loud_is_clipped_and_does_not_wrap() -> None:
    listener = Listener()
    part = RenderedPart("one", RATE_HZ, listener)
    part.push(np.full(RATE_HZ // 10, 3.0, np.float32))
    part.finish()
    assert samples_of(listener.pcm)[500:4000].min() > 30_000


def test_it_stops_when_nobody_listens() -> None:
    listener = Listener(wanted=1)
    part = RenderedPart("one", RATE_HZ, listener)
    assert not part.push(tone(0.1))
    heard = len(listener.pcm)
    assert not part.push(tone(0.1))
    part.finish()
    assert len(listener.pcm) == heard


def test_silence_alone_is_nothing() -> None:
    listener = Listener()
    part = RenderedPart("one", RATE_HZ, listener)
    assert part.push(silence(1))
    part.finish()
    assert listener.pcm == b""
