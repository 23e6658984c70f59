"""Server-sent events (WHATWG HTML, section 9.2), one JSON object each."""

from __future__ import annotations

import binascii
from typing import Any

import orjson
from aiohttp import web


class Events:
    """A response of events. ``response.prepare`` comes first, ``finish`` or ``fail`` last."""

    def __init__(self) -> None:
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        self.response = web.StreamResponse(headers=headers)

    async def send(self, event: dict[str, Any]) -> None:
        await self.response.write(b"data: " + orjson.dumps(event) + b"\n\n")

    async def send_base64(self, kind: str, key: str, data: bytes) -> None:
        await self.send({"type": kind, key: binascii.b2a_base64(data, newline=False).decode()})

    async def finish(self) -> None:
        await self.response.write(b"data: [DONE]\n\n")
        await self.response.write_eof()

    async def fail(self, message: str) -> None:
        error = {"message": message, "type": "server_error", "code": "engine_failed", "param": None}
        await self.send({"type": "error", "error": error})
        await self.response.write_eof()
