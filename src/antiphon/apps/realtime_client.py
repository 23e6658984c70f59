"""A small client of the Realtime protocol, which `talk`, the self-test and the load test share."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import aiohttp
import orjson

from antiphon.apps.unreached import trouble
from antiphon.errors import AntiphonError

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""Of an event that the client accepts; the service keeps its own under 512 KiB."""

CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 0.5

_OF_CONVERSATIONS = {
    404: "it keeps no such conversation, or no longer; it keeps them only with --sessions FILE",
    409: "another client is just about to go on with this conversation; try again to take it over",
}
"""What a refusal means to whoever wants to go on with one."""


class ClientError(AntiphonError):
    """The server could not be reached, refused something, or did not do what was waited for."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A server event and when it came, on the event loop's clock in seconds."""

    at: float
    event: dict[str, Any]

    @property
    def kind(self) -> str:
        """The event's ``type``."""
        kind = self.event.get("type")
        return kind if isinstance(kind, str) else ""

    def text(self, key: str) -> str:
        """A field that is a string; empty where it is absent."""
        value = self.event.get(key)
        return value if isinstance(value, str) else ""

    def child(self, key: str) -> dict[str, Any]:
        """A field that is an object; empty where it is absent."""
        value = self.event.get(key)
        return value if isinstance(value, dict) else {}

    def audio(self) -> bytes:
        """The PCM of an audio delta."""
        return base64.b64decode(self.text("delta"))


Listener = Callable[[Arrival], None]
Match = Callable[[Arrival], bool]


def realtime_url(base: str, conversation: str | None = None) -> str:
    """The WebSocket address of a conversation at a server given as http(s) or ws(s), with or without the path.

    Asks for play-out on the server's clock and for the server's own events, unless the address says otherwise, and to
    go on with a ``conversation`` where one is given by its id.
    Raises ClientError when it is no such address.
    """
    parts = urlsplit(base if "://" in base else f"http://{base}")
    schemes = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
    if parts.scheme not in schemes or not parts.netloc:
        raise ClientError(f"{base!r} is not an address of a server: give one such as http://127.0.0.1:8080")
    path = parts.path.rstrip("/")
    if not path.endswith("/realtime"):
        path = f"{path}/realtime" if path.endswith("/v1") else f"{path}/v1/realtime"
    query = {"model": "antiphon", "pacing": "realtime", "events": "antiphon", **dict(parse_qsl(parts.query))}
    if conversation is not None:
        query["conversation"] = conversation
    return urlunsplit((schemes[parts.scheme], parts.netloc, path, urlencode(query), ""))


class Connection(Protocol):
    """A conversation's line to its server."""

    @property
    def ended(self) -> asyncio.Future[str]:
        """Done once the connection is over; its result says why, in words."""
        ...

    def listen(self, listener: Listener) -> None:
        """Calls ``listener`` with every event from now on, in order. It must not block."""
        ...

    async def send_text(self, event_json: str) -> None:
        """Sends an event that is JSON already. Raises ClientError when the connection is over."""
        ...


async def send(connection: Connection, event: dict[str, Any]) -> None:
    """Raises ClientError when the connection is over."""
    await connection.send_text(orjson.dumps(event).decode())


