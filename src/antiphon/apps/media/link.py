"""What a media process and its server tell each other while both live, over a WebSocket: the process's end.

The process says how much it has to do, four times a second. The server says which voices leave, and how its workers
stand, and by a request of its own that their models are others. Each has the other end the session that has a
conversation, when another session is to go on with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, Self

import orjson
from aiohttp import WSMsgType, web

from antiphon.core.carriers import Mark
from antiphon.transport.gateway import Gateway
from antiphon.transport.http import GATEWAY

PATH = "/media"
RELEASE_PATH = f"{PATH}/release"
MODELS_PATH = f"{PATH}/models"

TELL_S = 0.25

RELEASE_LIMIT_S = 5.0
"""How long a session waits for the end of another that has its conversation."""


class _Message:
    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, data: str | bytes) -> Self:
        return cls(**orjson.loads(data))


@dataclass(frozen=True, slots=True)
class Standing(_Message):
    """How a media process stands."""

    instance: str
    sessions: int
    busy: float
    """The share of its core that is taken, or will be when the newest calls are seen in the figures."""
    begun: int = 0
    """Sessions that it ever began."""
    release: str = ""
    """A conversation that all others are to release; ``Told.released`` answers."""


@dataclass(frozen=True, slots=True)
class Told(_Message):
    """What a media process is told. All that is empty says nothing."""

    voices: Mapping[str, str] = field(default_factory=dict)
    """The voice that conversations change to, by the one that they have."""
    appointments: Mapping[str, str] = field(default_factory=dict)
    """The model that takes the place of another, by that one's name; for those who ask for its voices later."""
    released: str = ""
    """A conversation that no other session has any more."""
    standing: Mapping[str, Any] = field(default_factory=dict)
    """How the server and its workers stand, as clients are told."""


class Link:
    """Implements what is below ``/media`` in the process."""

    def __init__(
        self,
        mark: Mark,
        busy: Callable[[], float],
        appoint: Callable[[Mapping[str, str]], None],
        stands: Callable[[Mapping[str, Any]], None],
        ask: Callable[[], Awaitable[None]],
    ) -> None:
        """``appoint`` and ``stands`` are handed these fields of what is told, ``ask`` asks what the workers have."""
        self._mark = mark
        self._busy = busy
        self._appoint = appoint
        self._stands = stands
        self._ask = ask
        self._sockets: set[web.WebSocketResponse] = set()
        self._releases: dict[str, asyncio.Event] = {}

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.serve), web.post(RELEASE_PATH, self.release), web.post(MODELS_PATH, self.models)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        gateway = request.app[GATEWAY]
        gateway.release_elsewhere = partial(self._have_released, gateway)
        self._sockets.add(socket)
        telling = asyncio.create_task(self._tell(socket, request.app))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._take(Told.from_json(message.data), request.app)
        finally:
            self._sockets.discard(socket)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        return socket

    async def _tell(self, socket: web.WebSocketResponse, app: web.Application) -> None:
        while not socket.closed:
            await socket.send_str(self._standing(app[GATEWAY]).to_json().decode())
            await asyncio.sleep(TELL_S)

    def _standing(self, gateway: Gateway, release: str = "") -> Standing:
        return Standing(self._mark.instance, gateway.active, self._busy(), gateway.begun, release)

    def _take(self, told: Told, app: web.Application) -> None:
        self._appoint(told.appointments)
        app[GATEWAY].move_voices(told.voices.get)
        if told.released in self._releases:
            self._releases[told.released].set()
        if told.standing:
            self._stands(told.standing)

    async def models(self, request: web.Request) -> web.Response:
        """``POST /media/models``: the workers' models are others; answered when the next call has those."""
        await self._ask()
        return web.Response()

    # Conversations.

    async def release(self, request: web.Request) -> web.Response:
        """``POST /media/release``: the body is the conversation."""
        await request.app[GATEWAY].release(await request.text())
        return web.Response()

    async def _have_released(self, gateway: Gateway, conversation: str) -> None:
        """Returns when no other process has it, or does not say so in time."""
        released = self._releases.setdefault(conversation, asyncio.Event())
        try:
            for socket in tuple(self._sockets):
                await socket.send_str(self._standing(gateway, conversation).to_json().decode())
            async with asyncio.timeout(RELEASE_LIMIT_S if self._sockets else 0):
                await released.wait()
        except (TimeoutError, ConnectionError):  # who began the session is not to wait for a server that is gone
            pass
        finally:
            self._releases.pop(conversation, None)
