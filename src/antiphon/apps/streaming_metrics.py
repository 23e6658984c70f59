"""``/streaming_metrics``: how quick the conversations are, as JSON, for who watches one server without Prometheus.

All four are taken where the audio is: from samples of the user's that came to samples of the agent's that left, silence
at their beginning counted. Names and shape are those of the Voxtral and Kokoro streaming agent.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from statistics import fmean
from typing import Any

from aiohttp import web

from antiphon.core.actions import State
from antiphon.transport.responses import json_response

PATH = "/streaming_metrics"

STATES = {
    State.IDLE: "idle",
    State.LISTENING: "listening",
    State.THINKING: "processing",
    State.SPEAKING: "speaking",
    State.BARGED_IN: "interrupted",
}
"""What that agent calls them."""

TARGETS_MS = {
    "first_word_latency": 100.0,
    "word_to_audio_latency": 150.0,
    "interruption_response_time": 100.0,
    "perceived_latency": 300.0,
}
"""In the order in which they are shown.

``first_word_latency``: from the decision that the user's turn is over, and from its words where the brain needs them,
to the brain's first word; 0 where that was written ahead. ``word_to_audio_latency``: from there to the first sound of
the answer. ``interruption_response_time``: from the true start of the user's speech over a reply to its last frame.
``perceived_latency``: from the true end of the user's speech to the first sound of the answer.
"""

_PARTS: Mapping[str, tuple[str, ...]] = {
    "first_word_latency": ("brain_ms",),
    "word_to_audio_latency": ("voice_ms", "server_ms"),
    "interruption_response_time": ("onset_to_edge_ms", "edge_to_pause_ms"),
    "perceived_latency": ("response_ms",),
}
"""The figures of ``session.meter`` that they are the sums of."""

KEPT = 1000
"""So many of the newest figures the percentiles are of."""
_RECENT = 5


class _Series:
    def __init__(self) -> None:
        self._newest: deque[float] = deque(maxlen=KEPT)
        self._count = 0
        self._sum = 0.0
        self._min = self._max = 0.0

    def add(self, value: float) -> None:
        self._min = min(self._min, value) if self._count else value
        self._max = max(self._max, value)
        self._count += 1
        self._sum += value
        self._newest.append(value)

    def shown(self, target_ms: float) -> dict[str, float]:
        if not self._count:
            return {"count": 0, "target_ms": target_ms}
        ordered = sorted(self._newest)
        figures = {
            "avg_ms": self._sum / self._count,
            "min_ms": self._min,
            "max_ms": self._max,
            "recent_avg_ms": fmean(list(self._newest)[-_RECENT:]),
            "p50_ms": _percentile(ordered, 0.50),
            "p95_ms": _percentile(ordered, 0.95),
            "within_target": sum(value <= target_ms for value in ordered) / len(ordered),
        }
        return {"count": self._count, "target_ms": target_ms} | {name: round(at, 3) for name, at in figures.items()}


def _percentile(ordered: list[float], share: float) -> float:
    """The smallest that so large a share is not above."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class StreamingMetrics:
    """Takes the figures of all sessions, as their ``Meter`` gets them."""

    def __init__(self, states: Callable[[], Mapping[State, int]] = dict) -> None:
        """``states`` says how many sessions are in each state now."""
        self.states = states
        self._series = {name: _Series() for name in TARGETS_MS}

    def take(self, figures: Mapping[str, float]) -> None:
        """Those of a turn, or of a sound over a reply, also where the reply goes on after it: it was silent by then."""
        if not figures.get("audible", 1.0):
            return  # there was nothing to silence
        for name, parts in _PARTS.items():
            if all(part in figures for part in parts):
                self._series[name].add(sum(figures[part] for part in parts))

    def shown(self) -> dict[str, Any]:
        states = Counter(self.states())
        series = {name: self._series[name].shown(target_ms) for name, target_ms in TARGETS_MS.items()}
        return series | {"sessions": {name: states[state] for state, name in STATES.items()}}

    def routes(self) -> list[web.RouteDef]:
        return [web.get(PATH, self._answer)]

    async def _answer(self, request: web.Request) -> web.Response:
        return json_response(self.shown())
