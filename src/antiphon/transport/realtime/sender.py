"""What a connection does for the events of its session."""

from __future__ import annotations

from typing import Protocol


class Sender(Protocol):
    """Where events go."""

    def send(self, data: bytes, *, media: bool = False) -> None:
        """Queues one event's JSON. ``media``: the audio of a reply. It never blocks and raises nothing."""
        ...

    def drop_media(self) -> None:
        """Forgets the media that waits to be sent; nobody wants to hear it any more."""
        ...
