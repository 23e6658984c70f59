"""Events, actions, commands and settings as JSON, and back: one walk over their dataclasses, no code per class.

A dataclass becomes an object whose ``is`` names its class; an enum its value; bytes base64. Reading goes by the type
hints, so a file that does not fit them is refused rather than guessed at.
"""

from __future__ import annotations

import binascii
import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, get_args, get_origin

import orjson

from antiphon.errors import ConfigError

TAG = "is"


def to_json(value: Any) -> Any:
    """What ``orjson`` can write. Dataclasses are tagged, at any depth."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value) and not isinstance(value, type):
        return {TAG: type(value).__name__} | {name: to_json(getattr(value, name)) for name in _field_types(type(value))}
    if isinstance(value, bytes):
        return binascii.b2a_base64(value, newline=False).decode("ascii")
    if isinstance(value, tuple | list):
        return [to_json(entry) for entry in value]
    if isinstance(value, dict):
        return {key: to_json(entry) for key, entry in value.items()}
    return value


def canonical(value: Any) -> bytes:
    """The one JSON text of a value: the same bytes for the same value, always."""
    return orjson.dumps(to_json(value), option=orjson.OPT_SORT_KEYS)


@cache
def _field_types(cls: type) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {entry.name: hints[entry.name] for entry in fields(cls)}


def from_json(hint: Any, value: Any) -> Any:
    """The value of type ``hint`` that ``to_json`` wrote. Raises ConfigError where the two do not fit."""
    origin = get_origin(hint)
    if hint is Any:
        return value
    if isinstance(hint, typing.NewType):
        return from_json(hint.__supertype__, value)
    if origin in (typing.Union, types.UnionType):
        return _from_union(get_args(hint), value)
    if origin is Literal:
        return _checked(value in get_args(hint), value, hint)
    if origin in (tuple, list):
        entry_hint = get_args(hint)[0]
        return origin(from_json(entry_hint, entry) for entry in _checked(isinstance(value, list), value, hint))
    if origin is dict:
        return _checked(isinstance(value, dict), value, hint)
    if isinstance(hint, type):
        return _from_class(hint, value)
    raise ConfigError(f"no way to read {hint}")


def _checked(fits: bool, value: Any, hint: Any) -> Any:
    if not fits:
        raise ConfigError(f"{value!r:.80} is no {getattr(hint, '__name__', hint)}")
    return value


def _from_union(members: tuple[Any, ...], value: Any) -> Any:
    if value is None:
        return _checked(type(None) in members, value, members)
    others = [member for member in members if member is not type(None)]
    if isinstance(value, dict) and TAG in value:
        others = [member for member in others if getattr(member, "__name__", None) == value[TAG]]
        _checked(bool(others), value, "value of " + ", ".join(str(member) for member in members))
    return from_json(others[0], value)


def _from_class(cls: type[Any], value: Any) -> Any:
    if issubclass(cls, Enum):
        return cls(value)
    if is_dataclass(cls):
        _checked(isinstance(value, dict) and value.get(TAG) == cls.__name__, value, cls)
        known = _field_types(cls)
        unknown = value.keys() - known.keys() - {TAG}
        _checked(not unknown, sorted(unknown), f"field of {cls.__name__}")
        return cls(**{name: from_json(known[name], entry) for name, entry in value.items() if name != TAG})
    if cls is bytes:
        return cls(binascii.a2b_base64(value))
    if cls is float:
        return cls(_checked(isinstance(value, int | float), value, cls))
    return _checked(isinstance(value, cls), value, cls)
