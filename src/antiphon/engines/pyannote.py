"""Who speaks when, and what each voice is like: the networks of pyannote's "community-1", on onnxruntime.

In up to ten seconds the segmentation tells apart up to three voices, also where they overlap; each then gets an
embedding of its own, made of where it speaks alone as far as that is enough. Who the voices are is not its business.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from antiphon.audio import EAR_RATE_HZ, Samples, samples_of
from antiphon.core.who import Embedding, HeardVoice, Span, unit
from antiphon.engines.filterbank import SHIFT_SAMPLES, filterbank, frames_in
from antiphon.engines.onnx_runs import open_session
from antiphon.engines.speaker_files import EMBEDDING, REINSTALL, SEGMENTATION, library, read_network
from antiphon.errors import EngineError

WINDOW_S = 10
"""What the segmentation looks at."""
WINDOW_SAMPLES = WINDOW_S * EAR_RATE_HZ

_STEP_SAMPLES = 270
"""From one of its answers to the next."""
_FIRST_SAMPLE = (991 - _STEP_SAMPLES) // 2
"""An answer is about 991 samples: it stands for those in the middle."""

_LEAST_MS = 400
"""Of less speech there is no embedding."""
_JOIN_MS = 200
"""Pauses of a voice that are shorter divide nothing."""
_SAMPLES_PER_MS = EAR_RATE_HZ // 1000
_FRAMES_PER_MS = _SAMPLES_PER_MS / SHIFT_SAMPLES

_Mask = npt.NDArray[np.bool_]


class Pyannote:
    """The shared engine. One look at a time; a second of new speech costs some 70 ms of CPU."""

    name = "pyannote:community-1"
    description = "pyannote community-1 with WeSpeaker's ResNet34, on this machine's CPU"

    def __init__(self) -> None:
        self._segmentation: Any = None
        self._embedding: Any = None
        self._thread: ThreadPoolExecutor | None = None

    async def load(self) -> None:
        if self._thread is not None:
            return
        thread = ThreadPoolExecutor(1, thread_name_prefix="pyannote")
        try:
            await asyncio.get_running_loop().run_in_executor(thread, self._load)
        except BaseException as error:
            thread.shutdown(wait=False)
            if isinstance(error, EngineError) or not isinstance(error, Exception):
                raise
            raise EngineError(f"the speaker models cannot be loaded ({error}): {REINSTALL}") from error
        self._thread = thread

    def _load(self) -> None:
        path = library()
        self._segmentation = open_session(read_network(SEGMENTATION, path))
        self._embedding = open_session(read_network(EMBEDDING, path))
        noise = np.random.default_rng(0).integers(-999, 999, EAR_RATE_HZ, np.int16)
        self._listen(noise, 0)
        self._embed(noise, np.ones(frames_in(len(noise)), np.bool_))

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown, cancel_futures=True)
        self._segmentation = self._embedding = None

    async def voices(self, pcm: bytes, from_ms: int = 0) -> tuple[HeardVoice, ...]:
        """As ``engines.base.SpeakerModel``."""
        if self._thread is None:
            raise EngineError("the speaker models are not loaded: await load() first")
        samples = samples_of(pcm)
        if len(samples) > WINDOW_SAMPLES:
            raise ValueError(f"at most {WINDOW_S} s at a time")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._listen, samples, from_ms)
        except Exception as error:
            raise EngineError(f"the speaker models failed: {error}", retryable=True) from error

    # In the thread.

    def _listen(self, samples: Samples, from_ms: int) -> tuple[HeardVoice, ...]:
        padded = np.zeros((1, 1, WINDOW_SAMPLES), np.float32)
        padded[0, 0, : len(samples)] = samples.astype(np.float32) / 32768
        (answers,) = self._segmentation.run(["segmentation"], {"waveforms": padded})
        active: _Mask = answers[0] > 0.5
        length_ms = len(samples) // _SAMPLES_PER_MS
        spans = [_spans(active[:, voice], length_ms) for voice in range(active.shape[1])]
        frames = frames_in(len(samples))
        masks = np.array([_mask(each, from_ms, frames) for each in spans])
        crowded = masks.sum(axis=0) > 1
        return tuple(
            self._heard(samples, each, mask, mask & ~crowded) for each, mask in zip(spans, masks, strict=True) if each
        )

    def _heard(self, samples: Samples, spans: tuple[Span, ...], mask: _Mask, alone: _Mask) -> HeardVoice:
        """``mask``: the frames in which the voice is new; ``alone``: those of them in which no other is."""
        least = _LEAST_MS * _FRAMES_PER_MS
        chosen = alone if alone.sum() >= least else mask
        if chosen.sum() < least:
            return HeardVoice(spans)
        return HeardVoice(spans, round(chosen.sum() / _FRAMES_PER_MS), self._embed(samples, chosen))

    def _embed(self, samples: Samples, mask: _Mask) -> Embedding:
        """What the voice is like in the frames of the mask."""
        where = np.flatnonzero(mask)
        first, last = int(where[0]), int(where[-1])
        bands = filterbank(samples)[first : last + 1]
        features = bands - bands.mean(axis=0)
        weights = mask[first : last + 1].astype(np.float32)
        (found,) = self._embedding.run(["embedding"], {"fbank": features[np.newaxis], "weights": weights[np.newaxis]})
        return unit(tuple(map(float, found[0])))


def _spans(active: _Mask, length_ms: int) -> tuple[Span, ...]:
    """Where a voice sounds, in ms, within the audio there is."""
    edges = np.flatnonzero(np.diff(active.astype(np.int8), prepend=0, append=0))
    found: list[Span] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        start_ms, end_ms = (_ms_of(int(answer)) for answer in (start, end))
        end_ms = min(end_ms, length_ms)
        if found and start_ms - found[-1][1] < _JOIN_MS:
            found[-1] = found[-1][0], end_ms
        elif start_ms < end_ms:
            found.append((start_ms, end_ms))
    return tuple(found)


def _ms_of(answer: int) -> int:
    """Where an answer of the segmentation begins; the first one with the audio."""
    return (answer * _STEP_SAMPLES + _FIRST_SAMPLE) // _SAMPLES_PER_MS if answer else 0


def _mask(spans: tuple[Span, ...], from_ms: int, frames: int) -> _Mask:
    """The frames of the spans, from ``from_ms`` on."""
    mask = np.zeros(frames, np.bool_)
    for start_ms, end_ms in spans:
        mask[int(max(start_ms, from_ms) * _FRAMES_PER_MS) : int(end_ms * _FRAMES_PER_MS)] = True
    return mask
