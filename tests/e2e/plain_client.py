"""A client that does nothing of its own accord: what a test sends is what goes out."""

from __future__ import annotations

import asyncio
import base64
import json
from types import TracebackType
from typing import Any, Self

import aiohttp
from tests.e2e.wiretap import Event, Wiretap


class PlainClient:
    """Connects through the tap, whose log has what comes back."""

    def __init__(self, tap: Wiretap, **query: str) -> None:
        self._tap = tap
        self._query = {"model": "antiphon", **query}

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession()
        self._socket = await self._http.ws_connect(self._tap.ws_url, params=self._query)
        self._reader = asyncio.create_task(self._read())
        await self._tap.wait_for("session.created")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._socket.close()
        await self._reader
        await self._http.close()

    async def send(self, type: str, **fields: Any) -> None:
        await self._socket.send_str(json.dumps({"type": type, **fields}))

    async def send_frame(self, frame: str | bytes) -> None:
        """Whatever it is."""
        await (self._socket.send_str(frame) if isinstance(frame, str) else self._socket.send_bytes(frame))

    async def configure(self, **session: Any) -> Event:
        """Updates the session; the session that the server then says it has."""
        since = self._tap.mark()
        await self.send("session.update", session={"type": "realtime", **session})
        updated: Event = (await self._tap.wait_for("session.updated", since=since))["session"]
        return updated

    async def hear(self, audio: bytes) -> None:
        await self.send("input_audio_buffer.append", audio=base64.b64encode(audio).decode())

    async def write(self, text: str, **fields: Any) -> None:
        """A typed message of the user."""
        content = [{"type": "input_text", "text": text}]
        await self.send(
            "conversation.item.create", item={"type": "message", "role": "user", "content": content, **fields}
        )

    async def _read(self) -> None:
        async for _ in self._socket:
            pass