class RealtimeClient:
    """A connection by WebSocket. Every server event goes to the listeners, in order, as it arrives."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._listeners: list[Listener] = []
        self._ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    @property
    def ended(self) -> asyncio.Future[str]:
        return self._ended

    async def send_text(self, event_json: str) -> None:
        if self._socket.closed:
            raise ClientError(f"the connection is over: {self._reason()}")
        try:
            await self._socket.send_str(event_json)
        except (ConnectionError, aiohttp.ClientError) as error:
            raise ClientError(f"the connection is over: {error or self._reason()}") from error

    def _reason(self) -> str:
        code = self._socket.close_code
        return f"the server closed it (code {code})" if code else "the server went away"

    async def read(self) -> None:
        """Reads events until the connection is over. Run once, by ``connect``."""
        loop = asyncio.get_running_loop()
        reason = None
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    arrival = Arrival(loop.time(), orjson.loads(message.data))
                    for listener in self._listeners:
                        listener(arrival)
                elif message.type is aiohttp.WSMsgType.ERROR:
                    reason = f"the connection broke: {self._socket.exception()}"
        finally:
            if not self._ended.done():
                self._ended.set_result(reason or self._reason())


def append_json(pcm: bytes) -> str:
    """The event that appends ``pcm`` to the input buffer."""
    return f'{{"type":"input_audio_buffer.append","audio":"{base64.b64encode(pcm).decode()}"}}'


@asynccontextmanager
async def open_socket(
    base: str, api_key: str | None = None, conversation: str | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """The bare WebSocket of a conversation at the server ``base``. Raises ClientError."""
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    async with aiohttp.ClientSession() as http:
        socket = await _open(http, base, conversation, headers)
        try:
            yield socket
        finally:
            await socket.close()


@asynccontextmanager
async def connect(
    base: str, api_key: str | None = None, *, conversation: str | None = None
) -> AsyncIterator[RealtimeClient]:
    """Opens a conversation at the server ``base``, or the one that is kept there by the id ``conversation``, and closes
    it in the end. Raises ClientError.
    """
    async with open_socket(base, api_key, conversation) as socket:
        client = RealtimeClient(socket)
        reading = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await socket.close()
            reading.cancel()
            (outcome,) = await asyncio.gather(reading, return_exceptions=True)
            if isinstance(outcome, Exception):
                raise outcome


async def _open(
    http: aiohttp.ClientSession, base: str, conversation: str | None, headers: dict[str, str]
) -> aiohttp.ClientWebSocketResponse:
    url = realtime_url(base, conversation)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await http.ws_connect(
                url,
                headers=headers,
                max_msg_size=MAX_EVENT_BYTES,
                compress=0,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),  # pyright: ignore[reportCallIssue] - attrs
            )
    except aiohttp.WSServerHandshakeError as error:
        advice = "give --api-key" if error.status == 401 else error.message
        if "conversation=" in url:
            advice = _OF_CONVERSATIONS.get(error.status, advice)
        raise ClientError(f"{base} refused the connection with status {error.status}: {advice}") from error
    except TimeoutError as error:
        raise ClientError(f"{base} did not answer within {CONNECT_TIMEOUT_S:.0f} s") from error
    except (aiohttp.ClientError, OSError) as error:
        raise ClientError(trouble(base, error)) from error


@dataclass(slots=True)
class _Waiter:
    match: Match
    found: asyncio.Future[Arrival]


class Journal:
    """Keeps every arrival, and waits for those to come."""

    def __init__(self, client: Connection) -> None:
        self.arrivals: list[Arrival] = []
        self._client = client
        self._waiters: list[_Waiter] = []
        client.listen(self._record)
        client.ended.add_done_callback(self._over)

    def __len__(self) -> int:
        return len(self.arrivals)

    def _record(self, arrival: Arrival) -> None:
        self.arrivals.append(arrival)
        waiting: list[_Waiter] = []
        for waiter in self._waiters:
            if waiter.found.done():
                continue
            if waiter.match(arrival):
                waiter.found.set_result(arrival)
            elif arrival.kind == "error":
                waiter.found.set_exception(ClientError(f"the server said: {arrival.child('error').get('message')}"))
            else:
                waiting.append(waiter)
        self._waiters = waiting

    def _over(self, ended: asyncio.Future[str]) -> None:
        for waiter in self._waiters:
            if not waiter.found.done():
                waiter.found.set_exception(ClientError(f"the connection is over: {ended.result()}"))
        self._waiters.clear()

    def since(self, mark: int, kind: str | None = None) -> list[Arrival]:
        """The arrivals after the first ``mark`` ones, of one type where ``kind`` is given."""
        return [arrival for arrival in self.arrivals[mark:] if kind is None or arrival.kind == kind]

    async def expect(self, what: str | Match, *, timeout_s: float, since: int = 0, name: str = "") -> Arrival:
        """The first arrival after the first ``since`` ones that is of type ``what``, or for which it is true.

        Raises ClientError, which names it by ``name``, when it does not come within ``timeout_s``, when the server
        sends an error that it did not ask for, and when the connection ends.
        """
        match = what if callable(what) else (lambda arrival: arrival.kind == what)
        name = name or (what if isinstance(what, str) else "what was waited for")
        for arrival in self.arrivals[since:]:
            if match(arrival):
                return arrival
        if self._client.ended.done():
            raise ClientError(f"{name} did not come: {self._client.ended.result()}")
        waiter = _Waiter(match, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter.found
        except TimeoutError as error:
            raise ClientError(f"{name} did not come within {timeout_s:g} s") from error
