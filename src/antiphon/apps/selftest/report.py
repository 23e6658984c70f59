"""What the self-test found: checks, the times of each turn, those of the barge-in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from antiphon.apps.selftest.measures import percentile

STAGES: tuple[tuple[str, str], ...] = (
    ("end_of_turn_ms", "end of turn"),
    ("recognizer_ms", "recognizer final"),
    ("brain_ms", "brain first token"),
    ("voice_ms", "voice first audio"),
    ("server_ms", "server, all else"),
    ("response_ms", "response on the audio"),
)
"""Figures of a turn and how people read them. All but the last are the server's, see ``antiphon.session.meter``.

The first five are what remains to be waited for: work that was done ahead, in the silence that ends the turn, is 0.
"""

BARGE_IN: tuple[tuple[str, str], ...] = (
    ("onset_to_edge_ms", "true onset to VAD edge"),
    ("edge_to_last_frame_ms", "VAD edge to last frame out"),
    ("onset_to_silence_ms", "true onset to last audible sample"),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. ``detail`` says what was found, in plain words."""

    name: str
    passed: bool
    detail: str


@dataclass(slots=True)
class TurnRow:
    """One turn: what was said and heard, and its times in ms."""

    name: str
    said: str
    heard: str = ""
    answer: str = ""
    figures: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Report:
    """All that the self-test found."""

    server: str = ""
    engines: dict[str, str] = field(default_factory=dict)
    processes: dict[str, int] = field(default_factory=dict)
    """The process of each worker of the server, and of the server itself; nothing where it has no workers."""
    ready_s: float | None = None
    """How long our own server took to start; None when it ran already."""
    total_s: float = 0.0
    turns: list[TurnRow] = field(default_factory=list)
    barge_in: dict[str, float] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def check(self, name: str, passed: bool, detail: str) -> None:
        self.checks.append(Check(name, passed, detail))

    @property
    def passed(self) -> bool:
        """Something was checked and nothing failed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    def failures(self) -> list[Check]:
        return [check for check in self.checks if not check.passed]

    def summary(self) -> dict[str, dict[str, float]]:
        """For each stage that was measured: p50, p95, max (ms) and the number of turns."""
        result: dict[str, dict[str, float]] = {}
        for key, _ in STAGES:
            values = [turn.figures[key] for turn in self.turns if key in turn.figures]
            if values:
                result[key] = {
                    "p50": percentile(values, 0.5),
                    "p95": percentile(values, 0.95),
                    "max": max(values),
                    "turns": len(values),
                }
        return result

    def as_json(self) -> dict[str, Any]:
        """The report in plain types; times in ms unless the name says s."""
        return {
            "passed": self.passed,
            "server": self.server,
            "engines": self.engines,
            "processes": self.processes,
            "ready_s": self.ready_s,
            "total_s": round(self.total_s, 2),
            "checks": [{"name": c.name, "passed": c.passed, "detail": c.detail} for c in self.checks],
            "turns": [
                {
                    "name": turn.name,
                    "said": turn.said,
                    "heard": turn.heard,
                    "answer": turn.answer,
                    **{key: round(value, 1) for key, value in turn.figures.items()},
                }
                for turn in self.turns
            ],
            "summary": {k: {n: round(v, 1) for n, v in stage.items()} for k, stage in self.summary().items()},
            "barge_in": {key: round(value, 1) for key, value in self.barge_in.items()},
        }
