"""What the adapters to other people's speech servers share: one connection pool each, and errors to act on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from antiphon.errors import EngineError

CONNECT_S = 5.0
SILENT_S = 30.0
"""How long a server may be silent, before its first byte or between two."""

_CLOSE_S = 0.2
"""A server that still speaks does not answer the closing handshake."""
_MOST_MESSAGE_BYTES = 16 * 1024 * 1024

_OPENAI_HOST = "api.openai.com"
_SHOWN_CHARS = 300


class RefusedError(EngineError):
    """The server refused this request as it is written; ``said`` is what it answered."""

    def __init__(self, message: str, said: str) -> None:
        super().__init__(message)
        self.said = said


class SpeechServer:
    """A server under ``base_url``, which ends in ``/v1`` as a rule. Belongs to the event loop that first uses it."""

    def __init__(self, base_url: str, api_key: str, silent_s: float) -> None:
        self.base_url = base_url.rstrip("/")
        self.is_openai = urlsplit(base_url).hostname == _OPENAI_HOST
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._silent_s = silent_s
        self._client: aiohttp.ClientSession | None = None

    @property
    def host(self) -> str:
        return urlsplit(self.base_url).netloc

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    @asynccontextmanager
    async def post(self, path: str, **body: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        """A successful answer, its body still to be read. Leaving early closes the connection, which the server sees.

        Raises EngineError, also for what goes wrong while the body is read; RefusedError for a bad request.
        """
        async with self._request("POST", path, **body) as response:
            yield response

    async def socket(self, path: str) -> aiohttp.ClientWebSocketResponse:
        """A WebSocket, for the caller to ``hang_up``. Raises EngineError."""
        try:
            async with asyncio.timeout(CONNECT_S):
                return await self._connected().ws_connect(
                    f"{self.base_url}{path}", headers=self._headers, max_msg_size=_MOST_MESSAGE_BYTES
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (404, 405):
                raise EngineError(
                    f"{self.base_url} has no WebSocket for speech: give its address with http instead of ws"
                ) from error
            raise self._refused(error.status, error.headers or {}, error.message) from error
        except (TimeoutError, aiohttp.ClientError) as error:
            raise EngineError(
                f"{self.base_url} cannot be reached: start the server or correct the URL ({error})", retryable=True
            ) from error

    async def get_json(self, path: str) -> Any:
        """The answer's JSON; None where the server does not know the path or answers something else."""
        try:
            async with self._request("GET", path) as response:
                return await response.json(content_type=None)
        except (RefusedError, ValueError):
            return None

    async def first_model(self) -> str:
        """The first model that the server lists; "default" where it lists none. Raises EngineError."""
        listed = await self.get_json("/models")
        entries = listed.get("data") if isinstance(listed, dict) else None
        names = (entry.get("id") for entry in entries or () if isinstance(entry, dict))
        return next((name for name in names if isinstance(name, str) and name), "default")

    @asynccontextmanager
    async def _request(self, method: str, path: str, **body: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=self._silent_s)
        try:
            async with self._connected().request(
                method, f"{self.base_url}{path}", headers=self._headers, timeout=timeout, **body
            ) as response:
                try:
                    if response.status >= 400:
                        said = await response.text(errors="replace")
                        raise self._refused(response.status, response.headers, " ".join(said.split())[:_SHOWN_CHARS])
                    yield response
                finally:
                    if not response.content.is_eof():
                        response.close()  # else the rest would be read, and the server would go on
        except TimeoutError as error:
            raise EngineError(
                f"{self.base_url} was silent for {self._silent_s:g} s: the model may still be loading; try again",
                retryable=True,
            ) from error
        except aiohttp.ClientError as error:
            raise EngineError(
                f"{self.base_url} cannot be reached, or hung up: start the server or correct the URL ({error})",
                retryable=True,
            ) from error

    def _connected(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession()
        return self._client

    def _refused(self, status: int, headers: Mapping[str, str], said: str) -> EngineError:
        match status:
            case 401 | 403:
                return EngineError(f"{self.base_url} refuses the API key: set OPENAI_API_KEY to a valid one ({said})")
            case 404 | 405:
                return RefusedError(f"{self.base_url} has no such model or no speech at this URL ({said})", said)
            case 429:
                return EngineError(
                    f"{self.base_url} has too much to do, or the quota is spent: try again later ({said})",
                    retryable=True,
                    retry_after_s=_seconds(headers.get("Retry-After")),
                )
            case _ if status >= 500:
                return EngineError(f"{self.base_url} failed: see the server's own log ({said})", retryable=True)
            case _:
                return RefusedError(f"{self.base_url} refused the request: {said}", said)


async def hang_up(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Closes ``socket``, politely if that is soon done: aiohttp waits for as long as a server goes on sending."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CLOSE_S):
            await socket.close()


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; None for a date or none."""
    try:
        return float(text) if text is not None else None
    except ValueError:
        return None
