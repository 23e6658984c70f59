"""What a session measures. The server feeds these to its metrics; a library user may pass its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antiphon.core.actions import Action
from antiphon.core.commands import Command
from antiphon.core.events import Event
from antiphon.core.settings import SessionSettings


class Meter(Protocol):
    def turn(self, figures: dict[str, float]) -> None:
        """A turn was answered aloud. Times in ms, all present; the first five add up to the last.

        ``end_of_turn_ms`` (end of speech to the decision that the turn is over), ``recognizer_ms`` (from there to
        the recognizer's final, 0 when it was ready), ``brain_ms`` (to the first token), ``voice_ms`` (to the first
        audio), ``server_ms`` (all else, silence at the reply's beginning too), ``response_ms`` (end of speech to the
        first reply sample that is no silence).
        """
        ...

    def barge_in(self, figures: dict[str, float]) -> None:
        """A barge-in was decided: ``onset_to_edge_ms``, ``edge_to_pause_ms``, ``decision_ms``, ``resumed`` (0 or 1),
        ``audible`` (0 where the reply had not begun to sound).
        """
        ...

    def work_ahead(self, figures: dict[str, float]) -> None:
        """Work ahead of the end of a turn was let out and heard, or thrown away: ``Balance.figures`` of that."""
        ...

    def failed(self, stage: str) -> None:
        """``asr``, ``llm`` or ``tts`` failed."""
        ...


class NoMeter:
    def turn(self, figures: dict[str, float]) -> None:
        pass

    def barge_in(self, figures: dict[str, float]) -> None:
        pass

    def work_ahead(self, figures: dict[str, float]) -> None:
        pass

    def failed(self, stage: str) -> None:
        pass


class Recorder(Protocol):
    """Keeps a session's inputs with their times, in the loop's seconds. Never blocks, raises nothing."""

    def begin(self, now: float, settings: SessionSettings, seed: int) -> None:
        """Once, before all else. ``seed`` is that of the turn table's identifiers."""
        ...

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None: ...

    def audio(self, now: float, pcm: bytes) -> None: ...

    def command(self, now: float, command: Command) -> None: ...

    def close(self, now: float) -> None: ...


class NoRecorder:
    def begin(self, now: float, settings: SessionSettings, seed: int) -> None:
        pass

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        pass

    def audio(self, now: float, pcm: bytes) -> None:
        pass

    def command(self, now: float, command: Command) -> None:
        pass

    def close(self, now: float) -> None:
        pass
