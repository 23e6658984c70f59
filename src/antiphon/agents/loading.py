"""Agents and tools that are written in Python files and modules, by the names that people give them."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from antiphon.agents.agent import Agent
from antiphon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Loaded:
    """The agents of a file. ``default`` is the one that serves whoever names none."""

    agents: Sequence[Agent]
    default: Agent


def load_agents(path: Path) -> Loaded:
    """Runs a Python file, and takes the agents that it holds: ``agent`` is the default, or the only one there is.

    Files beside it can be imported by it. Raises ConfigError.
    """
    module = _run(path)
    held = {name: value for name, value in vars(module).items() if isinstance(value, Agent)}
    agents = list(dict.fromkeys(held.values()))
    if not agents:
        raise ConfigError(f"{path} holds no agent: write `agent = Agent(...)` in it")
    if "agent" not in held and len(agents) > 1:
        raise ConfigError(f"{path} holds several agents, {', '.join(held)}: call the one that begins `agent`")
    return Loaded(agents, held.get("agent", agents[0]))


def find(reference: str) -> Any:
    """What ``package.module:name`` or ``FILE.py:name`` names. Raises ConfigError."""
    place, _, name = reference.rpartition(":")
    if not place or not name:
        raise ConfigError(f"{reference!r}: give module:name or FILE.py:name")
    if place.endswith(".py"):
        module = _run(Path(place))
    else:
        try:
            _look_in(Path.cwd())
            module = importlib.import_module(place)
        except Exception as error:
            raise ConfigError(f"{reference}: the module cannot be imported: {_said(error)}") from error
    if not hasattr(module, name):
        raise ConfigError(f"{reference}: there is no {name} in {place}")
    return getattr(module, name)


def _run(path: Path) -> ModuleType:
    """The module that a file makes, once in a process."""
    path = path.expanduser().resolve()
    name = f"antiphon_file_{'_'.join(path.with_suffix('').parts[1:])}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise ConfigError(f"there is no Python file {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    _look_in(path.parent)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception):
            raise
        raise ConfigError(f"{path} cannot be run: {_said(error)}") from error
    return module


def _look_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
