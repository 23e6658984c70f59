"""What a media process and its server tell each other while both live, over a WebSocket: the process's end.

The process says how much it has to do, four times a second. The server says which voices have left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

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


def moved_voices(successors: Mapping[str, str]) -> bytes:
    """Tells the process which voice follows on which."""
    return orjson.dumps({"voices": successors})


class Link:
    """Implements ``GET /media`` in the process."""

    def __init__(self, mark: Mark, busy: Callable[[], float]) -> None:
        self._mark = mark
        self._busy = busy

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self.serve)]

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        telling = asyncio.create_task(self._tell(socket, request.app))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    _take(orjson.loads(message.data), request.app)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        return socket

    async def _tell(self, socket: web.WebSocketResponse, app: web.Application) -> None:
        while not socket.closed:
            standing = Standing(self._mark.instance, app[GATEWAY].active, self._busy())
            await socket.send_str(standing.to_json().decode())
            await asyncio.sleep(TELL_S)


def _take(told: dict[str, Any], app: web.Application) -> None:
    successors: dict[str, str] = told["voices"]
    app[GATEWAY].move_voices(successors.get)
