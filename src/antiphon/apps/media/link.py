"""What a media process and its server tell each other while both live, over a WebSocket: the process's end.

The process says how much it has to do, four times a second. The server says which voices leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Self

import orjson
from aiohttp import WSMsgType, web

from antiphon.core.carriers import Mark
from antiphon.transport.http import GATEWAY

PATH = "/media"

TELL_S = 0.25


@dataclass(frozen=True, slots=True)
class Standing:
    """How a media process stands."""

    instance: str
    sessions: int
    busy: float
    """The share of its core that is taken, or will be when the newest calls are seen in the figures."""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: str | bytes) -> Self:
        return cls(**orjson.loads(data))


@dataclass(frozen=True, slots=True)
class Moves:
    """Which voices leave."""

    voices: Mapping[str, str]
    """The voice that conversations change to, by the one that they have."""
    appointments: Mapping[str, str]
    """The model that takes the place of another, by that one's name; for those who ask for its voices later."""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, data: str | bytes) -> Self:
        return cls(**orjson.loads(data))


class Link:
    """Implements ``GET /media`` in the process."""

    def __init__(self, mark: Mark, busy: Callable[[], float], appoint: Callable[[Mapping[str, str]], None]) -> None:
        self._mark = mark
        self._busy = busy
        self._appoint = appoint

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        telling = asyncio.create_task(self._tell(socket, request.app))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._take(Moves.from_json(message.data), request.app)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        return socket

    async def _tell(self, socket: web.WebSocketResponse, app: web.Application) -> None:
        while not socket.closed:
            standing = Standing(self._mark.instance, app[GATEWAY].active, self._busy())
            await socket.send_str(standing.to_json().decode())
            await asyncio.sleep(TELL_S)

    def _take(self, moves: Moves, app: web.Application) -> None:
        self._appoint(moves.appointments)
        app[GATEWAY].move_voices(moves.voices.get)
