from __future__ import annotations

from typing import Any

import pytest

from antiphon.core.settings import TurnSettings
from antiphon.errors import ProtocolError
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.session_fields import (
    READERS,
    default_turn_detection,
    merge_input,
    merge_output,
    read_metadata,
    read_side,
)

OFFER = Offer(voices=("amy", "joe"), transcription_models=("tiny", "large"))
SEMANTIC = {"type": "semantic_vad", "eagerness": "auto", "create_response": True, "interrupt_response": True}


def merged_input(source: dict[str, Any]) -> dict[str, Any]:
    """The defaults with what a client sent merged in."""
    target = {
        "format": AudioFormat.PCM.wire(),
        "transcription": None,
        "turn_detection": default_turn_detection(TurnSettings(), "server_vad"),
    }
    merge_input(target, source, OFFER)
    return target


def test_turn_detection_is_filled_up_and_keeps_what_is_not_sent() -> None:
    detection = merged_input({"turn_detection": {"silence_duration_ms": 700}})["turn_detection"]
    assert detection == {**default_turn_detection(TurnSettings(), "server_vad"), "silence_duration_ms": 700}


def test_another_kind_of_turn_detection_begins_with_its_own_defaults() -> None:
    assert merged_input({"turn_detection": {"type": "semantic_vad"}})["turn_detection"] == SEMANTIC
    eager = {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}
    assert merged_input(eager)["turn_detection"] == {**SEMANTIC, "eagerness": "high"}


@pytest.mark.parametrize("off", [None, False])
def test_turn_detection_and_transcription_are_switched_off(off: object) -> None:
    merged = merged_input({"turn_detection": off, "transcription": off})
    assert (merged["turn_detection"], merged["transcription"]) == (None, None)


def test_a_transcription_takes_the_first_model_for_an_unknown_one() -> None:
    named = {"transcription": {"model": "large", "language": "de"}}
    assert merged_input(named)["transcription"] == {"model": "large", "language": "de", "prompt": None}
    assert merged_input({"transcription": {"model": "whisper-1"}})["transcription"]["model"] == "tiny"


def test_numbers_are_brought_into_range() -> None:
    sent = {"threshold": 7, "silence_duration_ms": -5, "prefix_padding_ms": 90_000, "idle_timeout_ms": 6000.4}
    detection = merged_input({"turn_detection": sent})["turn_detection"]
    assert [detection[key] for key in sent] == [1.0, 0, 60_000, 6000]
    assert merged_input({"turn_detection": {"idle_timeout_ms": -1}})["turn_detection"]["idle_timeout_ms"] is None
    output = {"format": AudioFormat.PCM.wire(), "voice": "amy", "speed": 1.0}
    merge_output(output, {"speed": 9, "format": "g711_ulaw"}, OFFER)
    assert output == {"format": AudioFormat.PCMU.wire(), "voice": "amy", "speed": 1.5}
    assert READERS["max_output_tokens"](1_000_000) == 4096
    assert READERS["truncation"]({"retention_ratio": 3}) == {"type": "retention_ratio", "retention_ratio": 1.0}


def test_tools_are_functions() -> None:
    described = {"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}}
    nested = {"type": "function", "function": {"name": "g"}}
    read = READERS["tools"]([described, {"type": "mcp", "server_label": "x"}, nested])
    assert read == [described, {"type": "function", "name": "g"}]


def test_what_is_to_be_called_is_named() -> None:
    given = ["required", {"type": "function", "name": "f"}, {"type": "function", "function": {"name": "f"}}]
    named = {"type": "function", "name": "f"}
    assert [READERS["tool_choice"](value) for value in given] == ["required", named, named]
    assert READERS["tool_choice"]({"type": "mcp"}) == "auto"


@pytest.mark.parametrize(
    "metadata",
    [{"key": 1}, {str(number): "x" for number in range(17)}, "key"],
)
def test_metadata_are_few_strings(metadata: object) -> None:
    assert (read_metadata(None), read_metadata({"key": "value"})) == (None, {"key": "value"})
    with pytest.raises(ProtocolError) as caught:
        read_metadata(metadata)
    assert caught.value.param == "response.metadata"


def test_a_reply_is_in_the_conversation_or_beside_it() -> None:
    assert [read_side(value) for value in (None, "auto", "none")] == [False, False, True]
    with pytest.raises(ProtocolError, match="auto or none"):
        read_side("other")
