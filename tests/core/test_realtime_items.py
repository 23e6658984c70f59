from __future__ import annotations

import base64
from typing import Any

import pytest

from antiphon.errors import ProtocolError
from antiphon.ids import IdSource
from antiphon.sim.wire_schema import check_schema
from antiphon.transport.realtime.codecs import AudioFormat
from antiphon.transport.realtime.items import MAX_ITEM_AUDIO_S, item_wire, parse_item


def parse(source: Any, audio_format: AudioFormat = AudioFormat.PCM) -> Any:
    item = parse_item(source, IdSource(1), audio_format)
    check_schema({"type": "conversation.item.added", "event_id": "e", "item": item_wire(item)})
    return item


def test_a_typed_message() -> None:
    item = parse({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]})
    assert item.id.startswith("item_")
    assert (item.kind, item.role, item.text, item.audio) == ("message", "user", "Hi", False)
    assert item_wire(item)["content"] == [{"type": "input_text", "text": "Hi"}]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Hi", "Hi"),
        ([{"type": "text", "text": "Hi"}], "Hi"),
        ([{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}], "a\nb"),
        ([], ""),
        (None, ""),
    ],
)
def test_ways_to_write_a_message(content: Any, text: str) -> None:
    assert parse({"id": "mine", "role": "user", "content": content}).text == text


def test_an_answer_that_the_client_remembers() -> None:
    item = parse({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "Yes"}], "id": "a1"})
    assert item_wire(item)["content"] == [{"type": "output_text", "text": "Yes"}]
    assert item.message().role == "assistant"


def test_spoken_content_is_kept_for_the_recognizer() -> None:
    second = base64.b64encode(bytes(48_000)).decode()
    item = parse({"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": second}]})
    assert item.audio
    assert len(item.pcm) == 32_000
    assert item_wire(item)["content"] == [{"type": "input_audio", "transcript": None}]


def test_spoken_content_in_the_format_of_the_session() -> None:
    second = base64.b64encode(b"\xff" * 8_000).decode()
    source = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": second}]}
    assert len(parse(source, AudioFormat.PCMU).pcm) == 32_000


def test_an_image_is_read_and_a_large_one_not_echoed() -> None:
    url = "data:image/png;base64," + "A" * 100_000
    item = parse({"role": "user", "type": "message", "content": [{"type": "input_image", "image_url": url}]})
    assert item.message().images == (url,)
    assert item_wire(item)["content"] == [{"type": "input_image"}]


def test_functions() -> None:
    call = parse({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})
    assert (call.call_id, call.name, call.arguments) == ("c", "f", "{}")
    output = parse({"type": "function_call_output", "call_id": "c", "output": {"degrees": 7}})
    assert (output.call_id, output.output) == ("c", '{"degrees":7}')


@pytest.mark.parametrize(
    ("source", "code"),
    [
        (None, "invalid_value"),
        ([], "invalid_value"),
        ({}, "invalid_value"),
        ({"type": "poem"}, "invalid_value"),
        ({"type": "message", "role": "robot"}, "invalid_value"),
        ({"type": "message", "role": "user", "content": [{"type": "smell"}]}, "invalid_value"),
        ({"type": "message", "role": "user", "content": ["Hi"]}, "invalid_value"),
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": 5}]}, "invalid_value"),
        ({"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": "?"}]}, "invalid_base64"),
        ({"type": "message", "role": "user", "content": [{"type": "input_image"}]}, "invalid_value"),
        ({"type": "function_call", "arguments": "{}"}, "missing_required_parameter"),
        ({"type": "function_call_output", "output": ""}, "missing_required_parameter"),
        ({"type": "message", "role": "user", "id": "i" * 200}, "invalid_value"),
        ({"type": "function_call_output", "call_id": "c", "output": "x" * 300_000}, "item_too_large"),
    ],
)
def test_what_is_no_item_is_refused(source: Any, code: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(source)
    assert caught.value.code == code


def test_endless_audio_is_refused() -> None:
    audio = base64.b64encode(bytes(8_000 * (MAX_ITEM_AUDIO_S + 1))).decode()
    with pytest.raises(ProtocolError) as caught:
        parse(
            {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": audio}]}, AudioFormat.PCMA
        )
    assert caught.value.code == "audio_too_large"
