"""Events that are too large for a data channel."""

from __future__ import annotations

import orjson
import structlog

_log = structlog.get_logger(__name__)


def fitting(data: bytes, limit: int) -> bytes:
    """The event if it has at most ``limit`` bytes, else the same without its audio, else an ``error`` in its place."""
    if len(data) <= limit:
        return data
    event = orjson.loads(data)
    for part in event.get("item", {}).get("content") or ():
        part.pop("audio", None)
    smaller = orjson.dumps(event)
    if len(smaller) <= limit:
        return smaller
    _log.warning("an event was too large for a data channel", event_type=event["type"], size=len(data))
    kind = event["type"]
    error = {
        "type": "server_error",
        "code": "event_too_large",
        "message": f"{kind} has {len(data)} bytes: too large for a data channel. Over a WebSocket it can be sent",
        "param": None,
        "event_id": None,
    }
    return orjson.dumps({"type": "error", "event_id": event["event_id"], "error": error})
