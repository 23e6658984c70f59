"""All rooms in which the server's agent is, and the HTTP requests that send it there."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable

import orjson
import structlog
from aiohttp import web

from antiphon.errors import AntiphonError, ProtocolError
from antiphon.transport.gateway import Gateway, Place
from antiphon.transport.livekit.address import is_room_server
from antiphon.transport.livekit.sdk import Sdk
from antiphon.transport.livekit.visit import Invitation, Visit
from antiphon.transport.realtime.fields import Json, mapping, text
from antiphon.transport.responses import error_response, full_response, json_response

ROOMS_PATH = "/v1/livekit/rooms"

_KEYS = frozenset(("url", "token", "identity", "session"))

_log = structlog.get_logger(__name__)


class JoinError(AntiphonError):
    """The room could not be entered."""


class Rooms:
    """Implements the routes below ``/v1/livekit/rooms``. ``alive()`` must be entered while it serves."""

    def __init__(self, load: Callable[[], Sdk], gateway: Gateway, standing: Invitation | None = None) -> None:
        """``load`` is called at the first room: the SDK is large. ``standing``: the room to be in as long as the server
        runs."""
        self._load = load
        self._loaded: Sdk | None = None
        self._gateway = gateway
        self._standing = standing
        self._visits: dict[str, Visit] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(ROOMS_PATH, self._list),
            web.post(ROOMS_PATH, self._join),
            web.delete(ROOMS_PATH + "/{room_id}", self._leave),
        ]

    # Requests.

    async def _list(self, request: web.Request) -> web.Response:
        data = [self._told(room_id, visit) for room_id, visit in self._visits.items()]
        return json_response({"object": "list", "data": data})

    async def _join(self, request: web.Request) -> web.Response:
        invitation = read_invitation(await request.read(), dict(request.query))
        if self._gateway.full:
            self._gateway.watcher.refused("full")
            return full_response("All sessions of this server are taken; try again shortly")
        try:
            room_id = await self.join(invitation)
        except JoinError as error:
            return error_response(502, str(error), "room_not_joined", param="url")
        headers = {"Location": f"{ROOMS_PATH}/{room_id}"}
        return json_response(self._told(room_id, self._visits[room_id]), status=201, headers=headers)

    async def _leave(self, request: web.Request) -> web.Response:
        room_id = request.match_info["room_id"]
        visit = self._visits.get(room_id)
        if visit is None:
            return error_response(404, "The agent is in no such room", "room_not_found", param="room_id")
        visit.leave()
        return json_response({"id": room_id, "object": "livekit.room.deleted", "deleted": True})

    def _told(self, room_id: str, visit: Visit) -> Json:
        return {
            "id": room_id,
            "object": "livekit.room",
            "room": visit.room_name,
            "identity": visit.identity,
            "user": visit.user,
            "session_id": visit.seat.id if visit.seat is not None else None,
        }

    # Visits.

    async def join(self, invitation: Invitation) -> str:
        """Enters a room and stays there as invited. Returns the visit's id. Raises JoinError and ProtocolError."""
        invitation.configure(self._gateway)  # what is wrong with the session is told now, not to an empty room
        with contextlib.ExitStack() as stack:
            place = None if invitation.stays else stack.enter_context(self._gateway.place())
            if self._loaded is None:
                self._loaded = await asyncio.to_thread(self._load)
            sdk = self._loaded
            visit = Visit(sdk, self._gateway, invitation)
            try:
                await visit.join()
            except sdk.failures as failure:
                raise JoinError(f"{invitation.url} did not let the agent in: {failure}") from failure
            kept = stack.pop_all()
        room_id = f"room_{secrets.token_hex(16)}"
        self._visits[room_id] = visit
        with structlog.contextvars.bound_contextvars(room=visit.room_name):
            task = asyncio.create_task(self._host(room_id, visit, place, kept))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return room_id

    async def _host(
        self, room_id: str, visit: Visit, place: Place | None, kept: contextlib.AbstractContextManager[object]
    ) -> None:
        """``place`` is kept for the conversation until ``kept`` is left."""
        _log.info("a room was joined", identity=visit.identity)
        try:
            with kept:
                await visit.run(place)
        except Exception:
            _log.exception("a stay in a room failed")
        finally:
            del self._visits[room_id]
            _log.info("a room was left")

    # The server's life.

    @contextlib.asynccontextmanager
    async def alive(self) -> AsyncIterator[None]:
        """The agent is in no room when it is done. Raises JoinError where the standing one cannot be entered."""
        if self._standing is not None:
            await self.join(self._standing)
        try:
            yield
        finally:
            for visit in tuple(self._visits.values()):
                visit.leave()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=self._gateway.limits.close_timeout_s)
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def read_invitation(body: bytes, query: dict[str, str]) -> Invitation:
    """The invitation of a request. Raises ProtocolError."""
    try:
        given = mapping(orjson.loads(body), "body")
    except ValueError as error:
        raise ProtocolError(f"The body is not valid JSON: {error}", code="invalid_json") from None
    for key in given.keys() - _KEYS:
        raise ProtocolError(f"Unknown parameter: {key!r}", code="unknown_parameter", param=key)
    url, token = text(given, "url").strip(), text(given, "token").strip()
    if not is_room_server(url):
        raise ProtocolError(
            "'url' is the address of a LiveKit server: wss://HOST or ws://HOST:PORT", code="invalid_value", param="url"
        )
    identity = text(given, "identity") if given.get("identity") is not None else None
    return Invitation(url, token, identity, query, mapping(given.get("session") or {}, "session"))


def refuse_without_sdk() -> list[web.RouteDef]:
    """The routes where the SDK is not installed."""

    async def refuse(request: web.Request) -> web.Response:
        message = "This server cannot join LiveKit rooms: `pip install 'antiphon[livekit]'` adds what it takes"
        return error_response(501, message, "livekit_not_installed")

    return [web.route("*", ROOMS_PATH, refuse), web.route("*", ROOMS_PATH + "/{room_id}", refuse)]
