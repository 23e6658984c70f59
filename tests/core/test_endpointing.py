"""How long a silence ends a turn."""

from __future__ import annotations

import pytest

from antiphon.core.endpointing import LONGEST_WAIT_MS, silence_needed_ms, sounds_finished
from antiphon.core.settings import Detection, TurnSettings

SEMANTIC = TurnSettings(detection=Detection.SEMANTIC, eagerness="medium")


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("What time is it?", True),
        ("Tell me a story.", True),
        ("What is this for?", True),
        ("I would like to go to the.", False),
        ("And then, um", False),
        ("Well,", False),
        ("because...", False),
        ("hello there", None),
        ("", None),
        ("...", None),
    ],
)
def test_words_tell_whether_a_turn_could_end(text: str, finished: bool | None) -> None:
    assert sounds_finished(text) is finished


def test_server_vad_waits_for_the_same_silence_whatever_was_said() -> None:
    settings = TurnSettings(silence_duration_ms=321)
    assert {silence_needed_ms(settings, text) for text in (None, "", "Yes.", "and the")} == {321}


def test_semantic_vad_waits_longer_the_less_finished_it_sounds() -> None:
    finished, unsure, unfinished = (silence_needed_ms(SEMANTIC, text) for text in ("Yes, please.", None, "I want to"))
    assert finished < unsure < unfinished == LONGEST_WAIT_MS["medium"] == 4000


def test_eagerness_orders_the_waits_and_auto_is_medium() -> None:
    def wait(eagerness: str, text: str) -> int:
        settings = TurnSettings(detection=Detection.SEMANTIC, eagerness=eagerness)  # type: ignore[arg-type]
        return silence_needed_ms(settings, text)

    for text in ("Yes.", "perhaps", "I want to"):
        assert wait("high", text) < wait("medium", text) < wait("low", text)
        assert wait("auto", text) == wait("medium", text)
