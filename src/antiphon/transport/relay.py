"""Requests that another process of this server answers: they are passed on, and so is what it says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import aiohttp
import orjson
import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from antiphon.transport.limits import Limits
from antiphon.transport.responses import key_response
from antiphon.transport.websocket import SUBPROTOCOL, WebSocketLine

BASE = "http://antiphon.internal"
"""The process itself is told by the socket over which it is reached."""

LOST = "The process that carried this call has ended, and the conversation with it: begin a new call"
LOST_CODE = "call_lost"

_PIECE_BYTES = 64 * 1024
_PASSED_ON = ("Content-Type", "Range", "If-None-Match", "If-Modified-Since")
_PASSED_BACK = (
    *("Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Accept-Ranges", "Cache-Control"),
    *("Allow", "ETag", "Last-Modified", "Location", "Retry-After", "Upgrade", "WWW-Authenticate"),
)
_NO_CODE = (0, WSCloseCode.ABNORMAL_CLOSURE, 1005)
"""Of a close frame without a code, which none can be sent with."""

Here = web.WebSocketResponse[Any]
"""To the client."""
There = aiohttp.ClientWebSocketResponse[Literal[False]]
"""To the process."""

_log = structlog.get_logger(__name__)


def headers_of(request: web.Request) -> dict[str, str]:
    """Those that matter to the process. Keys and origins do not: they were looked at here."""
    return _chosen(_PASSED_ON, request.headers)


def _chosen(names: tuple[str, ...], headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}


async def answer_of(
    request: web.Request, http: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str], limit_s: float
) -> web.Response:
    """A small answer. Raises aiohttp.ClientError, and TimeoutError."""
    async with _asking(request, http, body, headers, limit_s) as answer:
        back = _chosen(_PASSED_BACK, answer.headers)
        back.pop("Content-Length", None)
        return web.Response(status=answer.status, body=await answer.read(), headers=back)


async def pass_on(
    request: web.Request, http: aiohttp.ClientSession, headers: Mapping[str, str], limit_s: float
) -> web.StreamResponse:
    """An answer of any size, as it comes. Raises aiohttp.ClientError, and TimeoutError, while nothing has come."""
    async with _asking(request, http, await request.read(), headers, limit_s) as answer:
        response = web.StreamResponse(status=answer.status, headers=_chosen(_PASSED_BACK, answer.headers))
        await response.prepare(request)
        try:
            async for piece in answer.content.iter_chunked(_PIECE_BYTES):
                await response.write(piece)
        except aiohttp.ClientError as error:  # the client sees by the length that it has not got all
            _log.warning("an answer broke off", path=request.path, reason=str(error))
            if request.transport is not None:
                request.transport.abort()
        else:
            await response.write_eof()
        return response


@contextlib.asynccontextmanager
async def _asking(
    request: web.Request, http: aiohttp.ClientSession, body: bytes, headers: Mapping[str, str], limit_s: float
) -> AsyncIterator[aiohttp.ClientResponse]:
    timeout = aiohttp.ClientTimeout(sock_connect=limit_s, sock_read=limit_s)
    url = f"{BASE}{request.rel_url}"
    async with http.request(request.method, url, data=body or None, headers=headers, timeout=timeout) as answer:
        yield answer


# WebSockets.


def wants_socket(request: web.Request) -> bool:
    return web.WebSocketResponse(protocols=(SUBPROTOCOL,)).can_prepare(request).ok


@dataclass(frozen=True, slots=True)
class _End:
    """How one side has ended: it closed with that code, or was lost."""

    code: int | None = None
    reason: str = ""


async def join(
    request: web.Request, http: aiohttp.ClientSession, headers: Mapping[str, str], limits: Limits
) -> web.StreamResponse | None:
    """Upgrades the request, and is between the client and the process until one of them ends.

    None when the process knows nothing that the client could join. Raises aiohttp.ClientError.
    """
    try:
        there = await http.ws_connect(
            f"{BASE}{request.rel_url}",
            headers=headers,
            protocols=(SUBPROTOCOL,),
            autoping=False,
            autoclose=False,
            decode_text=False,
            max_msg_size=limits.max_message_bytes,
        )
    except aiohttp.WSServerHandshakeError as error:
        return key_response() if error.status == web.HTTPUnauthorized.status_code else None
    here = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,),
        compress=False,
        timeout=limits.close_timeout_s,
        autoping=False,
        autoclose=False,
        decode_text=False,
        max_msg_size=limits.max_message_bytes,
    )
    try:
        await here.prepare(request)
    except ConnectionError:
        await there.close(code=WSCloseCode.GOING_AWAY)
        return web.Response()  # nobody is there to get it
    await _be_between(request, here, there, limits)
    return here


async def _be_between(request: web.Request, here: Here, there: There, limits: Limits) -> None:
    from_client = asyncio.create_task(_carry(here, there, limits.stalled_after_s))
    from_process = asyncio.create_task(_carry(there, here, limits.stalled_after_s))
    try:
        await asyncio.wait([from_client, from_process], return_when=asyncio.FIRST_COMPLETED)
    finally:
        from_client.cancel()
        from_process.cancel()
        await asyncio.gather(from_client, from_process, return_exceptions=True)
        client = _end_of(from_client, from_process)
        process = _end_of(from_process, from_client)
        await _part(request, here, there, client, process, limits)


def _end_of(from_it: asyncio.Task[_End], to_it: asyncio.Task[_End]) -> _End | None:
    """None for a side that has not ended."""
    if not from_it.cancelled() and from_it.exception() is None:
        return from_it.result()
    return _End() if not to_it.cancelled() and to_it.exception() is not None else None


async def _part(
    request: web.Request, here: Here, there: There, client: _End | None, process: _End | None, limits: Limits
) -> None:
    """Tells each side how the other one has ended. Neither is left open."""
    line = WebSocketLine(here, request.transport, limits)
    try:
        if process is None:
            end = client or _End()
            code = end.code or WSCloseCode.GOING_AWAY  # which says that a client was lost, and may come back
            await _leave(there, code, end.reason, limits)
            await line.close(code, end.reason)
        elif process.code is not None:
            await line.close(process.code, process.reason)
        else:
            await _tell_lost(here, limits)
            await line.close(WSCloseCode.INTERNAL_ERROR, LOST_CODE)
    finally:
        line.abort()
        await _leave(there, WSCloseCode.GOING_AWAY, "", limits)


async def _leave(there: There, code: int, reason: str, limits: Limits) -> None:
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(limits.close_timeout_s):
            await there.close(code=code, message=reason.encode())


async def _tell_lost(here: Here, limits: Limits) -> None:
    error = {"type": "server_error", "code": LOST_CODE, "message": LOST, "param": None, "event_id": None}
    event = orjson.dumps({"type": "error", "event_id": f"event_{LOST_CODE}", "error": error})
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(limits.close_timeout_s):
            await here.send_frame(event, WSMsgType.TEXT)


async def _carry(source: Here | There, sink: Here | There, stalled_after_s: float) -> _End:
    """Hands on what comes from one side, until that ends. Raises TimeoutError and ConnectionError for the other one."""
    while True:
        message = await source.receive()
        async with asyncio.timeout(stalled_after_s):
            match message.type:
                case WSMsgType.TEXT | WSMsgType.BINARY | WSMsgType.PING | WSMsgType.PONG:
                    await sink.send_frame(message.data, message.type)
                case WSMsgType.CLOSE:
                    code = int(message.data or 0)
                    return _End(WSCloseCode.OK if code in _NO_CODE else code, str(message.extra or ""))
                case _:
                    return _End()
