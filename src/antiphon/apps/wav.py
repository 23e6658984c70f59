"""WAV files: reads PCM and float files of any rate and channel count, writes stereo ones."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from antiphon.audio import Samples
from antiphon.errors import ConfigError
from antiphon.riff import parse_wav


def read_wav(path: Path, rate_hz: int) -> bytes:
    """The file as mono s16 at ``rate_hz``, channels mixed. Raises ConfigError that says what is wrong with the file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from error
    try:
        return parse_wav(data).pcm(rate_hz)
    except ValueError as error:
        raise ConfigError(f"{path} {error}") from error


def write_stereo(path: Path, left: Samples, right: Samples, rate_hz: int) -> None:
    """Writes 16-bit stereo; the shorter side is filled with silence. Raises ConfigError when it cannot be written."""
    count = max(len(left), len(right))
    both = np.zeros((count, 2), "<i2")
    both[: len(left), 0] = left
    both[: len(right), 1] = right
    try:
        with path.open("wb") as stream, wave.open(stream) as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(both.tobytes())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
