"""Parakeet on MLX (``parakeet-mlx``): NVIDIA's recognizers on Apple's GPUs, and on the CPU of a Linux machine, slowly.

Captions come while the user speaks, and a final with the times of its words. All turns share the model and the thread
of MLX: finals go first, and a turn that has much to catch up with lets the others have their passes in between.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.base import Transcript
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.mlx_models import find_folder, read_config
from antiphon.engines.mlx_thread import FIRST, LATER, Lane, open_lane
from antiphon.engines.model_files import is_path
from antiphon.engines.parakeet_turns import LEAST_S, STEP_S, ParakeetTurn, Passes, TurnAudio, hear
from antiphon.errors import EngineError

_FIRST_PARTIALS_S = 0.3
"""The first second is shown in steps of this length, since words in it decide whether the agent goes on."""
_WEIGHTS = "model.safetensors"


@dataclass(slots=True)
class _Request:
    answer: asyncio.Future[Transcript | None]
    given_up: threading.Event = field(default_factory=threading.Event)

    def give_up(self) -> None:
        self.given_up.set()
        self.answer.cancel()


class ParakeetStream:
    """The recognition of one turn. Made by ``Parakeet.open``; belongs to the event loop in which it is made."""

    def __init__(self, model: Any, lane: Lane, on_partial: Callable[[str], None], name: str) -> None:
        self._audio = TurnAudio()
        self._turn = ParakeetTurn(model, self._audio)
        self._lane = lane
        self._on_partial = on_partial
        self._name = name
        self._partial_due_bytes = _bytes(_FIRST_PARTIALS_S)
        self._partial: _Request | None = None
        self._final: _Request | None = None
        self._known: tuple[int, Transcript] | None = None
        self._shown = ""
        self._closed = False

    def feed(self, pcm: bytes) -> None:
        if self._closed:
            return
        self._audio.feed(pcm)
        fed_bytes = self._audio.fed_bytes
        if fed_bytes < self._partial_due_bytes or self._partial is not None or self._final is not None:
            return
        step_bytes = _bytes(_FIRST_PARTIALS_S if fed_bytes < _bytes(STEP_S) else STEP_S)
        self._partial_due_bytes = (fed_bytes // step_bytes + 1) * step_bytes
        if not self._lane.closed:
            self._partial = self._ask(LATER, self._turn.partial)
            self._partial.answer.add_done_callback(self._show)

    async def final(self) -> Transcript:
        if self._closed:
            raise EngineError("the recognition of this turn is closed")
        self._give_up()
        fed_bytes = self._audio.fed_bytes
        if fed_bytes < _bytes(LEAST_S):
            return Transcript("")
        if self._known is not None and self._known[0] == fed_bytes:
            return self._known[1]
        try:
            request = self._final = self._ask(FIRST, partial(self._turn.final, fed_bytes))
        except RuntimeError as error:
            raise EngineError(f"{self._name} was closed") from error
        try:
            transcript = await request.answer
        except Exception as error:
            raise EngineError(f"{self._name} failed: {error}", retryable=True) from error
        finally:
            request.give_up()
            if self._final is request:
                self._final = None
        assert transcript is not None, "it was not given up"
        self._known = fed_bytes, transcript
        return transcript

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._give_up()
        if not self._lane.closed:
            self._lane.submit_in_order(LATER, self._turn.forget)

    def _ask(self, order: int, passes: Callable[[threading.Event], Passes]) -> _Request:
        """Raises RuntimeError when the engine was closed."""
        given_up = threading.Event()
        answer = self._lane.submit_in_order(order, partial(passes, given_up))
        return _Request(asyncio.wrap_future(answer), given_up)

    def _give_up(self) -> None:
        for request in (self._partial, self._final):
            if request is not None:
                request.give_up()
        self._partial = self._final = None

    def _show(self, answer: asyncio.Future[Transcript | None]) -> None:
        if self._partial is None or self._partial.answer is not answer:
            return  # it was given up
        self._partial = None
        if answer.cancelled():
            return  # the engine was closed
        error = answer.exception()
        if error is not None:
            # The final will say so to whoever waits for it.
            answer.get_loop().call_exception_handler(
                {"message": f"a partial of {self._name} failed", "exception": error}
            )
            return
        transcript = answer.result()
        text = transcript.text.rstrip(".,;:") if transcript is not None else ""
        if text and text != self._shown:
            self._shown = text
            self._on_partial(text)


class Parakeet:
    """The Recognizer over one Parakeet model (TDT, RNN-T or CTC)."""

    def __init__(self, model: str) -> None:
        """``model`` is a name that was pulled, a folder's path, or a repository in the hub's cache ("OWNER/NAME")."""
        self._model_name = model
        self._short = Path(model).name if is_path(model) else model
        self._model: Any = None
        self._lane = open_lane()

    @property
    def name(self) -> str:
        return f"parakeet:{self._short}"

    @property
    def description(self) -> str:
        return f"Parakeet {self._short} on MLX"

    @property
    def capabilities(self) -> Capabilities:
        """Which languages a model knows is not said in its files."""
        return Capabilities(streaming=True)

    async def load(self) -> None:
        """Raises EngineError when the package or the model is missing, or the model is broken."""
        if self._model is None:
            self._model = await asyncio.get_running_loop().run_in_executor(self._lane, self._read)

    async def close(self) -> None:
        await asyncio.to_thread(self._lane.shutdown, cancel_futures=True)
        self._model = None

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> ParakeetStream:
        """A model that knows several languages finds out itself which is spoken: ``language`` is not used."""
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: await load() first")
        return ParakeetStream(self._model, self._lane, on_partial, self.name)

    # In the thread.

    def _read(self) -> Any:
        try:
            import mlx.core as mx
            from parakeet_mlx.utils import from_config
        except ImportError as error:
            raise EngineError("parakeet-mlx is not installed: run `pip install 'antiphon[parakeet]'`") from error
        folder = find_folder("parakeet", self._model_name)
        config = read_config(folder)
        if not (folder / _WEIGHTS).is_file():
            raise EngineError(f"{folder} has no {_WEIGHTS}: get the model again")
        try:
            model: Any = from_config(config)
            model.load_weights(str(folder / _WEIGHTS))
            if mx.default_device().type == mx.DeviceType.gpu:
                model.set_dtype(mx.bfloat16)  # as the library does; a CPU computes with it more slowly
            mx.eval(model.parameters())
            rate_hz = model.preprocessor_config.sample_rate
            if rate_hz != EAR_RATE_HZ:
                raise EngineError(f"the model in {folder} hears {rate_hz} Hz: only those for {EAR_RATE_HZ} Hz are used")
            hear(model, np.zeros(EAR_RATE_HZ, np.int16), 0)
        except EngineError:
            raise
        except Exception as error:  # whatever a broken file does to the libraries
            raise EngineError(f"the model in {folder} is none that parakeet-mlx can load ({error})") from error
        return model


def _bytes(seconds: float) -> int:
    return int(seconds * EAR_RATE_HZ) * 2
