"""The strict form of the server's events: OpenAI's own models, with no field beyond them, and those of our own."""

from __future__ import annotations

from functools import cache
from typing import Any, get_args

import orjson
from openai.types.realtime import RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter, ValidationError

from antiphon.sim.vendor_schema import vendor_model

MAX_EVENT_BYTES = 512 * 1024

_SESSION_EXTRAS = frozenset(("id", "object", "expires_at"))
"""The service's session object has these, its published model has not."""

_VENDOR_PREFIX = "antiphon."


class FoulError(AssertionError):
    """An event that the protocol does not allow, or not there. Says which and why."""


def need(condition: bool, event: dict[str, Any], reason: str) -> None:
    """Raises FoulError with the reason and the event unless the condition holds."""
    if not condition:
        raise FoulError(f"{event['type']}: {reason} ({ {k: v for k, v in event.items() if k != 'delta'} })")


@cache
def _models() -> dict[str, TypeAdapter[Any]]:
    """The model of each event type. The union of them all would try every member, and name none when it fails."""
    union = get_args(RealtimeServerEvent)[0]
    return {get_args(model.model_fields["type"].annotation)[0]: TypeAdapter(model) for model in get_args(union)}


def check_schema(event: dict[str, Any], *, vendor: bool = False) -> None:
    """Raises FoulError unless the event is one of the protocol's, with the right types and nothing else in it."""
    kind = str(event.get("type"))
    data = orjson.dumps(event)
    if len(data) > MAX_EVENT_BYTES:
        raise FoulError(f"{kind}: {len(data)} bytes are more than an event may have")
    if kind.startswith(_VENDOR_PREFIX):
        if not vendor:
            raise FoulError(f"{kind}: an event of our own, which this client did not ask for")
        adapter = vendor_model(kind)
    else:
        adapter = _models().get(kind)
    if adapter is None:
        raise FoulError(f"{kind}: not an event of the protocol, nor of our own")
    try:
        parsed = adapter.validate_json(data, strict=True)
    except ValidationError as error:
        raise FoulError(f"{kind}: {error}") from None
    extras = sorted(_extras(parsed, ""))
    if extras:
        raise FoulError(f"{kind}: fields that the protocol does not have: {', '.join(extras)}")


def _extras(value: Any, path: str) -> set[str]:
    if isinstance(value, BaseModel):
        allowed = _SESSION_EXTRAS if path == ".session" else frozenset()
        found = {f"{path}.{name}" for name in (value.model_extra or {}) if name not in allowed}
        for name in type(value).model_fields:
            found |= _extras(getattr(value, name), f"{path}.{name}")
        return found
    if isinstance(value, list):
        return set().union(*(_extras(entry, f"{path}[{index}]") for index, entry in enumerate(value)))
    return set()
