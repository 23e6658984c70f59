"""What is said of a language model behind a ``#`` in its name: ``transformers:MODEL#temperature=0&context=4096``."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl

from antiphon.engines.sampling import Sampling
from antiphon.errors import ConfigError

CONTEXT_TOKENS = 4096
"""Half an hour of dialogue, about."""
MEMORY_MB = 4096

_SWITCH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """None is what the model's own files say, or else the defaults of ``Sampling``."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    context: int = CONTEXT_TOKENS
    """The most tokens of a conversation that are in the model's context; less where the model knows less."""
    memory: int = MEMORY_MB
    """MB for what was read of all conversations."""
    slots: int = 2
    """Conversations that llama.cpp answers at a time, each with a context of its own; others wait."""
    thinking: bool = False
    """Lets a model think before it answers, that can."""

    @classmethod
    def parse(cls, options: str) -> Self:
        """Reads ``key=value&key=value``. Raises ConfigError."""
        known = [entry.name for entry in fields(cls)]
        values: dict[str, Any] = {}
        for key, value in parse_qsl(options, keep_blank_values=True) if options else ():
            if key not in known:
                raise ConfigError(f"a language model has no option {key!r}; there are {', '.join(known)}")
            try:
                values[key] = _value(key, value)
            except (ValueError, KeyError) as error:
                raise ConfigError(f"the language model's option {key}={value} is not possible") from error
        if options and not values:
            raise ConfigError(f"{options!r} is no option of a language model: write KEY=VALUE, with {', '.join(known)}")
        return cls(**values)

    def sampling(self, folder: Path | None = None) -> Sampling:
        """``folder`` is where the model's generation_config.json is, if it has one."""
        published = _published(folder) if folder is not None else {}
        own: dict[str, Any] = {"temperature": self.temperature, "top_p": self.top_p, "top_k": self.top_k}
        return Sampling(**published | {key: value for key, value in own.items() if value is not None})


_LEAST: dict[str, float] = {"temperature": 0, "top_p": 0.01, "top_k": 0, "context": 256, "memory": 1, "slots": 1}


def _value(key: str, value: str) -> float | int | bool:
    """Raises ValueError and KeyError."""
    if key == "thinking":
        return _SWITCH[value.lower()]
    number = float(value) if key in ("temperature", "top_p") else int(value)
    if not _LEAST[key] <= number <= (1 if key == "top_p" else float("inf")):
        raise ValueError
    return number


def _published(folder: Path) -> dict[str, Any]:
    """How the model's makers sample from it, as far as they say."""
    try:
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(config, dict):
        return {}
    return {key: config[key] for key in ("temperature", "top_p", "top_k") if isinstance(config.get(key), (int, float))}
