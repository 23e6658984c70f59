"""All WebRTC calls of a server, and the HTTP requests that begin and end them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from typing import Any

import orjson
import structlog
from aiohttp import web

from antiphon.errors import ProtocolError
from antiphon.session.keeping import Kept
from antiphon.session.pacer import Pacer
from antiphon.transport.access import CALLS_PATH, GRANT
from antiphon.transport.gateway import Gateway
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.fields import Json, mapping
from antiphon.transport.responses import error_response, full_response, no_conversation
from antiphon.transport.seat import Seat
from antiphon.transport.webrtc.call import Call, CallOverError
from antiphon.transport.webrtc.network import Network
from antiphon.transport.webrtc.offer import Offer
from antiphon.transport.webrtc.peer import Peer, UnreachableError

SDP = "application/sdp"

MAX_SDP_BYTES = 64 * 1024
"""Browsers send some 2 to 8 KiB."""

MAX_REASON = 200
"""Letters of what is wrong with a body: it may quote all of it."""

_log = structlog.get_logger(__name__)


class Calls:
    """Implements the routes below ``/v1/realtime/calls``. ``alive()`` must be entered while it serves."""

    def __init__(
        self,
        gateway: Gateway,
        network: Network,
        pacer: Pacer,
        *,
        admit: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``admit`` is asked at each call: None lets it in, else it is the reason why not, for the client."""
        self._gateway = gateway
        self._network = network
        self._pacer = pacer
        self._admit = admit
        self._calls: dict[str, Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        gateway.checks.append(self._check)

    def seat_of(self, call_id: str) -> Seat | None:
        """The session of a call that is in progress."""
        call = self._calls.get(call_id)
        return call.seat if call is not None and call.seat is not None and call.seat.is_open else None

    # Requests.

    async def handle(self, request: web.Request) -> web.Response:
        """Any request below ``/v1/realtime/calls``, and an offer that is sent to ``/v1/realtime`` itself."""
        call_id = request.match_info.get("call_id")
        if call_id is None:
            return await self._begin(request)
        call = self._calls.get(call_id)
        if call is None or call.seat is None or not call.seat.is_open:
            return error_response(404, "There is no such call on this server", "call_not_found", param="call_id")
        match request.match_info.get("action"):
            case None:
                return await self._renew(request, call)
            case "hangup":
                call.hang_up()
                return web.Response()
            case "accept" | "reject" | "refer" as action:
                return error_response(
                    409, f"The call is in progress: {action} is for calls by telephone", "call_in_progress"
                )
            case _:
                return error_response(404, "A call can be hung up: POST .../hangup", "unknown_action")

    async def _renew(self, request: web.Request, call: Call) -> web.Response:
        """Another offer of the client: its network has changed, or the connection was lost."""
        sdp, _ = await _read(request)
        try:
            answer = await call.renew(Offer.parse(sdp), request.query.get("after"), partial(self._peer, call))
        except UnreachableError as error:
            return full_response(str(error))
        except CallOverError:
            return error_response(404, "The call is over", "call_not_found", param="call_id")
        return web.Response(text=answer, content_type=SDP)

    def _peer(self, call: Call) -> Peer:
        return Peer(self._network, self._pacer, self._gateway.limits, heard=call.hear, changed=call.connection_changed)

    async def _begin(self, request: web.Request) -> web.Response:
        sdp, session = await _read(request)
        config = self._gateway.configure(request.query, request[GRANT], paced=True)
        config.update(session)
        async with self._gateway.recalled(config) as kept:
            return no_conversation() if kept is None else await self._answer(request, sdp, config, kept)

    async def _answer(self, request: web.Request, sdp: str, config: SessionConfig, kept: Kept) -> web.Response:
        """A call, as far as there is room for one."""
        if self._gateway.full:
            self._gateway.watcher.refused("full")
            return full_response("All sessions of this server are taken; try again shortly")
        offer = Offer.parse(sdp)  # a wrong one is told so, however busy the server is
        if (reason := self._admit()) is not None:
            self._gateway.watcher.refused("load")
            return full_response(reason)
        vendor = request.query.get("events") == "antiphon"
        resumable = request.query.get("resumable") == "1"
        call = Call(self._gateway.names.call(), vendor=vendor)
        with self._gateway.place() as place:
            peer = self._peer(call)
            try:
                answer = await peer.answer(offer)
                seat = self._gateway.seat(place, config, vendor=vendor, mouth=call.say, resumable=resumable, kept=kept)
            except UnreachableError as error:
                await peer.close()
                return full_response(str(error))
            except BaseException:
                await peer.close()
                raise
        call.begin(seat, peer)
        self._calls[call.id] = call
        with structlog.contextvars.bound_contextvars(session=seat.id, call=call.id):
            task = asyncio.create_task(self._host(call))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return web.Response(status=201, text=answer, content_type=SDP, headers={"Location": f"{CALLS_PATH}/{call.id}"})

    async def _host(self, call: Call) -> None:
        try:
            await call.run()
        except Exception:
            _log.exception("a call failed")
        finally:
            del self._calls[call.id]

    # The server's life.

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """No call is left when it is done."""
        try:
            yield
        finally:
            for call in tuple(self._calls.values()):
                call.hang_up()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._gateway.limits.close_timeout_s)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _check(self, now: float) -> None:
        for call in tuple(self._calls.values()):
            call.check(now)


async def _read(request: web.Request) -> tuple[str, Json]:
    """The offer and the session object of a request. Raises ProtocolError."""
    match request.content_type:
        case "application/sdp":
            return _sdp_of(await request.read()), {}
        case "multipart/form-data":
            form = await _form_of(request)
            return _sdp_of(_part(form.get("sdp"))), _session_of(_part(form.get("session")))
        case other:
            raise ProtocolError(
                f"Send the offer as application/sdp, or 'sdp' and 'session' as multipart/form-data, not as {other}",
                code="unsupported_content_type",
            )


async def _form_of(request: web.Request) -> Mapping[str, Any]:
    try:
        return await request.post()
    except (ValueError, LookupError, RuntimeError) as error:  # whatever is wrong with a part, or where it ends
        reason = str(error).partition("\n")[0][:MAX_REASON] or type(error).__name__
        raise ProtocolError(f"The multipart body cannot be read: {reason}", code="invalid_multipart") from None


def _part(given: Any) -> bytes:
    if isinstance(given, web.FileField):
        return given.file.read()
    return given.encode() if isinstance(given, str) else given or b""


def _sdp_of(data: bytes) -> str:
    if not data.strip():
        raise ProtocolError("Missing required parameter: 'sdp'", code="missing_required_parameter", param="sdp")
    if len(data) > MAX_SDP_BYTES:
        raise ProtocolError(f"An SDP offer has at most {MAX_SDP_BYTES} bytes", code="invalid_offer", param="sdp")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ProtocolError("The SDP offer is not UTF-8 text", code="invalid_offer", param="sdp") from None


def _session_of(data: bytes) -> Json:
    if not data.strip():
        return {}
    try:
        return mapping(orjson.loads(data), "session")
    except ValueError as error:
        raise ProtocolError(f"'session' is not valid JSON: {error}", code="invalid_json", param="session") from None
