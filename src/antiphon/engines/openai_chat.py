"""Any server that speaks OpenAI's chat completions: Ollama, LM Studio, llama.cpp, vLLM, SGLang, or OpenAI itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from antiphon.core.speech import BrainDelta, BrainRequest, Message
from antiphon.core.writing import without_functions
from antiphon.engines.chat_answer import ChatAnswer
from antiphon.engines.chat_messages import chat_messages, chat_tools, instructions_in_front
from antiphon.errors import EngineError

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_log = structlog.get_logger(__name__)

CONNECT_S = 5.0
FIRST_TOKEN_S = 30.0
"""How long a server may be silent, before its first token or between two."""

TRANSCRIBE = "Write down what is said in this recording, word for word and in its language, and nothing else."

_NAMES_FUNCTIONS = re.compile(r"\btool|\bfunction", re.IGNORECASE)
_CANNOT_DO_FUNCTIONS = re.compile(
    r"(support|require|implement).*\btool|\btool.*(support|require|implement)", re.IGNORECASE
)
"""A failure of the server, which may have other reasons, must say so plainly."""

_OPENAI_HOST = "api.openai.com"
_LISTED_MODELS = 8


class OpenAIChat:
    """The Brain over a chat completions server."""

    def __init__(
        self,
        base_url: str,
        model: str | None = None,
        *,
        api_key: str = "none",
        first_token_s: float = FIRST_TOKEN_S,
        server_name: str = "",
        hears: bool = False,
    ) -> None:
        """``base_url`` ends in ``/v1`` as a rule. Without ``model`` the first that the server lists is taken.

        ``hears``: its model takes audio, and what the user said is sent as such.
        """
        self._hears = hears
        self._base_url = base_url.rstrip("/")
        self._model = model
        self._api_key = api_key
        self._first_token_s = first_token_s
        self._server_name = server_name or urlsplit(base_url).netloc
        self._client: AsyncOpenAI | None = None
        self._gives_usage = True
        self._takes_system = True
        self._takes_functions = True

    @property
    def base_url(self) -> str:
        return self._base_url

    @property
    def model(self) -> str | None:
        """What is asked for; None until ``load`` where the server's first is taken."""
        return self._model

    @property
    def hears(self) -> bool:
        return self._hears

    @property
    def name(self) -> str:
        return f"{'openai-audio' if self._hears else 'openai'}:{self._model or 'first'}"

    @property
    def description(self) -> str:
        takes = ", which takes what is said as audio" if self._hears else ""
        return f"{self._model or 'the first model'} at {self._server_name} ({self._base_url}){takes}"

    async def load(self) -> None:
        """Sees to it that the server answers and has the model. Raises EngineError with what to do."""
        client = await self._connected()
        import openai

        try:
            listed = [model.id async for model in client.models.list()]
        except (openai.NotFoundError, openai.InternalServerError, ValueError, TypeError, AttributeError) as error:
            _log.warning("models_not_listed", server=self._base_url, reason=str(error)[:200])
            listed = []
        except Exception as error:
            raise self._explained(error) from error
        if self._model is None and not listed:
            raise EngineError(f"{self._base_url} does not list its models: name one with --model NAME")
        self._model = self._among(listed) if listed else self._model

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        client = await self._connected()
        answer = ChatAnswer(request)
        try:
            stream = await self._open(client, request)
        except Exception as error:
            raise self._explained(error) from error
        try:
            chunks = aiter(stream)
            while True:
                try:
                    deltas = answer.push(await anext(chunks))
                except StopAsyncIteration:
                    break
                except Exception as error:
                    raise self._explained(error) from error
                for delta in deltas:
                    yield delta
        finally:
            # Also when the reader has gone: the server sees the connection end and stops its work.
            await stream.close()
        if not answer.began:
            raise EngineError(
                f"{self._base_url} answered, but not as a stream of chat completions: is this the right URL? "
                "It usually ends in /v1"
            )
        for delta in answer.finish():
            yield delta

    async def _connected(self) -> AsyncOpenAI:
        if self._client is None:
            # Two calls at once may both make a client; the later one is kept, the other never connects.
            openai = await asyncio.to_thread(_import_openai)
            timeout = openai.Timeout(self._first_token_s, connect=CONNECT_S)
            client: AsyncOpenAI = openai.AsyncOpenAI(
                base_url=self._base_url, api_key=self._api_key, timeout=timeout, max_retries=0
            )
            self._client = client
        return self._client

    async def _open(self, client: AsyncOpenAI, request: BrainRequest) -> Any:
        """Many servers have functions for some models alone. Speech needs none: it can be told by tags in the text."""
        in_text = None if self._takes_functions else without_functions(request)
        if in_text is not None:
            return await self._asked(client, in_text)
        try:
            return await self._asked(client, request)
        except Exception as error:
            in_text = without_functions(request) if _refuses_functions(error) else None
            if in_text is None:
                raise
            stream = await self._asked(client, in_text)
            self._takes_functions = False
            _log.warning(
                "the server takes no functions for this model: what it says is told by tags in its text",
                server=self._base_url,
                model=self._model,
                reason=str(error)[:200],
            )
            return stream

    async def _asked(self, client: AsyncOpenAI, request: BrainRequest) -> Any:
        import openai

        messages = request.messages
        if request.transcribe:
            messages = (*messages, Message("user", TRANSCRIBE))
        body: dict[str, Any] = {
            "model": self._model or "default",
            "messages": chat_messages(messages, hearing=self._hears),
            "stream": True,
            **chat_tools(request.tools, request.tool_choice),
        }
        if request.max_output_tokens is not None:
            # OpenAI's newer models refuse the old name; other servers know only that.
            is_openai = urlsplit(self._base_url).hostname == _OPENAI_HOST
            body["max_completion_tokens" if is_openai else "max_tokens"] = request.max_output_tokens
        if self._gives_usage:
            try:
                return await self._create(client, body | {"stream_options": {"include_usage": True}})
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if "stream_options" not in str(error):
                    raise
                self._gives_usage = False
        return await self._create(client, body)

    async def _create(self, client: AsyncOpenAI, body: dict[str, Any]) -> Any:
        """Voxtral's tokenizer, and so a server that has it, takes no system messages beside audio."""
        import openai

        if self._takes_system:
            try:
                return await client.chat.completions.create(**body)
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not self._hears or "system" not in str(error):
                    raise
                self._takes_system = False
        folded: dict[str, Any] = body | {"messages": instructions_in_front(body["messages"])}
        return await client.chat.completions.create(**folded)

    def _among(self, listed: list[str]) -> str:
        """The model's name as the server has it. "llama3" is also "llama3:latest", or "/models/llama3.gguf"."""
        wanted = self._model
        if wanted is None:
            return listed[0]
        for name in listed:
            short = name.rpartition("/")[2].removesuffix(".gguf")
            if wanted in (name, short) or name == f"{wanted}:latest":
                return name
        some = ", ".join(listed[:_LISTED_MODELS]) + (", ..." if len(listed) > _LISTED_MODELS else "")
        raise EngineError(f"{self._base_url} has no model {wanted!r}: it has {some}")

    def _explained(self, error: Exception) -> EngineError:
        """What went wrong, as something to act on."""
        import httpx2  # what openai is built on
        import openai

        said = " ".join(str(getattr(error, "message", "") or error).split())[:300]
        retryable = False
        if isinstance(error, (openai.APITimeoutError, httpx2.TimeoutException)):
            text = f"did not answer within {self._first_token_s:g} s: the model may still be loading; try again"
            retryable = True
        elif isinstance(error, (openai.APIConnectionError, httpx2.TransportError)):
            text = f"cannot be reached: start the server or correct the URL ({said})"
            retryable = True
        elif isinstance(error, (openai.AuthenticationError, openai.PermissionDeniedError)):
            text = f"refuses the API key: set OPENAI_API_KEY to a valid one ({said})"
        elif isinstance(error, openai.NotFoundError):
            text = f"has no model {self._model!r}, or is no chat completions URL ({said})"
        elif isinstance(error, openai.RateLimitError):
            text = f"has too much to do, or the quota is spent: try again later ({said})"
            retryable = True
        elif isinstance(error, openai.InternalServerError):
            text = f"failed: see the server's own log ({said})"
            retryable = True
        elif isinstance(error, openai.APIError):
            text = f"refused the request: {said}"
        elif isinstance(error, (ValueError, TypeError, AttributeError, KeyError)):
            text = f"sent something that is no chat completions stream ({said})"
        else:
            text = f"failed ({type(error).__name__}: {said})"
        return EngineError(f"{self._base_url} {text}", retryable=retryable)


def _refuses_functions(error: Exception) -> bool:
    """In words that differ from server to server, and with a status that does."""
    import openai

    refused = (openai.BadRequestError, openai.UnprocessableEntityError, openai.NotFoundError)
    if isinstance(error, refused):
        return _NAMES_FUNCTIONS.search(str(error)) is not None
    return isinstance(error, openai.InternalServerError) and _CANNOT_DO_FUNCTIONS.search(str(error)) is not None


def _import_openai() -> Any:
    """Takes about a second the first time. Raises EngineError."""
    try:
        import openai
    except ImportError as error:
        raise EngineError("the OpenAI client is not installed: run `pip install openai`") from error
    return openai
