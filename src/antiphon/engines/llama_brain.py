"""Language models in GGUF files, by llama.cpp in this process (``xllamacpp``): on the CPU, and on GPUs it is built for.

llama.cpp's own server keeps what it has read of each conversation, in its slots and, for those that have none at the
moment, in memory beside them; of a prompt it reads what is new. It cuts its caches to what a prompt and they have in
common, in the tokenizer's own tokens: what is left of an answer that was cut is what anybody would read of it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import secrets
import shutil
import sys
import tempfile
import threading
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta
from antiphon.engines.chat_answer import ChatAnswer
from antiphon.engines.chat_messages import chat_messages, chat_tools
from antiphon.engines.context_window import within
from antiphon.engines.model_files import is_path, model_folder, only_file
from antiphon.engines.model_options import ModelOptions
from antiphon.engines.written_answer import WrittenCalls
from antiphon.errors import EngineError

ENGINE = "gguf"
ANSWER_TOKENS = 1024
"""Where nobody says how long an answer may be: some minutes of speech."""
ANSWER_SHARE = 4
"""One part in so many of a context is kept free for the answer."""
BYTES_PER_TOKEN = 3
"""Of text in UTF-8, to be safe: English takes about four, other languages fewer, and the tokenizer is not at hand."""

_AT_A_TIME = 32
"""So many requests are with the server; those that find no free slot there wait in it."""
_READ_TOKENS = 256
"""Read at a time, between which others have their turns and a request can be given up."""
_SILENT = -1


class LlamaBrain:
    """Attentive: see ``engines.optional``."""

    def __init__(self, model: str, options: ModelOptions | None = None) -> None:
        """``model`` is the name of one that was pulled, or the path of a GGUF file or of a folder with one."""
        self._model_name = model
        self._options = options or ModelOptions()
        self._server: Any = None
        self._threads = ThreadPoolExecutor(_AT_A_TIME, "llama")
        self._asking: list[_Asking] = []
        self._folder: str | None = None
        sampling = self._options.sampling()
        self._sampling = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": sampling.top_k}

    @property
    def name(self) -> str:
        short = Path(self._model_name).stem if is_path(self._model_name) else self._model_name
        return f"{ENGINE}:{short}"

    @property
    def description(self) -> str:
        return f"{self.name.partition(':')[2]} in llama.cpp"

    async def load(self) -> None:
        """Raises EngineError when the package or the model is missing, or its file is broken."""
        if self._server is None:
            self._server = await asyncio.get_running_loop().run_in_executor(self._threads, self._open)

    async def close(self) -> None:
        for asking in self._asking:
            asking.stop.set()
        await asyncio.to_thread(self._shut)

    async def read(self, request: BrainRequest) -> Finish:
        """The marks behind the last message are read with it, each time."""
        answer = ChatAnswer(request)
        async with aclosing(self._chunks(request, most=1)) as chunks:
            async for chunk in chunks:
                answer.push(chunk)
        (*_, finish) = answer.finish()
        assert isinstance(finish, Finish)
        return Finish("stop", finish.input_tokens, 0, finish.cached_tokens)

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        answer = ChatAnswer(request)
        calls = WrittenCalls() if request.tools and request.tool_choice != "none" else None
        async with aclosing(self._chunks(request, request.max_output_tokens or ANSWER_TOKENS)) as chunks:
            async for chunk in chunks:
                for delta in _with_calls(answer.push(chunk), calls):
                    yield delta
        for delta in _with_calls(answer.finish(), calls):
            yield delta

    async def _chunks(self, request: BrainRequest, most: int) -> AsyncGenerator[Fields]:
        """What the server answers. A prompt that turns out to be too long is asked once more, cut by as much."""
        limit = self._options.context - self._options.context // ANSWER_SHARE
        for limit_now in (limit, limit // 2):
            try:
                async with aclosing(self._asked(self._body(request, limit_now, most))) as chunks:
                    async for chunk in chunks:
                        yield chunk
            except _TooLongError as error:
                if limit_now == limit:
                    continue
                raise EngineError(
                    f"{self.name}: {error}: shorten the instructions or the functions, or give it more with "
                    "context=TOKENS"
                ) from error
            return

    def _body(self, request: BrainRequest, limit: int, most: int) -> dict[str, Any]:
        tools = _functions(request)
        messages = within([_plain(each) for each in request.messages], limit - _tokens(str(tools)), _tokens)
        return {
            "messages": chat_messages(messages) or [{"role": "user", "content": ""}],
            "max_tokens": most,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_progress": True,
            "cache_prompt": True,
            "chat_template_kwargs": {"enable_thinking": self._options.thinking},
            **self._sampling,
            **tools,
        }

    async def _asked(self, body: dict[str, Any]) -> AsyncGenerator[Fields]:
        if self._server is None:
            raise EngineError(f"{self.name} is not loaded, or was closed: call load() first")
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

        def told_end(_: Future[Any]) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end)

        try:
            job = self._threads.submit(self._server.handle_chat_completions, body, tell)
        except RuntimeError as error:
            raise EngineError(f"{self.name} was closed") from error
        self._asking.append(asking)
        job.add_done_callback(told_end)
        ended = False
        try:
            while (chunk := await queue.get()) is not None:
                if "error" in chunk:
                    raise self._explained(chunk["error"])
                ended = ended or any(choice.get("finish_reason") for choice in chunk.get("choices", ()))
                yield Fields(chunk)
            if not job.cancelled():
                job.result()
        except RuntimeError as error:
            raise EngineError(f"{self.name} refused the request: {error}") from error
        finally:
            asking.stop.set()
        if not ended:
            raise EngineError(f"{self.name} was closed")

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
            return _TooLongError(said)
        return EngineError(f"{self.name} failed: {said}", retryable=True)

    # In threads.

    def _open(self) -> Any:
        try:
            xllamacpp: Any = importlib.import_module("xllamacpp")
        except ImportError as error:
            raise EngineError("llama.cpp is not installed: run `pip install 'antiphon[llama]'`") from error
        file = self._file()
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
            server = xllamacpp.Server(parameters)
            # One that is let go before it has begun to work never ends.
            server.handle_chat_completions({"messages": [{"role": "user", "content": "Ready."}], "max_tokens": 1})
        except Exception as error:  # whatever a broken file does to it
            self._clear()
            raise EngineError(
                f"{file} is no model that llama.cpp can load, or too large for the memory ({error})"
            ) from error
        return server

    def _file(self) -> Path:
        """Raises EngineError."""
        if not is_path(self._model_name):
            return only_file(model_folder(ENGINE, self._model_name), "*.gguf")
        path = Path(self._model_name).expanduser()
        if path.is_dir():
            return only_file(path, "*.gguf")
        if not path.is_file():
            raise EngineError(f"there is no file {path}")
        return path

    def _shut(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self._server = None
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


class _TooLongError(Exception):
    """The prompt is longer than the context."""


class Fields:
    """A JSON object whose members are attributes; those that it lacks are None."""

    def __init__(self, members: Mapping[str, Any]) -> None:
        self._members = members

    def __getattr__(self, name: str) -> Any:
        return _wrapped(self._members.get(name))


def _with_calls(deltas: Iterable[BrainDelta], calls: WrittenCalls | None) -> Iterator[BrainDelta]:
    """Calls in templates that the server does not know are in the text."""
    for delta in deltas:
        match delta:
            case TextDelta(text) if calls is not None:
                yield from calls.push(text)
            case Finish() if calls is not None:
                yield from calls.finish()
                yield replace(delta, reason="tool_calls") if calls.any else delta
            case _:
                yield delta


def _cores() -> int:
    """One is left to those who hear and speak.

    llama.cpp's threads wait for each other by spinning: where one of them has to wait for a core, all take many times
    as long.
    """
    named = int(os.environ.get("OMP_NUM_THREADS") or 0)
    return named or max(1, (psutil.cpu_count(logical=False) or 2) - 1)


def _functions(request: BrainRequest) -> dict[str, Any]:
    """The server knows that some function must be called, and not which: it is shown that one alone."""
    choice = request.tool_choice
    if not choice.startswith("function:"):
        return chat_tools(request.tools, choice)
    wanted = choice.removeprefix("function:")
    return chat_tools([tool for tool in request.tools if tool.name == wanted], "required")


def _plain(message: Message) -> Message:
    """Nobody ends a message by saying the mark for it."""
    return replace(message, text=message.text.replace("<|", "< |")) if "<|" in message.text else message


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Fields(value)
    return [_wrapped(each) for each in value] if isinstance(value, list) else value


def _tokens(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)
