"""A recorded session again: the same events into a fresh turn table must give the same actions, byte for byte.

It does not matter whether the audio is in the file, beside it, or nowhere: what was decided follows from the events.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.commands import Command
from antiphon.core.events import Event
from antiphon.core.settings import SessionSettings
from antiphon.core.turns import Turns
from antiphon.errors import ConfigError, IllegalEventError
from antiphon.ids import IdSource
from antiphon.session.codec import TAG, canonical, from_json
from antiphon.session.recording import FORMAT, VERSION
from antiphon.sim.followed_turns import RuleBrokenError
from antiphon.sim.turn_rules import TurnRules

_CONTEXT_STEPS = 5


@dataclass(frozen=True, slots=True)
class Step:
    """One event of the recording, and what came of it. ``at`` counts seconds from the start of the session."""

    line: int
    at: float
    event: str
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step at which the replay parts from the recording."""

    recorded: Step
    replayed: tuple[str, ...]
    """The actions of the replay, or the error that it ended in."""
    before: tuple[Step, ...]
    """The steps that led to it."""


@dataclass(slots=True)
class Report:
    """What a replay found."""

    events: int = 0
    actions: int = 0
    commands: int = 0
    audio_s: float = 0.0
    duration_s: float = 0.0
    complete: bool = False
    """The recording has its last line."""
    difference: Difference | None = None
    broken_rule: str | None = None
    """The first rule of turn-taking that the recorded session broke, with the line at which it did."""

    @property
    def identical(self) -> bool:
        return self.difference is None


@dataclass(slots=True)
class _Replay:
    turns: Turns
    rules: TurnRules
    began_at: float
    report: Report = field(default_factory=Report)
    steps: deque[Step] = field(default_factory=lambda: deque(maxlen=_CONTEXT_STEPS))

    def take(self, number: int, entry: dict[str, Any]) -> None:
        at = from_json(float, entry.get("at"))
        report = self.report
        report.duration_s = at - self.began_at
        match entry[TAG]:
            case "event":
                self._event(number, at, from_json(Event, entry["event"]), entry["actions"])
            case "command":
                from_json(Command, entry["command"])
                report.commands += 1
            case "audio":
                report.audio_s += _audio_bytes(entry) / 2 / EAR_RATE_HZ
            case "end":
                report.complete = True
            case kind:
                raise ConfigError(f"there is no such entry: {kind!r}")

    def _event(self, number: int, at: float, event: Event, recorded: list[Any]) -> None:
        texts = tuple(_text(action) for action in recorded)
        step = Step(number, round(at - self.began_at, 6), _text(event), texts)
        self.report.events += 1
        self.report.actions += len(recorded)
        self._follow_rules(number, lambda: self.rules.before(event, at))
        try:
            actions = self.turns.handle(event, at)
            replayed = tuple(_text(action) for action in actions)
        except IllegalEventError as error:
            self.report.difference = Difference(step, (f"{type(error).__name__}: {error}",), tuple(self.steps))
            return
        if replayed != texts:
            self.report.difference = Difference(step, replayed, tuple(self.steps))
        self._follow_rules(number, lambda: self.rules.after(event, actions, self.turns))
        self.steps.append(step)

    def _follow_rules(self, number: int, check: Any) -> None:
        if self.report.broken_rule is not None:
            return
        try:
            check()
        except RuleBrokenError as error:
            self.report.broken_rule = f"line {number}: {error}"


def _audio_bytes(entry: dict[str, Any]) -> int:
    """How much audio came. Where its bytes are in the line they are checked."""
    count: int = from_json(int, entry["bytes"])
    if "pcm" in entry and len(binascii.a2b_base64(from_json(str, entry["pcm"]), strict_mode=True)) != count:
        raise ConfigError(f"the audio of the line is not {count} bytes long")
    return count


def _text(value: Any) -> str:
    return canonical(value).decode("utf-8")


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return  # the writing was broken off in mid-line
            entry = orjson.loads(line)
            if not isinstance(entry, dict) or TAG not in entry:
                raise ConfigError("a line is not an object with a kind")
            yield number, entry


def _begin(entry: dict[str, Any]) -> _Replay:
    if entry.get(TAG) != "header" or entry.get("format") != FORMAT:
        raise ConfigError("its first line is no header of one")
    if entry.get("version") != VERSION:
        raise ConfigError(f"it has version {entry.get('version')}, and this program reads version {VERSION}")
    settings: SessionSettings = from_json(SessionSettings, entry["settings"])
    turns = Turns(settings.turn, IdSource(from_json(int, entry["seed"])))
    return _Replay(turns, TurnRules(settings.turn), from_json(float, entry["at"]))


def replay(path: Path) -> Report:
    """Replays a recording up to its end or to the first difference.

    Raises OSError when it cannot be read, and ConfigError, with the line, when it is no recording.
    """
    run: _Replay | None = None
    number = 1
    try:
        for number, entry in _lines(path):
            if run is None:
                run = _begin(entry)
            else:
                run.take(number, entry)
                if run.report.difference is not None:
                    break
    except (ConfigError, ValueError, KeyError, TypeError) as error:
        where = f"{path} is no recording of a session" if run is None else f"{path}, line {number}"
        raise ConfigError(f"{where}: {error}") from error
    if run is None:
        raise ConfigError(f"{path} is empty")
    return run.report
