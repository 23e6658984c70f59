"""Language models in GGUF files, by llama.cpp in this process (``xllamacpp``): on the CPU, and on GPUs it is built for.

llama.cpp's own server keeps what it has read of each conversation, in its slots and, for those that have none at the
moment, in memory beside them; of a prompt it reads what is new. It cuts its caches to what a prompt and they have in
common, in the tokenizer's own tokens: what is left of an answer that was cut is what anybody would read of it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta
from antiphon.engines.chat_answer import ChatAnswer
from antiphon.engines.chat_messages import chat_messages, chat_tools
from antiphon.engines.context_window import within
from antiphon.engines.llama_server import LlamaServer, TooLongError
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


class LlamaBrain:
    """Attentive: see ``engines.optional``."""

    def __init__(self, model: str, options: ModelOptions | None = None) -> None:
        """``model`` is the name of one that was pulled, or the path of a GGUF file or of a folder with one."""
        self._model_name = model
        self._options = options or ModelOptions()
        self._server = LlamaServer(self.name, self._options)
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
        await self._server.open(self._file)

    async def close(self) -> None:
        await self._server.close()

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
                async with aclosing(self._server.ask(self._body(request, limit_now, most))) as chunks:
                    async for chunk in chunks:
                        yield Fields(chunk)
            except TooLongError as error:
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
