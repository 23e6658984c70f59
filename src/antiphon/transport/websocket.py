"""Conversations over WebSockets."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from antiphon.errors import ProtocolError
from antiphon.session.keeping import NOTHING_KEPT, Kept
from antiphon.transport.connection import Connection
from antiphon.transport.gateway import Gateway
from antiphon.transport.limits import Limits
from antiphon.transport.line import Received
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.seat import Seat

SUBPROTOCOL = "realtime"

_HEARTBEAT_S = 8.0
"""For clients that may come back: a line that is dead is noticed after 12 s at most."""

_WRITER_LIMIT_BYTES = 64 * 1024
"""What waits is to wait in our queue, where it can be counted and dropped, rather than in the socket's."""

_log = structlog.get_logger(__name__)


class WebSocketLine:
    """Implements ``transport.line.Line``."""

    def __init__(self, socket: web.WebSocketResponse[Any], transport: asyncio.Transport | None, limits: Limits) -> None:
        self._socket = socket
        self._transport = transport
        self._close_timeout_s = limits.close_timeout_s
        self._farewell: int | None = None
        """The code of the client's close, if one came. The socket's own is 1000 also where a line just ended."""

    @property
    def was_lost(self) -> bool:
        """The client has not taken its leave. Browsers that leave a page say so with 1001."""
        return self._farewell in (None, WSCloseCode.GOING_AWAY)

    async def receive(self) -> Received | None:
        message = await self._socket.receive()
        if message.type is WSMsgType.CLOSE:
            self._farewell = message.data
        if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
            return Received(message.data, message.type is WSMsgType.TEXT)
        return None  # CLOSE, CLOSING, CLOSED or ERROR: aiohttp has answered it

    async def send(self, data: bytes) -> None:
        await self._socket.send_frame(data, WSMsgType.TEXT)

    async def close(self, code: int, reason: str) -> None:
        """Says why, waits a little for the client to say so too, and leaves no socket either way."""
        try:
            async with asyncio.timeout(self._close_timeout_s):
                await self._socket.close(code=code, message=reason.encode())
        except (TimeoutError, ConnectionError):
            _log.debug("the client did not answer the close")
            self._drop()
        except asyncio.CancelledError:
            self._drop()
            raise
        else:
            self._leave()

    def _leave(self) -> None:
        """Closes the socket once what was said has gone out, for which it has a little time."""
        transport = self._transport
        if transport is None:
            return
        transport.close()
        if transport.get_write_buffer_size() or transport.get_extra_info("sslcontext") is not None:
            asyncio.get_running_loop().call_later(self._close_timeout_s, transport.abort)

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def abort(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()


async def open_line(
    request: web.Request, limits: Limits, *, heartbeat_s: float | None = None
) -> tuple[web.WebSocketResponse, WebSocketLine]:
    """Upgrades the request. Raises ConnectionError when the client leaves during the handshake.

    ``heartbeat_s``: how often to ask whether the client is there, which it must say within half of that.
    """
    socket = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,),
        compress=False,
        max_msg_size=limits.max_message_bytes,
        timeout=limits.close_timeout_s,
        decode_text=False,
        heartbeat=heartbeat_s,
        writer_limit=_WRITER_LIMIT_BYTES,
    )
    await socket.prepare(request)
    return socket, WebSocketLine(socket, request.transport, limits)


async def serve(
    request: web.Request, gateway: Gateway, config: SessionConfig, *, vendor: bool, kept: Kept = NOTHING_KEPT
) -> web.StreamResponse:
    """Upgrades the request and converses, with what is ``kept`` of the conversation.

    The caller has checked that the gateway is not full.
    """
    resumable = request.query.get("resumable") == "1"
    with gateway.place() as place:
        try:
            socket, line = await open_line(request, gateway.limits, heartbeat_s=_HEARTBEAT_S if resumable else None)
        except ConnectionError:
            return web.Response()  # nobody is there to get it
        try:
            seat = gateway.seat(place, config, vendor=vendor, resumable=resumable, kept=kept)
        except ProtocolError as error:  # too late for a status
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=str(error).encode())
            return socket
    connection = Connection(line, gateway.limits, vendor=vendor)
    seat.attach(connection)
    await _attend(seat, connection, line)
    return socket


async def resume(request: web.Request, gateway: Gateway, seat: Seat, *, vendor: bool) -> web.StreamResponse:
    """Upgrades the request of a client that comes back to its session."""
    try:
        socket, line = await open_line(request, gateway.limits, heartbeat_s=_HEARTBEAT_S)
    except ConnectionError:
        return web.Response()
    connection = Connection(line, gateway.limits, vendor=vendor)
    seat.reattach(connection, request.query.get("after"))
    seat.back()
    await _attend(seat, connection, line)
    return socket


async def _attend(seat: Seat, connection: Connection, line: WebSocketLine) -> None:
    over = partial(seat.end, WSCloseCode.OK, "")
    # Where the client may come back, a line that has ended is closed at once, and the session goes on.
    left = over if seat.token is None else partial(connection.close, WSCloseCode.OK, "")
    with structlog.contextvars.bound_contextvars(session=seat.id):
        try:
            await seat.attend(connection, left=left)
        finally:
            if seat.token is not None and (line.was_lost or connection.was_cut_off):
                seat.away(connection)
            elif seat.is_client(connection):
                over()


async def serve_sideband(request: web.Request, gateway: Gateway, seat: Seat, *, vendor: bool) -> web.StreamResponse:
    """Upgrades the request and lets its client take part in a session that another one has opened."""
    try:
        socket, line = await open_line(request, gateway.limits)
    except ConnectionError:
        return web.Response()
    with structlog.contextvars.bound_contextvars(session=seat.id):
        _log.info("a sideband was opened")
        await seat.listen_in(Connection(line, gateway.limits, vendor=vendor))
    return socket
