"""The lines that say who does what."""

from __future__ import annotations

from typing import Any

from antiphon.apps.realtime_client import Arrival
from antiphon.apps.talk.trace import Trace

DELTA = "conversation.item.input_audio_transcription.delta"
COMPLETED = "conversation.item.input_audio_transcription.completed"


def lines_of(*events: tuple[float, str, dict[str, Any]]) -> list[str]:
    trace = Trace()
    lines = [line for at, kind, fields in events for line in trace.read(Arrival(at, {"type": kind, **fields}))]
    return lines + trace.rest()


def test_each_stage_has_its_lines() -> None:
    assert lines_of(
        (5.0, "session.created", {}),
        (5.5, DELTA, {"item_id": "a", "delta": " what is"}),
        (6.0, "input_audio_buffer.speech_stopped", {"item_id": "a"}),
        (6.1, COMPLETED, {"item_id": "a", "transcript": "what is"}),
        (6.2, "antiphon.thought", {"text": "She asks "}),
        (6.3, "antiphon.thought", {"text": "me.\n"}),
        (6.4, "antiphon.clause", {"text": "It is noon. "}),
        (8.0, "response.done", {"response": {"status": "completed"}}),
        (9.0, "response.done", {"response": {"status": "cancelled"}}),
    ) == [
        "   0.50  stt  hears    what is",
        "   1.00  vad  silence",
        "   1.20  llm  thinks   She asks me.",
        "   1.40  tts  speaks   It is noon.",
        "   3.00  tts  is done",
        "   4.00  tts  stops",
    ]


def test_words_that_came_in_one_piece_and_what_went_wrong() -> None:
    error = {"status": "failed", "status_details": {"error": {"message": "the model is gone"}}}
    assert lines_of(
        (1.0, COMPLETED, {"item_id": "b", "transcript": "yes"}),
        (1.5, "response.done", {"response": error}),
        (2.0, "error", {"error": {"message": "no such voice"}}),
        (2.5, "antiphon.thought", {"text": "Hm."}),
    ) == [
        "   0.00  stt  hears    yes",
        "   0.50       failed   the model is gone",
        "   1.00       no such voice",
        "   1.50  llm  thinks   Hm.",
    ]
