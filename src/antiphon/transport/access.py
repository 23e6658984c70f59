"""Who may come in: keys, the pages of browsers, and what is told to those who may not."""

from __future__ import annotations

import base64
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from antiphon.errors import ProtocolError
from antiphon.transport.claims import IN_USE
from antiphon.transport.gateway import Watcher
from antiphon.transport.realtime.fields import Json
from antiphon.transport.realtime.secrets import SecretStore
from antiphon.transport.responses import error_response, key_response

REALTIME_PATH = "/v1/realtime"
CALLS_PATH = f"{REALTIME_PATH}/calls"

GRANT = web.RequestKey("grant", dict[str, Any])
"""The session that the request's key is good for, ``{}`` for the client's own choice."""

_GRANT_HEADER = "X-Antiphon-Grant"
"""Between processes of one server: what the key is good for that a request has shown."""

_KEY_PROTOCOL = "openai-insecure-api-key."

CORS = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, X-OpenAI-Agents-SDK",
    "Access-Control-Expose-Headers": "Location",
    "Access-Control-Max-Age": "600",
}


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
                return session if request.path == REALTIME_PATH or request.path.startswith(CALLS_PATH) else None
        if not self.api_keys:
            return {}
        if shown is None:
            return None
        # All are compared, so that the time taken tells nothing.
        matches = [hmac.compare_digest(shown.encode(), key.encode()) for key in self.api_keys]
        return {} if any(matches) else None


class AccessElsewhere(Access):
    """Of a process that only its own server reaches, which has decided who may come in and says so."""

    def origin_is_welcome(self, request: web.Request) -> bool:
        return True

    def grant(self, request: web.Request) -> Json | None:
        """None where the server has left it to this process, since it alone knows the token."""
        told = request.headers.get(_GRANT_HEADER)
        return orjson.loads(base64.b64decode(told)) if told is not None else None


def granted(grant: Json | None) -> dict[str, str]:
    """The headers that tell ``AccessElsewhere`` what a request may do; None leaves it to the process."""
    return {_GRANT_HEADER: base64.b64encode(orjson.dumps(grant)).decode()} if grant is not None else {}


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


def guard_of(
    access: Access,
    watcher: Watcher | None,
    free: frozenset[str],
    public: frozenset[str],
    admits: Callable[[web.Request], bool],
) -> Any:
    """The middleware that lets nobody else in. ``free`` paths need no key, nor do requests that ``admits`` knows.

    ``public`` paths are for everybody, whatever page asks: a page that is opened by a name that we do not trust is
    there to say so.
    """

    def refuse(reason: str) -> None:
        if watcher is not None:
            watcher.refused(reason)

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in public:
            return await handler(request)
        if not access.origin_is_welcome(request):
            refuse("origin")
            return error_response(403, "This origin is not allowed; see --allow-origin", "origin_not_allowed")
        if request.method == "OPTIONS":
            return web.Response(status=204)
        if request.path not in free and not admits(request):
            grant = access.grant(request)
            if grant is None:
                refuse("key")
                return key_response()
            request[GRANT] = grant
        return await handler(request)

    return guard


_STATUS = {"rate_limit_exceeded": 429, IN_USE: 409}
"""Of errors that are more than a wrong request."""


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProtocolError as error:
        status = _STATUS.get(error.code or "", 400)
        return error_response(status, str(error), error.code, param=error.param)
    except web.RequestPayloadError:
        return error_response(400, "The body cannot be read: it is not encoded as its headers say, or ends too soon")
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else None
        return error_response(error.status, f"{error.reason}: {request.method} {request.path}", headers=headers)


async def add_cors(request: web.Request, response: web.StreamResponse) -> None:
    # Only a response to a welcome origin gets here without an error, and a refused one has nothing to hide.
    origin = request.headers.get("Origin")
    if origin is not None and response.status != 403:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Vary"] = "Origin"
        response.headers.update(CORS)
