"""Voxtral (Apache-2.0): a model of Mistral's that hears what the user says and answers in text, without a recognizer.

The library transformers runs it, mistral-common has its tokenizer. With its three thousand million parameters it wants
a GPU for conversations. It knows spoken English, Spanish, French, Portuguese, Hindi, German, Dutch and Italian.
"""

from __future__ import annotations

import asyncio
import re
import threading
import uuid
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta, ToolCallDelta
from antiphon.engines.capabilities import Capabilities
from antiphon.engines.chat_messages import chat_tools
from antiphon.engines.mistral_chat import calls_in, mistral_chat
from antiphon.engines.model_files import is_path, model_folder
from antiphon.engines.torch_device import AUTO, check_device, find_device, use_own_threads
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from antiphon.engines.voxtral_model import VoxtralModel, Written

DEFAULT_MODEL = "mini-3b"
MAX_TOKENS = 1024
"""Of an answer for which nobody has said how long it may be."""
_ANSWERS = 8
"""So many are written at a time, by turns; more wait."""
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_WARM_UP_BYTES = 32_000


class VoxtralBrain:
    """The Brain over one Voxtral. It takes what the user said as audio, and text where there is none."""

    def __init__(self, model: str = "", *, device: str = AUTO) -> None:
        """``model`` is one that was pulled, a folder's path, or a repository of the hub that is in its cache.

        ``device`` is as for ``torch_device``. Raises ConfigError.
        """
        self._model_name = model or DEFAULT_MODEL
        self._short = Path(self._model_name).name if is_path(self._model_name) else self._model_name
        self._device = check_device(device)
        self._model: VoxtralModel | None = None
        self._executor = ThreadPoolExecutor(_ANSWERS, "voxtral")

    @property
    def name(self) -> str:
        return f"voxtral:{self._short}"

    @property
    def description(self) -> str:
        where = "any device" if self._device == AUTO else self._device
        return f"Voxtral, {self._short}, on {where}: it hears what is said itself"

    @property
    def hears(self) -> bool:
        return True

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(cpu=False, hears=True)

    async def load(self) -> None:
        """Raises EngineError when the packages, the model or the device are missing, or its files are broken."""
        if self._model is not None:
            return
        loop = asyncio.get_running_loop()
        model = await loop.run_in_executor(self._executor, _read_model, self._source(), self._device)
        await loop.run_in_executor(self._executor, _warm_up, model)
        self._model = model

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._model = None

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        if self._model is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[str | None] = asyncio.Queue()
        stop = threading.Event()

        def tell(text: str) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, text)

        work = loop.run_in_executor(self._executor, _answer, self._model, request, stop, tell)

        def over(done: asyncio.Future[Written | None]) -> None:
            if not done.cancelled():
                done.exception()  # known, should nobody wait for it any more
            pieces.put_nowait(None)

        work.add_done_callback(over)
        try:
            while (piece := await pieces.get()) is not None:
                yield TextDelta(piece)
            written = await work
            assert written is not None
        finally:
            stop.set()  # and the model stops after the token that it is at
        calls = list(calls_in(written.calls))
        for name, arguments in calls:
            yield ToolCallDelta(f"call_{uuid.uuid4().hex[:20]}", name, arguments)
        reason = "tool_calls" if calls else "stop" if written.ended else "length"
        yield Finish(reason, written.input_tokens, written.output_tokens)

    def _source(self) -> str:
        """What the library is given. Raises EngineError."""
        if not is_path(self._model_name):
            return str(model_folder("voxtral", self._model_name))
        folder = Path(self._model_name).expanduser()
        if folder.is_dir():
            return str(folder)
        if _REPOSITORY.fullmatch(self._model_name):
            return self._model_name
        raise EngineError(f"there is no folder {folder} with a Voxtral model")


def _read_model(source: str, device: str) -> VoxtralModel:
    """Raises EngineError."""
    try:
        from antiphon.engines.voxtral_model import VoxtralModel
    except ImportError as error:
        raise EngineError("Voxtral's packages are not installed: run `pip install 'antiphon[voxtral]'`") from error
    found = find_device(device)
    try:
        return VoxtralModel(source, found)
    except Exception as error:  # whatever a broken file does to the libraries
        if is_path(source) and not Path(source).is_dir():
            raise EngineError(
                f"{source} is not in the hub's cache on this machine: run `hf download {source}`, or give a folder "
                "with its files"
            ) from error
        raise EngineError(f"the Voxtral model in {source} cannot be read ({error})") from error


def _warm_up(model: VoxtralModel) -> None:
    use_own_threads()
    try:
        model.transcribe(bytes(_WARM_UP_BYTES), 2, threading.Event(), lambda _text: None)
    except Exception as error:
        raise EngineError(f"the Voxtral model cannot be used ({error})") from error


def _answer(
    model: VoxtralModel, request: BrainRequest, stop: threading.Event, tell: Callable[[str], None]
) -> Written | None:
    """Writes one answer, in a thread; None when it was stopped. Raises EngineError."""
    use_own_threads()
    most = request.max_output_tokens or MAX_TOKENS
    tools = () if request.tool_choice == "none" else chat_tools(request.tools, request.tool_choice).get("tools", ())
    try:
        if request.transcribe:
            return model.transcribe(request.messages[-1].audio or b"", most, stop, tell)
        return model.answer(mistral_chat(request.messages), tools, most, stop, tell)
    except Exception as error:
        if stop.is_set():
            return None  # nobody waits for it, or for what went wrong
        raise EngineError(f"Voxtral could not answer this ({error})") from error
