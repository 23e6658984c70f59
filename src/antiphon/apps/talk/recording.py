"""Both sides of a call on one clock: what the user said and what the loudspeaker played meanwhile."""

from __future__ import annotations

from pathlib import Path

from antiphon.apps.wav import write_stereo
from antiphon.audio import WIRE_PCM_RATE_HZ, samples_of


class CallRecording:
    """Grows frame by frame. Mono s16 at 24 kHz on either side."""

    def __init__(self) -> None:
        self._user = bytearray()
        self._agent = bytearray()

    def add(self, user: bytes, agent: bytes) -> None:
        """What was said and what was played in the same moment; equally long."""
        self._user += user
        self._agent += agent

    def write(self, path: Path) -> None:
        """A stereo WAV file: the user left, the agent right. Raises ConfigError when it cannot be written."""
        write_stereo(path, samples_of(self._user), samples_of(self._agent), WIRE_PCM_RATE_HZ)
