"""The cheap gate in front of the neural VAD: may there be speech in this window at all?

The noise floor is the least level of the last seconds, after the minimum statistics of Martin (2001): speech has
dips between and within words, steady noise has not. Nothing has to be trained or told when speech is on.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from antiphon.audio import Samples

OPEN_RATIO = 1.35
"""So much louder than the floor (2.6 dB) may be speech. Steady noise of any colour stays within 1.2."""

LEAST_LEVEL = 3.0
"""In sample steps (about -81 dBFS): the VAD finds no speech in anything quieter."""

CLEAR_RATIO = 18.0
"""Where the loudest of the last seconds was so far above the floor (25 dB), the floor is surely silence: the least
part of speech is louder. In more noise than that, weak sounds of speech sink into the floor."""

HANGOVER_WINDOWS = 24
"""How long the gate stays open after the last loud window: 768 ms. The VAD's memory of speech fades in that time;
frozen earlier, it would take the next thud for speech (measured: 14 % of low thuds at 320 ms, 5 % here, 2 % with no
gate at all), and frozen here it still finds the next onset 45 ms sooner than with no gate."""

_BLOCK_WINDOWS = 16
_BLOCKS = 8
"""The floor is the minimum over these: 4 s. A rise of the noise costs the VAD's work for so long."""


def level_of(window: Samples) -> float:
    """The loudness of int16 samples, in sample steps: the RMS of their differences.

    Differencing takes away rumble and hum, whose level wavers from window to window, and leaves speech and hiss.
    """
    if len(window) < 2:
        return 0.0
    wide = np.diff(window.astype(np.float32))
    return math.sqrt(float(np.dot(wide, wide)) / len(wide))


class EnergyGate:
    """Of one stream. Wants the level of every window, in order.

    The VAD's stream is left as it is over the windows that the gate keeps from it, not reset: what it remembers of
    the speech before lets it find the next onset sooner.
    """

    __slots__ = ("_block_left", "_greatest", "_least", "_loud", "_open_windows")

    def __init__(self) -> None:
        self._least = deque([math.inf], _BLOCKS)
        self._greatest = deque([0.0], _BLOCKS)
        self._block_left = _BLOCK_WINDOWS
        self._open_windows = HANGOVER_WINDOWS
        self._loud = False

    @property
    def floor(self) -> float:
        """The level of the noise; that of the last window until another was heard."""
        return min(self._least)

    @property
    def surely_silent(self) -> bool:
        """The last window held no speech, whatever the VAD, which is slow to let go, makes of it."""
        return not self._loud and max(self._greatest) > max(self.floor, LEAST_LEVEL) * CLEAR_RATIO

    def may_be_speech(self, level: float) -> bool:
        """Takes ``level_of`` the next window; false if the VAD need not look at it: it counts as no speech."""
        self._learn(level)
        self._loud = level > max(self.floor * OPEN_RATIO, LEAST_LEVEL)
        self._open_windows = HANGOVER_WINDOWS if self._loud else max(self._open_windows - 1, 0)
        return self._open_windows > 0

    def _learn(self, level: float) -> None:
        if self._block_left == 0:
            self._least.append(math.inf)
            self._greatest.append(0.0)
            self._block_left = _BLOCK_WINDOWS
        self._block_left -= 1
        self._least[-1] = min(self._least[-1], level)
        self._greatest[-1] = max(self._greatest[-1], level)
