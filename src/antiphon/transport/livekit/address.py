"""Addresses of LiveKit servers."""

from __future__ import annotations

from urllib.parse import urlsplit


def is_room_server(url: str) -> bool:
    """Whether it looks like the address of a LiveKit server."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("ws", "wss", "http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
