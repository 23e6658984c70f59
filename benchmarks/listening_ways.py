"""The listening brain as ways of ``benchmarks.ahead``: wait-k 3, 5 and 7, eager and judging."""

from __future__ import annotations

from antiphon.core.settings import Answers, ListeningSettings, SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from benchmarks.ahead import SILENCE_MS, Way

_TURN = TurnSettings(paced=True, silence_duration_ms=SILENCE_MS, answers=Answers.LISTENING)


def _way(k: int, *, judges: bool) -> Way:
    settings = SessionSettings(_TURN, listening=ListeningSettings(wait_k=k))
    name = f"listening, k={k}{'' if judges else ', eager'}"
    return Way(name, Ahead.VOICE, settings, listens=True, judges=judges)


LISTENING = tuple(_way(k, judges=judges) for judges in (True, False) for k in (3, 5, 7))
