from __future__ import annotations

import numpy as np

from antiphon.sim.speech import levels, recordings, speech_bounds

RATE_HZ = 16_000


def test_the_recordings_are_there_with_their_texts_and_bounds() -> None:
    beckett, two_cities = recordings()
    assert beckett.text.startswith("Ever tried.")
    assert two_cities.text.startswith("It was the best of times")
    for recording, seconds in ((beckett, 10), (two_cities, 44)):
        assert abs(len(recording.samples) / RATE_HZ - seconds) < 1
        assert 0 < recording.start_sample < recording.end_sample < len(recording.samples)
        assert len(recording.pcm) == 2 * len(recording.samples)
        before = levels(recording.samples[: recording.start_sample])
        assert np.sqrt(np.mean(before**2)) < np.sqrt(np.mean(levels(recording.spoken) ** 2)) / 5


def test_bounds_are_those_of_the_sound() -> None:
    silence = np.zeros(RATE_HZ, np.int16)
    tone = (np.sin(np.arange(RATE_HZ) / 10) * 8000).astype(np.int16)
    start, end = speech_bounds(np.concatenate([silence, tone, silence]))
    assert abs(start - RATE_HZ) <= 160
    assert abs(end - 2 * RATE_HZ) <= 160
    assert speech_bounds(silence) == (0, 0)
