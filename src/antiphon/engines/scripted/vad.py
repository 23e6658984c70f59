"""A voice activity detector that goes by loudness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np

from antiphon.audio import Samples
from antiphon.engines.base import VadStream
from antiphon.engines.scripted.engine import ScriptedEngine
from antiphon.engines.scripted.options import Options


@dataclass(frozen=True, slots=True)
class VadOptions(Options):
    rms: float = 300.0
    """The level at which the probability is 0.5."""


class _VadStream:
    def __init__(self, rms: float, on_probability: Callable[[float], None]) -> None:
        self._power = rms * rms
        self._tell = on_probability

    def push(self, window: Samples) -> None:
        signal = window.astype(np.float32)
        power = float(signal @ signal) / len(signal)
        self._tell(power / (power + self._power))

    def reset(self) -> None:
        pass

    def close(self) -> None:
        pass


class ScriptedVad(ScriptedEngine):
    """Speech is what is loud. It answers at once, inside ``push``."""

    stage = "voice activity detector"

    def __init__(self, options: VadOptions | None = None) -> None:
        self._options = options or VadOptions()

    @classmethod
    def from_options(cls, options: str) -> Self:
        return cls(VadOptions.parse(options))

    def open(self, on_probability: Callable[[float], None]) -> VadStream:
        return _VadStream(self._options.rms, on_probability)
