"""The recordings that voices are cloned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from antiphon.audio import resample, samples_of
from antiphon.errors import EngineError
from antiphon.riff import is_wav, parse_wav

MAX_S = 30.0
"""What is longer is cut: models that clone were trained on less."""
MIN_S = 0.5


def read_reference(path: Path, rate_hz: int) -> npt.NDArray[np.float32]:
    """A recording's first ``MAX_S`` seconds, mono, -1 to 1, at ``rate_hz``, shape (samples,). Raises EngineError.

    WAV files of PCM and float are read as they are, other formats by the package ``soundfile``.
    """
    try:
        data = path.read_bytes()
        pcm = parse_wav(data).pcm(rate_hz) if is_wav(data) else _by_soundfile(path, rate_hz)
    except OSError as error:
        raise EngineError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise EngineError(f"{path} {error}") from error
    samples = samples_of(pcm)[: int(MAX_S * rate_hz)]
    if len(samples) < MIN_S * rate_hz:
        raise EngineError(f"{path} is too short to clone a voice from: some 10 seconds of speech are enough")
    return samples.astype(np.float32) / 32768.0


def _by_soundfile(path: Path, rate_hz: int) -> bytes:
    try:
        import soundfile
    except ImportError as error:
        raise EngineError(f"{path} is no WAV file: convert it, or run `pip install 'antiphon[audio]'`") from error
    try:
        with soundfile.SoundFile(path) as file:
            sound = file.read(int(MAX_S * file.samplerate), dtype="float32", always_2d=True)
            own_rate_hz = int(file.samplerate)
    except soundfile.SoundFileError as error:
        raise EngineError(f"{path} is no sound file that can be read here: convert it to WAV") from error
    pcm = (np.clip(sound.mean(axis=1), -1.0, 1.0) * 32767.0).astype("<i2").tobytes()
    return resample(pcm, own_rate_hz, rate_hz)
