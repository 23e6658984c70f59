"""Reading fields of a client's JSON: each reader gives a typed value or raises ProtocolError naming the field."""

from __future__ import annotations

import binascii
from typing import Any

from antiphon.errors import ProtocolError

Json = dict[str, Any]


def invalid(param: str, wanted: str) -> ProtocolError:
    return ProtocolError(f"Invalid value for '{param}': expected {wanted}", code="invalid_value", param=param)


def text(source: Json, key: str, param: str | None = None) -> str:
    """A required text that is not empty."""
    value = source.get(key)
    if value is None or value == "":
        raise ProtocolError(
            f"Missing required parameter: '{param or key}'", code="missing_required_parameter", param=param or key
        )
    if not isinstance(value, str):
        raise invalid(param or key, "a string")
    return value


def text_or(source: Json, key: str, default: str, param: str | None = None) -> str:
    value = source.get(key)
    if value is None:
        return default
    if not isinstance(value, str):
        raise invalid(param or key, "a string")
    return value


def whole(source: Json, key: str, default: int, param: str | None = None) -> int:
    """An integer; a float that a client's arithmetic made of one is rounded."""
    value = source.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > 2**53:
        raise invalid(param or key, "an integer")
    return round(value)


def number(source: Json, key: str, default: float, param: str | None = None) -> float:
    value = source.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        raise invalid(param or key, "a number")
    return float(value)


def flag(source: Json, key: str, default: bool, param: str | None = None) -> bool:
    value = source.get(key)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise invalid(param or key, "true or false")
    return value


def mapping(value: Any, param: str) -> Json:
    if not isinstance(value, dict):
        raise invalid(param, "an object")
    return value


def listing(value: Any, param: str) -> list[Any]:
    if not isinstance(value, list):
        raise invalid(param, "an array")
    return value


def base64_bytes(value: Any, param: str, max_bytes: int) -> bytes:
    """The bytes of a base64 text, at most ``max_bytes`` of them."""
    if not isinstance(value, str):
        raise invalid(param, "a base64 string")
    if len(value) > (max_bytes + 2) // 3 * 4:
        raise ProtocolError(f"'{param}' is larger than {max_bytes} bytes", code="audio_too_large", param=param)
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError as error:
        raise ProtocolError(f"Invalid base64 in '{param}': {error}", code="invalid_base64", param=param) from None
