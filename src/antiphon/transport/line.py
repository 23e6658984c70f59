"""The way to one client, whatever it is made of: a WebSocket, or a data channel of a WebRTC call."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class Received(NamedTuple):
    data: bytes | str
    is_text: bool


class Line(Protocol):
    async def receive(self) -> Received | None:
        """The client's next message; None when the client has left."""
        ...

    async def send(self, data: bytes) -> None:
        """Sends one event; returns when there is room for the next. Raises ConnectionError when the client is gone."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Says goodbye once what was sent has gone out, and leaves nothing open, also when it is cancelled."""
        ...

    def abort(self) -> None:
        """Ends it at once. No harm if it is closed."""
        ...
