"""Events that are too large for a data channel."""

from __future__ import annotations

from typing import Any

import orjson

from antiphon.sim.wire_schema import check_schema
from antiphon.transport.webrtc.oversize import fitting

LIMIT = 4000


def retrieved(*, audio: int, text: int = 5) -> dict[str, Any]:
    content = [{"type": "input_audio", "audio": "A" * audio, "transcript": "x" * text}]
    item = {"id": "item_1", "type": "message", "role": "user", "status": "completed", "content": content}
    return {"type": "conversation.item.retrieved", "event_id": "event_1", "item": item}


def sent(event: dict[str, Any]) -> dict[str, Any]:
    data = fitting(orjson.dumps(event), LIMIT)
    assert len(data) <= LIMIT
    result: dict[str, Any] = orjson.loads(data)
    check_schema(result)
    return result


def test_what_fits_is_left_as_it_is() -> None:
    event = retrieved(audio=1000)
    assert sent(event) == event


def test_an_item_that_does_not_fit_goes_without_its_audio() -> None:
    event = retrieved(audio=8000)
    del event["item"]["content"][0]["audio"]
    assert sent(retrieved(audio=8000)) == event


def test_what_cannot_be_made_to_fit_is_told_as_an_error() -> None:
    error = sent(retrieved(audio=0, text=8000))
    assert error["type"] == "error"
    assert error["event_id"] == "event_1"
    assert "conversation.item.retrieved has" in error["error"]["message"]
