"""Whisper on CTranslate2: a hundred languages, from 39 million parameters up, on the CPU or a GPU.

The package ``faster-whisper`` runs it. Whisper knows no streams and always works on windows of 30 s, so a pass over a
short turn costs as much as one over a long one. A pass that has begun on a window ends with that window.
"""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.audio import EAR_RATE_HZ, samples_of
from antiphon.engines.base import HeardWord, Transcript
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.model_files import is_path, model_folder
from antiphon.engines.whole_turns import WholeTurn
from antiphon.errors import EngineError

_PARTIAL_EVERY_S = 1.0
_WINDOW_S = 30.0
_MOST_THREADS = 4
"""Of one pass. More than there are cores only wait for each other."""
_FINAL, _PARTIAL, _END = 0, 1, 2
"""The order in which the thread takes what waits."""


@dataclass(order=True, slots=True)
class _Job:
    order: tuple[int, int]
    pcm: bytes = field(compare=False)
    language: str = field(compare=False)
    answer: asyncio.Future[Transcript] = field(compare=False)
    given_up: threading.Event = field(compare=False, default_factory=threading.Event)


class FasterWhisper:
    """The Recognizer over one Whisper model, one pass at a time. Streams belong to the event loop of ``load``."""

    def __init__(self, model: str, *, device: str = "auto", compute_type: str = "default") -> None:
        """``model`` is the name of one that was pulled, or the path of its folder in CTranslate2's format.

        ``device`` is auto, cpu, cuda or cuda:NUMBER.
        """
        self._model_name = model
        self._short = Path(model).name if is_path(model) else model
        self._device = device
        self._compute_type = compute_type
        self._model: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._jobs: queue.PriorityQueue[_Job] = queue.PriorityQueue()
        self._numbers = count()

    @property
    def name(self) -> str:
        return f"faster-whisper:{self._short}"

    @property
    def description(self) -> str:
        return f"Whisper {self._short} on CTranslate2, {'any device' if self._device == 'auto' else self._device}"

    @property
    def capabilities(self) -> Capabilities:
        """Languages are known once it is loaded."""
        languages = tuple(self._model.supported_languages) if self._model is not None else ()
        return Capabilities(streaming=True, languages=languages)

    async def load(self) -> None:
        """Raises EngineError when the package or the model is missing, or the model is broken."""
        if self._thread is not None:
            return
        self._model = await asyncio.to_thread(self._read)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, args=(self._model,), name="faster-whisper", daemon=True)
        self._thread.start()
        await self._recognize(bytes(EAR_RATE_HZ), "en", final=True)

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None and self._loop is not None:
            self._jobs.put(_Job((_END, next(self._numbers)), b"", "", self._loop.create_future()))
            await asyncio.to_thread(thread.join)
        self._model = None

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> WholeTurn:
        """``language`` is BCP 47. Without one, or with one that the model does not know, it finds out itself."""
        if self._thread is None:
            raise EngineError(f"{self.name} is not loaded: await load() first")
        known = (language or "").partition("-")[0].lower()
        wanted = known if known in self._model.supported_languages else ""

        async def recognize(pcm: bytes, final: bool) -> Transcript:
            return await self._recognize(pcm, wanted, final=final)

        return WholeTurn(recognize, on_partial, _PARTIAL_EVERY_S, self.name)

    async def _recognize(self, pcm: bytes, language: str, *, final: bool) -> Transcript:
        if self._thread is None:
            raise EngineError(f"{self.name} was closed")
        answer: asyncio.Future[Transcript] = asyncio.get_running_loop().create_future()
        job = _Job((_FINAL if final else _PARTIAL, next(self._numbers)), pcm, language, answer)
        self._jobs.put(job)
        try:
            return await answer
        finally:
            job.given_up.set()

    def _read(self) -> Any:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise EngineError("faster-whisper is not installed: run `pip install 'antiphon[whisper]'`") from error
        logging.getLogger("faster_whisper").setLevel(logging.WARNING)  # it tells every pass
        path = Path(self._model_name).expanduser()
        folder = path if is_path(self._model_name) else model_folder("faster-whisper", self._model_name)
        for file in ("model.bin", "tokenizer.json"):
            if not (folder / file).is_file():
                # Without them the package would download something.
                raise EngineError(f"{folder} has no {file}: run `antiphon models pull faster-whisper:{self._short}`")
        try:
            threads = min(_MOST_THREADS, os.cpu_count() or 1)
            device, _, number = self._device.partition(":")
            return WhisperModel(
                str(folder),
                device=device,
                device_index=int(number or 0),
                compute_type=self._compute_type,
                cpu_threads=threads,
            )
        except Exception as error:  # whatever a broken file does to the libraries
            raise EngineError(f"the Whisper model in {folder} cannot be loaded ({error}): pull it again") from error

    # In the thread.

    def _run(self, model: Any) -> None:
        while (job := self._jobs.get()).order[0] != _END:
            if job.given_up.is_set():
                continue
            try:
                transcript = _transcribe(model, job)
            except Exception as error:
                self._post(_fail, job, error)
            else:
                self._post(_settle, job, transcript)
        while True:
            try:
                self._post(_fail, self._jobs.get_nowait(), RuntimeError("it was closed"))
            except queue.Empty:
                return

    def _post(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop was closed under the engine: nobody is left to hear it
            self._loop.call_soon_threadsafe(function, *args)


def _transcribe(model: Any, job: _Job) -> Transcript:
    """One pass. It ends early, after a window, when the job was given up."""
    final = job.order[0] == _FINAL
    sound = samples_of(job.pcm).astype(np.float32) / 32768
    segments, _ = model.transcribe(
        sound,
        language=job.language or None,
        beam_size=1,
        temperature=0.0,  # no second try: a voice agent has no time for it
        condition_on_previous_text=False,
        without_timestamps=len(sound) < _WINDOW_S * EAR_RATE_HZ,
        word_timestamps=final,
    )
    texts: list[str] = []
    words: list[HeardWord] = []
    for segment in segments:
        if job.given_up.is_set():
            break
        texts.append(segment.text)
        words += (
            HeardWord(word.word.strip(), round(word.start * 1000), round(word.end * 1000))
            for word in segment.words or ()
        )
    return Transcript(" ".join("".join(texts).split()), tuple(words))


def _settle(job: _Job, transcript: Transcript) -> None:
    if not job.answer.done():
        job.answer.set_result(transcript)


def _fail(job: _Job, error: Exception) -> None:
    if not job.answer.done():
        job.answer.set_exception(EngineError(f"Whisper failed: {error}", retryable=True))
