"""Where the settings come from: the command line, the environment and a file, merged; and how they are shown.

``max_sessions`` of ``antiphon.yaml`` is ``ANTIPHON_MAX_SESSIONS`` and ``--max-sessions``; a key within a section has a
double underscore in the environment, ``ANTIPHON_SESSION__VOICE``. The command line goes before the environment, which
goes before the file.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import yaml
from pydantic import ValidationError

from antiphon.apps.config import Config
from antiphon.apps.config_streaming import KeyPath, is_streaming_form, translated
from antiphon.errors import ConfigError

FILE_NAME = "antiphon.yaml"
ENVIRONMENT_PREFIX = "ANTIPHON_"
DEFAULT_ORIGIN = "default"

_ELSEWHERE = frozenset({"ANTIPHON_CONFIG", "ANTIPHON_MODELS"})
"""Variables with our prefix that are no settings."""

_SERVICE_LINK = re.compile(r"ANTIPHON_(SERVICE_|PORT_\d)")
"""Kubernetes sets variables of this form, and ANTIPHON_PORT=tcp://..., for a service that is called antiphon."""


@dataclass(frozen=True, slots=True)
class Given:
    """A value and where it came from, in words that its writer knows."""

    value: Any
    origin: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The configuration in effect. ``origins`` tells of each key that is not at its default where it was set."""

    config: Config
    origins: Mapping[KeyPath, str]


def resolve(
    options: Mapping[str, Any], environment: Mapping[str, str], file: Path | None = None, *, folder: Path | None = None
) -> Resolved:
    """Merges the command line's ``options`` (None is "not given"), the environment and a file into a configuration.

    ``file`` must exist where it is given, here or as ANTIPHON_CONFIG; otherwise ``antiphon.yaml`` of the current
    folder, else that of ``folder``, is read where there is one. Raises ConfigError.
    """
    if file is None and environment.get("ANTIPHON_CONFIG"):
        file = Path(environment["ANTIPHON_CONFIG"])
    given: dict[KeyPath, Given] = {}
    found = file or next((path for path in _usual_files(folder) if path.is_file()), None)
    if found is not None:
        given |= _from_file(found)
    given |= _from_environment(environment)
    given |= {(name,): Given(value, _option(name)) for name, value in options.items() if value not in (None, [], ())}
    try:
        config = Config.model_validate(_nested(given))
    except ValidationError as error:
        _explain(error, given)
    return Resolved(config, {path: entry.origin for path, entry in given.items()})


def _usual_files(folder: Path | None) -> Iterator[Path]:
    yield Path(FILE_NAME)
    if folder is not None:
        yield folder / FILE_NAME


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _from_file(path: Path) -> dict[KeyPath, Given]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold keys and values, such as 'port: 8080'")
    leaves = dict(leaves_of(content))
    if is_streaming_form(content):
        return {key: Given(value, f"{path}: {source}") for key, value, source in translated(leaves, str(path))}
    return {key: Given(value, str(path)) for key, value in leaves.items()}


def leaves_of(tree: Mapping[Any, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Each leaf and its path. A key without a value says nothing."""
    for key, value in tree.items():
        path = (*above, str(key))
        if isinstance(value, dict):
            yield from leaves_of(value, path)
        elif value is not None:
            yield path, value


def _from_environment(environment: Mapping[str, str]) -> dict[KeyPath, Given]:
    given: dict[KeyPath, Given] = {}
    for name, value in environment.items():
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _ELSEWHERE or not value:
            continue
        if _SERVICE_LINK.match(name) or (name == "ANTIPHON_PORT" and value.startswith("tcp://")):
            continue
        path = tuple(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        given[path] = Given(value, name)
    return given


def _nested(given: Mapping[KeyPath, Given]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path, entry in given.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
            if not isinstance(branch, dict):
                raise ConfigError(f"{entry.origin}: {key} is both a value and a section")
        branch[path[-1]] = entry.value
    return tree


def _explain(error: ValidationError, given: Mapping[KeyPath, Given]) -> NoReturn:
    """Raises ConfigError with a line for each thing that is wrong."""
    lines: list[str] = []
    for problem in error.errors():
        path = tuple(str(part) for part in problem["loc"])
        origin = next((entry.origin for key, entry in given.items() if key == path[: len(key)]), "")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            reason = f"unknown key {'.'.join(path)!r}{_nearest(path)}"
        else:
            reason = problem["msg"].removeprefix("Value error, ")
            own = origin == f"--{'-'.join(path).replace('_', '-')}"
            reason = f"{'.'.join(path)}: {reason}" if path and not own else reason
        lines.append(f"{origin}: {reason}" if origin else reason)
    raise ConfigError("\n".join(lines)) from error


def _nearest(path: KeyPath) -> str:
    known = {".".join(key): key for key in known_keys()}
    close = difflib.get_close_matches(".".join(path), known, n=1, cutoff=0.6)
    if not close:
        close = [name for name, key in known.items() if difflib.get_close_matches(path[-1], key[-1:], cutoff=0.8)]
    return f": did you mean {close[0]!r}?" if close else ""


def known_keys() -> list[KeyPath]:
    """Every key that a file may hold, in the order of the documentation."""
    return [path for path, _ in settings_of(Config())]


def settings_of(config: Config) -> list[tuple[KeyPath, Any]]:
    """Each key and its value, in plain types."""
    return list(_every(config.model_dump(mode="json")))


def _every(tree: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from _every(value, (*above, key))
        else:
            yield (*above, key), value


def _without_secrets(tree: Any) -> Any:
    """Agents without what their MCP servers are given to prove themselves by."""
    if isinstance(tree, list):
        return [_without_secrets(each) for each in tree]
    if not isinstance(tree, dict):
        return tree
    return {
        key: dict.fromkeys(each, "***") if key in ("env", "headers") else _without_secrets(each)
        for key, each in tree.items()
    }


def render(resolved: Resolved) -> str:
    """The configuration in effect as a file would hold it, with where each value came from. Keys are not shown."""
    lines: list[str] = []
    section: KeyPath = ()
    for path, value in settings_of(resolved.config):
        for depth, key in enumerate(path[:-1]):
            if section[: depth + 1] != path[: depth + 1]:
                lines.append(f"{'  ' * depth}{key}:")
        section = path[:-1]
        shown = ["***" for _ in value] if path == ("api_key",) else value
        if path == ("livekit_token",) and value is not None:
            shown = "***"
        if path == ("agents",):
            shown = _without_secrets(value)
        setting = f"{'  ' * len(section)}{path[-1]}: {json.dumps(shown, ensure_ascii=False)}"
        lines.append(f"{setting:<44} # {resolved.origins.get(path, DEFAULT_ORIGIN)}")
    return "\n".join(lines)
