"""The server's HTTP surface: the conversations, and what there is besides them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from antiphon.errors import ProtocolError
from antiphon.session.keeping import Keeper
from antiphon.session.shelf import Shelf
from antiphon.transport import websocket
from antiphon.transport.access import CALLS_PATH, GRANT, REALTIME_PATH, Access, add_cors, errors, guard_of
from antiphon.transport.gateway import Gateway, Watcher
from antiphon.transport.limits import Limits
from antiphon.transport.livekit.rooms import refuse_without_sdk
from antiphon.transport.names import Names
from antiphon.transport.realtime.fields import mapping
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.secrets import SecretStore
from antiphon.transport.records import Records
from antiphon.transport.responses import error_response, full_response, json_response, no_conversation
from antiphon.transport.seat import SessionFactory

if TYPE_CHECKING:
    from antiphon.transport.livekit.rooms import Rooms
    from antiphon.transport.webrtc.calls import Calls
    from antiphon.transport.webrtc.front import CallFront

GATEWAY = web.AppKey("gateway", Gateway)

_FREE = frozenset(("/health", "/readiness"))
_SECRETS_PATH = f"{REALTIME_PATH}/client_secrets"

Health = Callable[[], Mapping[str, Any]]
"""``{"status": "ok" | ..., "engines": {...}}``; the server is ready when the status is ``ok``."""

MetricsText = Callable[[], Awaitable[tuple[bytes, str]]]
"""The text and its content type."""


class _Routes:
    def __init__(
        self,
        gateway: Gateway,
        access: Access,
        health: Health,
        metrics: MetricsText | None,
        offer: Callable[[], Offer],
        calls: Calls | None,
    ) -> None:
        self._gateway = gateway
        self._access = access
        self._health = health
        self._metrics = metrics
        self._offer = offer
        self._calls = calls

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(REALTIME_PATH, self.realtime),
            web.post(REALTIME_PATH, self.call),
            web.post(CALLS_PATH, self.call),
            web.post(CALLS_PATH + "/{call_id}", self.call),
            web.patch(CALLS_PATH + "/{call_id}", self.call),
            web.post(CALLS_PATH + "/{call_id}/{action}", self.call),
            web.post(_SECRETS_PATH, self.client_secrets),
            web.get("/v1/models", self.models),
            web.get("/health", self.health),
            web.get("/readiness", self.readiness),
            web.get("/metrics", self.metrics),
        ]

    async def realtime(self, request: web.Request) -> web.StreamResponse:
        if not web.WebSocketResponse(protocols=(websocket.SUBPROTOCOL,)).can_prepare(request).ok:
            return error_response(
                426, "Connect with a WebSocket", "websocket_required", headers={"Upgrade": "websocket"}
            )
        vendor = request.query.get("events") == "antiphon"
        if "call_id" in request.query:
            seat = self._calls.seat_of(request.query["call_id"]) if self._calls is not None else None
            if seat is None:
                return error_response(404, "There is no such call on this server", "call_not_found", param="call_id")
            return await websocket.serve_sideband(request, self._gateway, seat, vendor=vendor)
        if "resume" in request.query:
            seat = self._gateway.seat_of(request.query["resume"])
            if seat is None:
                return error_response(
                    404, "There is no such session, or no longer", "session_not_found", param="resume"
                )
            return await websocket.resume(request, self._gateway, seat, vendor=vendor)
        config = self._gateway.configure(request.query, request[GRANT])
        async with self._gateway.recalled(config) as kept:  # which may end a session, and free its place
            if kept is None:
                return no_conversation()
            if self._gateway.full:
                self._gateway.watcher.refused("full")
                return full_response("All sessions of this server are taken; try again shortly")
            return await websocket.serve(request, self._gateway, config, vendor=vendor, kept=kept)

    async def call(self, request: web.Request) -> web.StreamResponse:
        if self._calls is None:
            return error_response(
                501,
                "This server has no WebRTC: `pip install 'antiphon[webrtc]'` adds it; a WebSocket works without",
                "webrtc_not_installed",
            )
        return await self._calls.handle(request)

    async def client_secrets(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            given = orjson.loads(body) if body.strip() else {}
        except ValueError as error:
            raise ProtocolError(f"The body is not valid JSON: {error}", code="invalid_json") from None
        given = mapping(given, "body")
        session = mapping(given.get("session") or {}, "session")
        config = self._gateway.configure({}, session)
        secret = self._access.secrets.issue(given)
        shown = {**config.wire(), "expires_at": secret.expires_at}
        return json_response({"value": secret.value, "expires_at": secret.expires_at, "session": shown})

    async def models(self, request: web.Request) -> web.Response:
        """As the service has it, and besides the ``stage`` of each; an engine that speaks has its ``voices`` too."""
        offer = self._offer()
        names = dict.fromkeys((*offer.models, *offer.other_models))
        data: list[dict[str, object]] = [
            {"id": name, "object": "model", "created": 0, "owned_by": "antiphon"} for name in names
        ]
        for model in data:
            voices = [voice for voice in offer.voices if voice.partition(":")[0] == model["id"]]
            if voices:
                model["voices"] = voices
            model["stage"] = offer.stage_of(str(model["id"]))
        return json_response({"object": "list", "data": data})

    async def health(self, request: web.Request) -> web.Response:
        return json_response({"service": "antiphon", **self._health()})

    async def readiness(self, request: web.Request) -> web.Response:
        health = self._health()
        full, status = self._gateway.full, health.get("status")
        if status == "ok" and not full:
            return json_response({"ready": True, "status": status})
        reason = "all sessions are taken" if full else health.get("reason") or f"the server is {status}"
        return json_response({"ready": False, "status": "full" if full else status, "reason": reason}, status=503)

    async def metrics(self, request: web.Request) -> web.Response:
        if self._metrics is None:
            raise web.HTTPNotFound
        text, content_type = await self._metrics()
        return web.Response(body=text, headers={"Content-Type": content_type})


def comes_back(request: web.Request, gateway: Gateway, calls: Calls | None) -> bool:
    """Whether the request shows the token of the session to which its client comes back."""
    if request.path == REALTIME_PATH:
        token = request.query.get("resume")
        return token is not None and gateway.seat_of(token) is not None
    token, call_id = request.query.get("token"), request.match_info.get("call_id")
    if token is None or call_id is None or calls is None:
        return False
    seat = gateway.seat_of(token)
    return seat is not None and seat is calls.seat_of(call_id)


def make_app(
    factory: SessionFactory,
    *,
    offer: Callable[[], Offer] = Offer,
    limits: Limits | None = None,
    api_keys: Sequence[str] = (),
    allowed_origins: Sequence[str] = (),
    health: Health = lambda: {"status": "ok", "engines": {}},
    metrics: MetricsText | None = None,
    watcher: Watcher | None = None,
    calls: Callable[[Gateway], Calls] | None = None,
    rooms: Callable[[Gateway], Rooms] | None = None,
    front: Callable[[Gateway], CallFront] | None = None,
    access: Access | None = None,
    names: Names | None = None,
    secrets: SecretStore | None = None,
    shelf: Shelf | None = None,
    keeper: Keeper | None = None,
    more_routes: Sequence[web.RouteDef] = (),
    free_routes: Sequence[web.RouteDef] = (),
) -> web.Application:
    """The application. Its ``Gateway``, which knows the sessions, is ``app[GATEWAY]``.

    ``factory`` makes a session for each client; ``offer`` says what a client may choose from; ``calls``, where it
    is given, serves WebRTC, ``rooms`` LiveKit, ``shelf`` keeps the records that clients ask for, ``keeper``
    conversations. With no ``api_keys`` everybody may come in, so then listen on loopback alone. ``more_routes``
    stand behind the same guard, ``free_routes`` before it. Where other processes carry the calls, ``front`` hands
    over to them, in the place of ``calls``; in such a process, ``access`` and ``names`` are those that its server
    expects.
    """
    gateway = Gateway(factory, offer, limits or Limits(), watcher, shelf, names, keeper)
    if access is None:
        access = Access(tuple(api_keys), frozenset(allowed_origins), secrets or SecretStore())
    public = frozenset(route.path for route in free_routes)
    records = Records(shelf) if shelf is not None else None
    served = calls(gateway) if calls is not None else None
    visited = rooms(gateway) if rooms is not None else None
    handing_over = front(gateway) if front is not None else None

    def admits(request: web.Request) -> bool:
        if handing_over is not None and handing_over.is_judged_elsewhere(request):
            return access.grant(request) is None  # a key is good for it here
        return (records is not None and records.admits(request)) or comes_back(request, gateway, served)

    app = web.Application(middlewares=[errors, guard_of(access, watcher, _FREE, public, admits)])
    if handing_over is not None:
        app.middlewares.append(handing_over.middleware)
    app[GATEWAY] = gateway
    app.add_routes(
        [
            *_Routes(gateway, access, health, metrics, offer, served).routes(),
            *([records.route()] if records is not None else []),
            *(visited.routes() if visited is not None else refuse_without_sdk()),
            *more_routes,
            *free_routes,
        ]
    )
    app.on_response_prepare.append(add_cors)
    _live_with(app, gateway, [way for way in (served, visited) if way is not None])
    return app


def _live_with(app: web.Application, gateway: Gateway, ways: Sequence[Calls | Rooms]) -> None:
    """The sessions, and the ways to them beside WebSockets, begin and end with the application."""

    async def alive(_: web.Application) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            for part in (gateway, *ways):
                await stack.enter_async_context(part.alive())
            yield

    async def stop(_: web.Application) -> None:
        gateway.close()

    app.cleanup_ctx.append(alive)
    app.on_shutdown.append(stop)
