"""A tap on the wire between somebody's client and our server.

It passes every message on, keeps it, has the referee judge what the server says, and may hold back one kind of
server event, which shows whether a test would notice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from tests.e2e.event_log import EventLog

from antiphon.sim.referee import FoulError, Referee

Event = dict[str, Any]

_MAX_MESSAGE_BYTES = 32 * 1024 * 1024
LARGEST_EVENT_BYTES = 512 * 1024
"""No event of the server may be larger: browsers' data channels and some clients take no more."""
_PASSED_ON = ("Authorization", "OpenAI-Beta", "User-Agent")


class WireFaultError(AssertionError):
    """The server broke the protocol, or reported an error that the test did not expect."""


class Wiretap:
    """``async with Wiretap(server_url) as tap:`` and point the client at ``tap.ws_url`` or ``tap.base_url``.

    ``drop`` are types of server events that the client never gets to see. An ``error`` event is a fault unless its
    code is in ``expected_errors``. Leaving the block raises ``WireFaultError`` when there was one, or when the server
    still owed something and the client did not leave in the middle (``leaves_early``).
    """

    def __init__(
        self,
        server: str,
        *,
        drop: Collection[str] = (),
        expected_errors: Collection[str] = (),
        leaves_early: bool = False,
    ) -> None:
        self._server = server.rstrip("/")
        self._drop = frozenset(drop)
        self._expected_errors = frozenset(expected_errors)
        self._leaves_early = leaves_early
        self._referee = Referee()
        self._log: EventLog[Event] = EventLog()
        self._runner: web.AppRunner | None = None
        self._http: aiohttp.ClientSession | None = None
        self.client_events: list[Event] = []

    @property
    def base_url(self) -> str:
        assert self._runner is not None
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    @property
    def ws_url(self) -> str:
        return self.base_url.replace("http:", "ws:") + "/realtime"

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        app = web.Application()
        app.router.add_get("/v1/realtime", self._connect)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._http is not None:
            await self._http.close()
        if kind is None:
            self.judge()
            if not self._leaves_early and not self._drop:
                self._finish()

    def judge(self) -> None:
        """Raises WireFaultError when anything was wrong so far."""
        if self._log.failure is not None:
            raise self._log.failure

    def mark(self) -> int:
        """Now, as a position in the server's events; for ``since``."""
        return self._log.mark()

    async def wait_for(
        self, kind: str, matches: Callable[[Event], Any] = lambda event: True, *, since: int = 0
    ) -> Event:
        """The first server event of that type from ``since`` on. Raises TimeoutError, or WireFaultError at once."""
        return await self._log.wait_for(kind, lambda e: e["type"] == kind and matches(e), since=since)

    def seen(self, *kinds: str, since: int = 0) -> list[Event]:
        """The server's events of these types, in order; all of them when none is named."""
        return [event for event in self._log.entries[since:] if not kinds or event["type"] in kinds]

    def sent(self, *kinds: str) -> list[Event]:
        """The client's events of these types, in order."""
        return [event for event in self.client_events if event["type"] in kinds]

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        assert self._http is not None
        self._referee = Referee(vendor=request.query.get("events") == "antiphon")
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if name]
        async with self._http.ws_connect(
            f"{self._server}/v1/realtime",
            params=request.query,
            headers=headers,
            protocols=offered,
            max_msg_size=_MAX_MESSAGE_BYTES,
        ) as upstream:
            taken = (upstream.protocol,) if upstream.protocol else ()
            downstream = web.WebSocketResponse(protocols=taken, max_msg_size=_MAX_MESSAGE_BYTES)
            await downstream.prepare(request)
            await self._pump(downstream, upstream)
        return downstream

    async def _pump(self, client: web.WebSocketResponse, server: aiohttp.ClientWebSocketResponse) -> None:
        pumps = [
            asyncio.create_task(self._from_client(client, server)),
            asyncio.create_task(self._from_server(server, client)),
        ]
        _, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        await server.close()
        await client.close()
        for pump in pending:
            pump.cancel()
        for outcome in await asyncio.gather(*pumps, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, aiohttp.ClientConnectionResetError):
                self._log.fail(outcome)

    async def _from_client(self, client: web.WebSocketResponse, server: aiohttp.ClientWebSocketResponse) -> None:
        async for message in client:
            if message.type is aiohttp.WSMsgType.TEXT:
                event: Event = json.loads(message.data)
                self.client_events.append(event)
                self._referee.client(event)
                await server.send_str(message.data)
            else:
                await server.send_bytes(message.data)

    async def _from_server(self, server: aiohttp.ClientWebSocketResponse, client: web.WebSocketResponse) -> None:
        async for message in server:
            if message.type is not aiohttp.WSMsgType.TEXT:
                self._log.fail(WireFaultError(f"the server sent a frame that is not text: {message.type}"))
                continue
            if len(message.data) > LARGEST_EVENT_BYTES:
                self._log.fail(WireFaultError(f"an event of {len(message.data)} bytes"))
            event: Event = json.loads(message.data)
            self._check(event)
            self._log.add(event)
            if event["type"] not in self._drop:
                await client.send_str(message.data)

    def _finish(self) -> None:
        try:
            self._referee.finish()
        except FoulError as breach:
            raise WireFaultError(f"{breach}; all that came: {[event['type'] for event in self.seen()]}") from breach

    def _check(self, event: Event) -> None:
        try:
            self._referee.feed(event)
        except FoulError as breach:
            self._log.fail(WireFaultError(f"{event.get('type')}: {breach}"))
        if event["type"] == "error" and event["error"].get("code") not in self._expected_errors:
            self._log.fail(WireFaultError(f"the server reports an error: {event['error']}"))
