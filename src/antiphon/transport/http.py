"""The server's HTTP surface: who may come in, and what there is besides the conversation itself."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from antiphon.errors import ProtocolError
from antiphon.transport.realtime.config import Offer
from antiphon.transport.realtime.fields import Json, mapping
from antiphon.transport.realtime.secrets import SecretStore
from antiphon.transport.websocket import Gateway, Limits, SessionFactory, Watcher

GATEWAY = web.AppKey("gateway", Gateway)
_GRANT = web.RequestKey("grant", dict[str, Any])

_KEY_PROTOCOL = "openai-insecure-api-key."
_FREE = frozenset(("/health", "/readiness"))
_RETRY_AFTER_S = 5
_SECRETS_PATH = "/v1/realtime/client_secrets"
_REALTIME_PATH = "/v1/realtime"

_CORS = {
    "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-OpenAI-Agents-SDK",
    "Access-Control-Expose-Headers": "Location",
    "Access-Control-Max-Age": "600",
}

Health = Callable[[], Mapping[str, Any]]
"""``{"status": "ok" | ..., "engines": {...}}``; the server is ready when the status is ``ok``."""

MetricsText = Callable[[], tuple[bytes, str]]
"""The text and its content type."""


def error_response(
    status: int,
    message: str,
    code: str | None = None,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error in the shape that OpenAI's clients read."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    return json_response(
        {"error": {"message": message, "type": kind, "param": param, "code": code}}, status=status, headers=headers
    )


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=headers)


@dataclass(frozen=True, slots=True)
class Access:
    """Who may come in."""

    api_keys: tuple[str, ...]
    allowed_origins: frozenset[str]
    secrets: SecretStore

    def origin_is_welcome(self, request: web.Request) -> bool:
        """Browsers say from which page a request comes; other clients say nothing and are welcome.

        A page of the server itself is, and those of the list. Without an API key the server's own name must be an
        address or ``localhost``: any other name could be one that an attacker points to this machine (DNS rebinding).
        """
        origin = request.headers.get("Origin")
        if origin is None or origin in self.allowed_origins or "*" in self.allowed_origins:
            return True
        parts = urlsplit(origin)
        if parts.netloc == "" or parts.netloc.lower() != request.host.lower():
            return False
        return bool(self.api_keys) or _cannot_be_rebound(parts.hostname or "")

    def grant(self, request: web.Request) -> Json | None:
        """The session that the request's key is good for, ``{}`` for the client's own choice; None without a key."""
        shown = _shown_key(request)
        if shown is not None and shown.startswith("ek_"):
            session = self.secrets.session_of(shown)
            if session is not None:
                return session if request.path == _REALTIME_PATH else None
        if not self.api_keys:
            return {}
        if shown is None:
            return None
        # All are compared, so that the time taken tells nothing.
        matches = [hmac.compare_digest(shown.encode(), key.encode()) for key in self.api_keys]
        return {} if any(matches) else None


def _cannot_be_rebound(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _shown_key(request: web.Request) -> str | None:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return value.strip()
    if "api-key" in request.headers:
        return request.headers["api-key"].strip()
    for entry in request.headers.get("Sec-WebSocket-Protocol", "").split(","):
        if entry.strip().startswith(_KEY_PROTOCOL):
            return entry.strip().removeprefix(_KEY_PROTOCOL)
    return None


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _guard(access: Access, watcher: Watcher | None) -> Any:
    def refuse(reason: str) -> None:
        if watcher is not None:
            watcher.refused(reason)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not access.origin_is_welcome(request):
            refuse("origin")
            return error_response(403, "This origin is not allowed; see --allow-origin", "origin_not_allowed")
        if request.method == "OPTIONS":
            return web.Response(status=204)
        if request.path not in _FREE:
            grant = access.grant(request)
            if grant is None:
                refuse("key")
                return error_response(
                    401,
                    "Missing or incorrect API key: send it as 'Authorization: Bearer KEY'",
                    "invalid_api_key",
                    headers={"WWW-Authenticate": "Bearer"},
                )
            request[_GRANT] = grant
        return await handler(request)

    return guard


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProtocolError as error:
        status = 429 if error.code == "rate_limit_exceeded" else 400
        return error_response(status, str(error), error.code, param=error.param)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, f"{error.reason}: {request.method} {request.path}", headers=headers)


async def _add_cors(request: web.Request, response: web.StreamResponse) -> None:
    # Only a response to a welcome origin gets here without an error, and a refused one has nothing to hide.
    origin = request.headers.get("Origin")
    if origin is not None and response.status != 403:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
        response.headers.update(_CORS)


class _Routes:
    def __init__(
        self,
        gateway: Gateway,
        access: Access,
        health: Health,
        metrics: MetricsText | None,
        offer: Callable[[], Offer],
        watcher: Watcher | None,
    ) -> None:
        self._gateway = gateway
        self._access = access
        self._health = health
        self._metrics = metrics
        self._offer = offer
        self._watcher = watcher

    async def realtime(self, request: web.Request) -> web.StreamResponse:
        if not web.WebSocketResponse().can_prepare(request).ok:
            return error_response(
                426, "Connect with a WebSocket", "websocket_required", headers={"Upgrade": "websocket"}
            )
        if "call_id" in request.query:
            return error_response(404, "There is no such call on this server", "call_not_found", param="call_id")
        if self._gateway.full:
            if self._watcher is not None:
                self._watcher.refused("full")
            return error_response(
                503,
                "All sessions of this server are taken; try again shortly",
                "server_is_full",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )
        config = self._gateway.configure(request.query, request[_GRANT])
        return await self._gateway.serve(request, config)

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
        """As the service has it; an engine that speaks has its ``voices`` besides."""
        offer = self._offer()
        names = dict.fromkeys((*offer.models, *offer.other_models))
        data: list[dict[str, object]] = [
            {"id": name, "object": "model", "created": 0, "owned_by": "antiphon"} for name in names
        ]
        for model in data:
            voices = [voice for voice in offer.voices if voice.partition(":")[0] == model["id"]]
            if voices:
                model["voices"] = voices
        return json_response({"object": "list", "data": data})

    async def health(self, request: web.Request) -> web.Response:
        return json_response({"service": "antiphon", **self._health()})

    async def readiness(self, request: web.Request) -> web.Response:
        status = self._health().get("status")
        ready = status == "ok" and not self._gateway.full
        return json_response(
            {"ready": ready, "status": "full" if self._gateway.full else status}, status=200 if ready else 503
        )

    async def metrics(self, request: web.Request) -> web.Response:
        if self._metrics is None:
            raise web.HTTPNotFound
        text, content_type = self._metrics()
        return web.Response(body=text, headers={"Content-Type": content_type})


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
    secrets: SecretStore | None = None,
    more_routes: Sequence[web.RouteDef] = (),
) -> web.Application:
    """The application. Its ``Gateway``, which knows the sessions, is ``app[GATEWAY]``.

    ``factory`` makes a session for each connection; ``offer`` says what a client may choose from. With no
    ``api_keys`` everybody may come in, so then listen on loopback alone. ``more_routes`` stand behind the same guard.
    """
    gateway = Gateway(factory, offer, limits or Limits(), watcher)
    access = Access(tuple(api_keys), frozenset(allowed_origins), secrets or SecretStore())
    app = web.Application(middlewares=[_errors, _guard(access, watcher)])
    app[GATEWAY] = gateway
    routes = _Routes(gateway, access, health, metrics, offer, watcher)
    app.add_routes(
        [
            web.get(_REALTIME_PATH, routes.realtime),
            web.post(_SECRETS_PATH, routes.client_secrets),
            web.get("/v1/models", routes.models),
            web.get("/health", routes.health),
            web.get("/readiness", routes.readiness),
            web.get("/metrics", routes.metrics),
            *more_routes,
        ]
    )
    app.on_response_prepare.append(_add_cors)

    async def alive(_: web.Application) -> AsyncIterator[None]:
        async with gateway.alive():
            yield

    async def stop(_: web.Application) -> None:
        await gateway.close()

    app.cleanup_ctx.append(alive)
    app.on_shutdown.append(stop)
    return app
