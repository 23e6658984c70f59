"""One piece of speech as other people's servers send it: raw PCM in bits of any length, or events that carry it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import orjson

from antiphon.audio import MOUTH_RATE_HZ, Resampler
from antiphon.engines.silence import SilenceTrimmer, pause_after_ms
from antiphon.errors import EngineError

_MOST_EVENT_BYTES = 16 * 1024 * 1024
"""A server that sends so much without the end of an event sends something else."""


class ServedSound:
    """From a server's PCM (mono s16 at ``rate_hz``, split anywhere) to ours, without the silence around it."""

    __slots__ = ("_half", "_resampler", "_trimmer")

    def __init__(self, rate_hz: int) -> None:
        self._trimmer = SilenceTrimmer(rate_hz)
        self._resampler = Resampler(rate_hz, MOUTH_RATE_HZ)
        self._half = b""

    @property
    def cut_samples(self) -> int:
        """How much was taken off the front, at the server's rate."""
        return self._trimmer.cut_samples

    def push(self, data: bytes) -> bytes:
        """Takes the next bytes; returns what is known to be speech, mono s16 at 48 kHz."""
        whole = self._half + data
        even = len(whole) // 2 * 2
        self._half = whole[even:]
        sound = self._trimmer.push(whole[:even])
        return self._resampler.push(sound) if sound else b""

    def finish(self, text: str) -> bytes:
        """What is left, and the pause that a speaker makes after ``text``; nothing where there was no sound."""
        pause = self._trimmer.finish(pause_after_ms(text))
        return self._resampler.push(pause, last=True) if pause else b""


async def pcm_of_events(content: AsyncIterator[bytes]) -> AsyncGenerator[bytes]:
    """The audio within server-sent events: OpenAI's ``speech.audio.delta``, SGLang-Omni's ``audio.speech.chunk``.

    Raises EngineError for an event that tells of a failure, and for what are no events.
    """
    rest = b""
    async for data in content:
        rest += data.replace(b"\r", b"")
        *events, rest = rest.split(b"\n\n")
        for event in events:
            if pcm := _pcm_of(event):
                yield pcm
        if len(rest) > _MOST_EVENT_BYTES:
            raise EngineError("the speech server announced events and sent something else")
    if pcm := _pcm_of(rest):
        yield pcm


def _pcm_of(event: bytes) -> bytes:
    said = b"\n".join(line[5:].strip() for line in event.split(b"\n") if line.startswith(b"data:"))
    if not said or said == b"[DONE]":
        return b""
    try:
        fields: Any = orjson.loads(said)
        if not isinstance(fields, dict):
            return b""
        if error := fields.get("error"):
            message = error.get("message") if isinstance(error, dict) else error
            raise EngineError(f"the speech server broke off: {message}", retryable=True)
        audio = fields.get("audio")
        encoded = audio.get("data") if isinstance(audio, dict) else audio
        return base64.b64decode(encoded) if isinstance(encoded, str) else b""
    except (ValueError, binascii.Error) as error:
        raise EngineError(f"the speech server sent an event that cannot be read: {error}") from error
