"""The requests for calls that other processes of the server carry: each is handed to the process that it is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
import structlog
from aiohttp import web

from antiphon.core.carriers import Carrier, Carriers, Fate, Mark
from antiphon.transport import relay
from antiphon.transport.access import CALLS_PATH, GRANT, REALTIME_PATH, Handler, granted
from antiphon.transport.gateway import Gateway
from antiphon.transport.responses import error_response, full_response

_ANSWER_LIMIT_S = 30.0
"""A process answers an offer within some 3 s, or says that it cannot."""

_TAKEN = 201
_FULL = 503

_log = structlog.get_logger(__name__)


class Exchange(Protocol):
    """Knows the processes."""

    @property
    def carriers(self) -> Carriers: ...

    def http(self, number: int) -> aiohttp.ClientSession:
        """What reaches the process of that number, below ``relay.BASE``."""
        ...


class CallFront:
    """Stands in for ``Calls``. The WebSockets and the records of calls go through it too."""

    def __init__(self, gateway: Gateway, exchange: Exchange) -> None:
        self._gateway = gateway
        self._exchange = exchange
        gateway.elsewhere = lambda: exchange.carriers.calls

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Within the guard, which has let the request in, or leaves it to the process."""
        if request.match_info.http_exception is not None:
            return await handler(request)
        mark = _mark_of(request)
        if mark is not None:
            return await self._hand_over(request, mark)
        if request.path.startswith(CALLS_PATH) and "call_id" in request.match_info:
            return _not_found(request)
        if request.method == "POST" and request.path in (REALTIME_PATH, CALLS_PATH):
            return await self._begin(request)
        return await handler(request)

    def is_judged_elsewhere(self, request: web.Request) -> bool:
        """Whether the request shows a token that the process alone knows for which it is."""
        return _mark_of(request) is not None and not {"token", "resume"}.isdisjoint(request.query)

    async def _begin(self, request: web.Request) -> web.StreamResponse:
        """Offers the call to one process after the other, the one with the least to do first."""
        if self._gateway.full:
            self._gateway.watcher.refused("full")
            return full_response("All sessions of this server are taken; try again shortly")
        body = await request.read()
        answer = full_response("No process carries calls at the moment; try again shortly")
        for carrier in self._exchange.carriers.in_turn():
            answer = await self._offer(request, carrier, body) or answer
            if answer.status != _FULL:
                return answer
        self._gateway.watcher.refused("load")
        return answer

    async def _offer(self, request: web.Request, carrier: Carrier, body: bytes) -> web.Response | None:
        """What the process answers; None if it does not."""
        answer = None
        carrier.offer()
        try:
            answer = await relay.answer_of(request, self._http(carrier), body, self._headers(request), _ANSWER_LIMIT_S)
        except (aiohttp.ClientError, TimeoutError) as error:
            _log.warning("an offer was not answered", process=carrier.mark.number, reason=str(error))
        finally:
            carrier.answered(taken=answer is not None and answer.status == _TAKEN)
        return answer

    async def _hand_over(self, request: web.Request, mark: Mark) -> web.StreamResponse:
        match self._exchange.carriers.find(mark):
            case Carrier() as carrier:
                try:
                    return await self._reach(request, carrier)
                except (aiohttp.ClientError, TimeoutError) as error:
                    _log.warning("a process did not answer", process=mark.number, reason=str(error))
                    return full_response("The process that carries this call does not answer; try again shortly")
            case Fate.ENDED:
                return error_response(410, relay.LOST, relay.LOST_CODE, param=_param(request))
            case Fate.UNKNOWN:
                return _not_found(request)

    async def _reach(self, request: web.Request, carrier: Carrier) -> web.StreamResponse:
        http, headers = self._http(carrier), self._headers(request)
        if relay.wants_socket(request):
            return await relay.join(request, http, headers, self._gateway.limits) or _not_found(request)
        return await relay.pass_on(request, http, headers, _ANSWER_LIMIT_S)

    def _http(self, carrier: Carrier) -> aiohttp.ClientSession:
        return self._exchange.http(carrier.mark.number)

    def _headers(self, request: web.Request) -> Mapping[str, str]:
        return {**relay.headers_of(request), **granted(request.get(GRANT))}


def _mark_of(request: web.Request) -> Mark | None:
    """The process that the request is for; None where it names none."""
    names: list[Any] = [request.match_info.get("call_id"), request.match_info.get("session_id")]
    if request.path == REALTIME_PATH:
        names += [request.query.get("call_id"), request.query.get("resume")]
    return next((mark for name in names if name and (mark := Mark.of(name)) is not None), None)


def _param(request: web.Request) -> str:
    if "session_id" in request.match_info:
        return "session_id"
    return "resume" if "resume" in request.query else "call_id"


def _not_found(request: web.Request) -> web.Response:
    match _param(request):
        case "call_id":
            return error_response(404, "There is no such call on this server", "call_not_found", param="call_id")
        case "resume":
            return error_response(404, "There is no such session, or no longer", "session_not_found", param="resume")
        case param:
            return error_response(404, "There is no such record, or no longer", "record_not_found", param=param)
