"""The JSON Schema of a Python function's arguments, and the arguments that a model gives, checked against it."""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from antiphon.agents.base import ArgumentsError
from antiphon.agents.context import Context
from antiphon.errors import ConfigError

_SECTION = re.compile(r"^\s*(Args|Arguments|Parameters|Returns|Return|Yields|Raises|Example|Examples|Note|Notes):\s*$")
_ENTRY = re.compile(r"^\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.+)$")
_FIELD = re.compile(r"^\s*:param\s+(?:[\w\[\], .|]+\s+)?(\w+)\s*:\s*(.*)$")


class _Untitled(GenerateJsonSchema):
    """Titles repeat the names, and every word of a schema is read by the model anew at each turn."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Signature:
    """What a function takes from the model."""

    name: str
    description: str
    parameters: dict[str, Any]
    """A JSON Schema object."""
    context_name: str | None
    """The parameter that gets the ``Context``."""
    _names: Mapping[str, str]
    _model: type[BaseModel]

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The function's keyword arguments, of the types that it states. Raises ArgumentsError."""
        try:
            parsed = self._model.model_validate(arguments)
        except ValidationError as error:
            raise ArgumentsError(_plain(error)) from error
        return {name: getattr(parsed, inner) for inner, name in self._names.items() if inner in parsed.model_fields_set}


def signature_of(function: Callable[..., Any], name: str | None = None, description: str | None = None) -> Signature:
    """Reads a function's type hints and docstring. Raises ConfigError, with what to write, where they do not do."""
    called = name or str(getattr(function, "__name__", type(function).__name__))
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError) as error:
        raise ConfigError(f"tool {called}: its type hints cannot be read: {error}") from error
    told, notes = read_docstring(inspect.getdoc(function) or "")
    fields: dict[str, Any] = {}
    names: dict[str, str] = {}
    context_name = None
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigError(f"tool {called}: {parameter} cannot be described; name each parameter")
        if parameter.name not in hints:
            raise ConfigError(f"tool {called}: state the type of {parameter.name}, as in `{parameter.name}: str`")
        if _is_context(hints[parameter.name]):
            context_name = parameter.name
            continue
        inner = f"field_{place}"  # pydantic keeps some names to itself
        names[inner] = parameter.name
        fields[inner] = _field(parameter, hints[parameter.name], notes.get(parameter.name))
    try:
        model = create_model(called, __config__=ConfigDict(arbitrary_types_allowed=False), **fields)
        schema = model.model_json_schema(schema_generator=_Untitled)
    except PydanticUserError as error:
        raise ConfigError(f"tool {called}: a model cannot give such an argument: {error.message}") from error
    schema.pop("title", None)
    for definition in schema.get("$defs", {}).values():
        definition.pop("title", None)
    schema.setdefault("properties", {})
    return Signature(called, description or told, schema, context_name, names, model)


def _is_context(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    return hint is Context or Context in get_args(hint)


def _field(parameter: inspect.Parameter, hint: Any, note: str | None) -> tuple[Any, FieldInfo]:
    described = get_origin(hint) is Annotated and any(
        isinstance(each, FieldInfo) and each.description for each in get_args(hint)[1:]
    )
    options: dict[str, Any] = {"alias": parameter.name}
    if note and not described:
        options["description"] = note
    default = ... if parameter.default is parameter.empty else parameter.default
    return hint, Field(default, **options)


def read_docstring(text: str) -> tuple[str, dict[str, str]]:
    """The description, and what is said of each parameter: under ``Args:``, or as ``:param NAME:``."""
    told: list[str] = []
    notes: dict[str, str] = {}
    section, current = "", ""
    for line in text.splitlines():
        if heading := _SECTION.match(line):
            section, current = str(heading[1]), ""
        elif entry := _FIELD.match(line):
            section, current = "Args", str(entry[1])
            notes[current] = entry[2].strip()
        elif line.lstrip().startswith((":return", ":raise", ":rtype", ":type")):
            section, current = "Returns", ""
        elif not section:
            told.append(line)
        elif section in ("Args", "Arguments", "Parameters"):
            if entry := _ENTRY.match(line):
                current = str(entry[1])
                notes[current] = entry[2].strip()
            elif current and line.strip():
                notes[current] = f"{notes[current]} {line.strip()}".strip()
    return "\n".join(told).strip(), notes


def _plain(error: ValidationError) -> str:
    wrong = [f"{'.'.join(map(str, each['loc'])) or 'arguments'}: {each['msg']}" for each in error.errors()]
    return "The arguments do not fit. " + "; ".join(wrong)
