"""The listening brain as ways of ``benchmarks.ahead``: wait-k 3, 5, 7, eager and judging, and on a model of our own."""

from __future__ import annotations

from antiphon.core.settings import Answers, ListeningSettings, SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from benchmarks.ahead import SILENCE_MS, WHOLE, Way

_TURN = TurnSettings(paced=True, silence_duration_ms=SILENCE_MS, answers=Answers.LISTENING)


OPENING = 3
"""Tokens: so much of an answer stays when the user says more, if no more than its opening does."""


def _way(k: int, *, judges: bool = False, keeps: int = 0, kept: str = "") -> Way:
    settings = SessionSettings(_TURN, listening=ListeningSettings(wait_k=k))
    name = f"listening, k={k}{'' if judges else ', eager'}{kept}"
    return Way(name, Ahead.VOICE, settings, listens=True, judges=judges, keeps=keeps)


LISTENING = tuple(_way(k, judges=judges) for judges in (True, False) for k in (3, 5, 7))
OWN_MODEL = (
    _way(3, keeps=WHOLE, kept=", own model"),
    _way(3, keeps=OPENING, kept=", own model, opening stays"),
)
