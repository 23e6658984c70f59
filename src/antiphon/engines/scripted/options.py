"""What scripted engines can be told on the command line, and which of their jobs fail."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import Self

from antiphon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Options:
    """What every scripted engine can be told: when to fail.

    ``fail_on`` lists jobs by number, from 1, joined by ``+``; ``fail_rate`` is the share of jobs that fail, drawn from
    ``seed``. A job is one final, one answer, or one piece of text to speak.
    """

    fail_rate: float = 0.0
    fail_on: str = ""
    seed: int = 0

    @classmethod
    def parse(cls, options: str) -> Self:
        """Reads ``key=value,key=value``. Raises ConfigError, naming the keys that there are."""
        types: dict[str, type[str | int | float]] = {}
        for entry in fields(cls):
            types[entry.name] = type(entry.default)  # type: ignore[assignment]  # every field has a default
        values: dict[str, str | int | float] = {}
        for pair in filter(None, options.split(",")):
            key, _, value = pair.partition("=")
            if key.strip() not in types:
                raise ConfigError(f"scripted engine: no option {key.strip()!r}; there are {', '.join(types)}")
            try:
                values[key.strip()] = types[key.strip()](value)
            except ValueError as error:
                raise ConfigError(f"scripted engine: {key.strip()}={value}: {error}") from error
        return cls(**values)  # type: ignore[arg-type]  # each value has the type of its field


class Failures:
    """Says which jobs fail."""

    def __init__(self, options: Options) -> None:
        self._jobs = 0
        self._rate = options.fail_rate
        self._random = random.Random(options.seed)
        try:
            self._on = frozenset(int(job) for job in options.fail_on.split("+") if job)
        except ValueError as error:
            raise ConfigError(f"scripted engine: fail_on={options.fail_on}: give job numbers joined by +") from error

    def next_job(self) -> bool:
        """Begins a job; true if it must fail."""
        self._jobs += 1
        drawn = self._rate > 0 and self._random.random() < self._rate
        return drawn or self._jobs in self._on
