"""llama.cpp's own server in this process (``xllamacpp``): its threads, its slots, and the ends of what it is asked."""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from antiphon.engines.model_options import ModelOptions
from antiphon.errors import EngineError

_AT_A_TIME = 32
"""So many requests are with the server; those that find no free slot there wait in it."""
_READ_TOKENS = 256
"""Read at a time, between which others have their turns and a request can be given up."""
_SILENT = -1


class TooLongError(Exception):
    """The prompt is longer than the context."""


class LlamaServer:
    def __init__(self, name: str, options: ModelOptions) -> None:
        """``name`` is what errors call it."""
        self._name = name
        self._options = options
        self._threads = ThreadPoolExecutor(_AT_A_TIME, "llama")
        self._asking: list[_Asking] = []
        self._folder: str | None = None
        self.library: Any = None
        """``xllamacpp.Server``, while it is open."""

    async def open(self, find: Callable[[], Path]) -> None:
        """``find`` says which file, in a thread.

        Raises EngineError when the package is missing or the file is broken, and what ``find`` raises.
        """
        if self.library is None:
            self.library = await asyncio.get_running_loop().run_in_executor(self._threads, self._opened, find)

    async def close(self) -> None:
        for asking in self._asking:
            asking.stop.set()
        await asyncio.to_thread(self._shut)

    async def ask(self, body: Mapping[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        """The chunks of a chat completion. Closing it gives the request up.

        Raises EngineError, and TooLongError.
        """
        if self.library is None:
            raise EngineError(f"{self._name} is not loaded, or was closed: call load() first")
        await self._let_go()
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        asking = _Asking()

        def tell(chunk: dict[str, Any]) -> bool:
            """Called by the server's own code, which minds no exceptions. Returns whether to stop."""
            try:
                loop.call_soon_threadsafe(queue.put_nowait, chunk)
            except RuntimeError:  # the loop is closed: nobody reads any more
                return True
            return asking.stop.is_set()

        def end() -> None:
            asking.over.set()
            self._asking.remove(asking)
            queue.put_nowait(None)

        def tell_end(_: Future[Any]) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end)

        try:
            job = self._threads.submit(self.library.handle_chat_completions, body, tell)
        except RuntimeError as error:
            raise EngineError(f"{self._name} was closed") from error
        self._asking.append(asking)
        job.add_done_callback(tell_end)
        ended = False
        try:
            while (chunk := await queue.get()) is not None:
                if "error" in chunk:
                    raise self._explained(chunk["error"])
                ended = ended or any(choice.get("finish_reason") for choice in chunk.get("choices", ()))
                yield chunk
            if not job.cancelled():
                job.result()
        except (RuntimeError, ValueError) as error:
            raise EngineError(f"{self._name} refused the request: {error}") from error
        finally:
            asking.stop.set()
        if not ended:
            raise EngineError(f"{self._name} was closed")

    async def _let_go(self) -> None:
        """Waits for the slots of those that were given up: to the end of a token, or of ``_READ_TOKENS``.

        One of them has most likely read what is asked now, and a free slot has not.
        """
        in_slots = self._asking[: self._options.slots]
        for asking in [each for each in in_slots if each.stop.is_set()]:
            await asking.over.wait()

    def _explained(self, error: Mapping[str, Any]) -> Exception:
        said = " ".join(str(error.get("message", error)).split())
        if error.get("type") == "exceed_context_size_error":
            return TooLongError(said)
        return EngineError(f"{self._name} failed: {said}", retryable=True)

    # In threads.

    def _opened(self, find: Callable[[], Path]) -> Any:
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise EngineError("llama.cpp is not installed: run `pip install 'antiphon[llama]'`") from error
        file = find()
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(file)
        parameters.n_parallel = self._options.slots
        parameters.n_ctx = self._options.context * self._options.slots
        parameters.n_batch = parameters.n_ubatch = _READ_TOKENS
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = _cores()
        parameters.cache_ram_mib = self._options.memory
        parameters.ui = False
        parameters.verbosity = _SILENT
        # It listens as well, which nobody needs: where nobody else can reach it, and with a key that nobody has.
        parameters.api_keys = [secrets.token_urlsafe()]
        if sys.platform != "win32":
            self._folder = tempfile.mkdtemp(prefix="antiphon-")  # 0700
            parameters.hostnames = [str(Path(self._folder) / "llama.sock")]
        try:
            library = xllamacpp.Server(parameters)
            # One that is let go before it has begun to work never ends.
            library.handle_chat_completions({"messages": [{"role": "user", "content": "Ready."}], "max_tokens": 1})
        except Exception as error:  # whatever a broken file does to it
            self._clear()
            raise EngineError(
                f"{file} is no model that llama.cpp can load, or too large for the memory ({error})"
            ) from error
        return library

    def _shut(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self.library = None
        self._clear()

    def _clear(self) -> None:
        folder, self._folder = self._folder, None
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Asking:
    """A request that the server has not ended."""

    stop: threading.Event = field(default_factory=threading.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)


def _cores() -> int:
    """One is left to those who hear and speak.

    llama.cpp's threads wait for each other by spinning: where one of them has to wait for a core, all take many times
    as long.
    """
    named = int(os.environ.get("OMP_NUM_THREADS") or 0)
    return named or max(1, (psutil.cpu_count(logical=False) or 2) - 1)
