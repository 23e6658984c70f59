from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from antiphon.core.commands import (
    CancelResponse,
    ClearBuffer,
    Command,
    CommitBuffer,
    Configure,
    CreateItem,
    CreateReply,
    DeleteItem,
    ItemReference,
    RetrieveItem,
    TruncateItem,
)
from antiphon.core.settings import Detection
from antiphon.core.speech import Message
from antiphon.ids import ItemId, ReplyId
from antiphon.sim.referee import Referee
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.outlet import RealtimeOutlet


class Desk:
    """An inlet, what reached the session, and what was answered."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.commands: list[Command] = []
        self.events: list[dict[str, Any]] = []
        self.referee = Referee()
        self.config = SessionConfig(Offer(), session_id="sess_1", expires_at=1_800_000_000)
        self.outlet = RealtimeOutlet(self.config, self, conversation_id="conv_1")
        self.outlet.session_created()
        self.inlet = RealtimeInlet(self, self.outlet, self.config)

    def hear(self, pcm: bytes) -> None:
        self.heard += pcm

    def post(self, command: Command) -> None:
        self.commands.append(command)

    def drop_media(self) -> None:
        pass

    def send(self, data: bytes, *, media: bool = False) -> None:
        self.events.append(orjson.loads(data))
        self.referee.feed(self.events[-1])

    async def tell(self, **event: Any) -> None:
        await self.inlet.receive(orjson.dumps(event))

    def error(self) -> dict[str, Any]:
        event = self.events[-1]
        assert event["type"] == "error"
        error: dict[str, Any] = event["error"]
        return error


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_audio_reaches_the_ear_at_its_rate(desk: Desk) -> None:
    frame = base64.b64encode(bytes(960)).decode()
    for _ in range(50):
        await desk.tell(type="input_audio_buffer.append", audio=frame)
    assert 31_900 <= len(desk.heard) <= 32_000
    assert desk.commands == []
    assert len(desk.events) == 1


async def test_audio_cut_within_a_sample_is_put_together(desk: Desk) -> None:
    for size in (961, 959, 1, 1, 958):
        await desk.tell(type="input_audio_buffer.append", audio=base64.b64encode(bytes(size)).decode())
    assert 1_880 <= len(desk.heard) <= 1_920


async def test_a_long_recording_lets_others_have_their_turn(desk: Desk) -> None:
    audio = base64.b64encode(bytes(48_000 * 20)).decode()
    await desk.tell(type="input_audio_buffer.append", audio=audio)
    assert len(desk.heard) == pytest.approx(32_000 * 20, abs=100)


async def test_audio_in_mu_law(desk: Desk) -> None:
    await desk.tell(type="session.update", session={"audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    await desk.tell(type="input_audio_buffer.append", audio=base64.b64encode(b"\xff" * 8_000).decode())
    assert len(desk.heard) == pytest.approx(32_000, abs=100)


@pytest.mark.parametrize(
    ("audio", "code"),
    [
        ("not base64!", "invalid_base64"),
        ("AAA", "invalid_base64"),
        (5, "invalid_value"),
        (None, "invalid_value"),
        ("A" * (21 * 1024 * 1024), "audio_too_large"),
    ],
)
async def test_audio_that_is_none(desk: Desk, audio: Any, code: str) -> None:
    await desk.tell(type="input_audio_buffer.append", event_id="evt_1", audio=audio)
    assert desk.error()["code"] == code
    assert desk.error()["event_id"] == "evt_1"
    await desk.tell(type="input_audio_buffer.commit")
    assert desk.commands == [CommitBuffer(None)]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b"[]", "invalid_event"),
        (b"null", "invalid_event"),
        (b'"hello"', "invalid_event"),
        (b"{}", "invalid_value"),
        (b'{"type":7}', "invalid_value"),
        (b'{"type":["session.update"]}', "invalid_value"),
        (b'{"type":"session.destroy"}', "invalid_value"),
        (b'{"type":"session.update"}', "missing_required_parameter"),
        (b'{"type":"session.update","session":[]}', "invalid_value"),
        (b'{"type":"conversation.item.create"}', "invalid_value"),
        (b'{"type":"conversation.item.delete"}', "missing_required_parameter"),
        (b'{"type":"conversation.item.retrieve","item_id":5}', "invalid_value"),
        (b'{"type":"conversation.item.truncate","item_id":"a"}', "missing_required_parameter"),
        (b'{"type":"conversation.item.truncate","item_id":"a","audio_end_ms":"x"}', "invalid_value"),
        (b'{"type":"conversation.item.truncate","item_id":"a","audio_end_ms":true}', "invalid_value"),
        (b'{"type":"response.create","response":5}', "invalid_value"),
        (b'{"type":"response.create","response":{"input":5}}', "invalid_value"),
        (b'{"type":"response.cancel","response_id":5}', "invalid_value"),
    ],
)
async def test_nonsense_gets_an_error_and_no_more(desk: Desk, data: bytes, code: str) -> None:
    await desk.inlet.receive(data)
    assert desk.error()["code"] == code
    assert desk.commands == []


async def test_an_error_names_the_clients_event(desk: Desk) -> None:
    await desk.tell(type="nonsense", event_id="evt_7")
    assert desk.error()["event_id"] == "evt_7"
    await desk.tell(type="nonsense", event_id=7)
    assert desk.error()["event_id"] is None


async def test_binary_frames_are_refused(desk: Desk) -> None:
    desk.inlet.refuse_binary()
    assert desk.error()["type"] == "invalid_request_error"


async def test_settings_go_to_the_session_and_come_back(desk: Desk) -> None:
    await desk.tell(type="session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
    (command,) = desk.commands
    assert isinstance(command, Configure)
    assert command.settings.turn.detection is Detection.MANUAL
    assert desk.events[-1]["type"] == "session.updated"
    assert desk.events[-1]["session"]["audio"]["input"]["turn_detection"] is None


async def test_the_betas_transcription_session(desk: Desk) -> None:
    await desk.tell(type="transcription_session.update", session={"input_audio_transcription": {"model": "m"}})
    assert desk.events[-1]["session"]["type"] == "transcription"
    await desk.tell(type="response.create")
    assert desk.error()["code"] == "invalid_event"


async def test_items(desk: Desk) -> None:
    item = {"id": "mine", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    await desk.tell(type="conversation.item.create", item=item, previous_item_id="root", event_id="e1")
    await desk.tell(type="conversation.item.create", item={**item, "id": None}, previous_item_id=None)
    first, second = desk.commands
    assert isinstance(first, CreateItem)
    assert (first.item.id, first.previous, first.client_event_id) == ("mine", "root", "e1")
    assert isinstance(second, CreateItem)
    assert second.item.id.startswith("item_")
    assert second.previous is None


async def test_the_other_commands(desk: Desk) -> None:
    await desk.tell(type="input_audio_buffer.commit", event_id="e1")
    await desk.tell(type="input_audio_buffer.clear", event_id="e2")
    await desk.tell(type="conversation.item.delete", item_id="a", event_id="e3")
    await desk.tell(type="conversation.item.retrieve", item_id="a", event_id="e4")
    await desk.tell(type="conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=99.6, event_id="e5")
    await desk.tell(type="conversation.item.truncate", item_id="a", content_index=0, audio_end_ms=-4)
    await desk.tell(type="response.cancel", event_id="e6")
    await desk.tell(type="response.cancel", response_id="resp_1")
    await desk.tell(type="output_audio_buffer.clear")
    item = ItemId("a")
    assert desk.commands == [
        CommitBuffer("e1"),
        ClearBuffer("e2"),
        DeleteItem(item, "e3"),
        RetrieveItem(item, "e4"),
        TruncateItem(item, 0, 100, "e5"),
        TruncateItem(item, 0, 0, None),
        CancelResponse(None, "e6"),
        CancelResponse(ReplyId("resp_1"), None),
    ]


async def test_a_response_of_the_clients_own_making(desk: Desk) -> None:
    await desk.tell(
        type="response.create",
        event_id="e1",
        response={
            "conversation": "none",
            "instructions": "Classify.",
            "metadata": {"topic": "x"},
            "input": [
                {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "function_call_output", "call_id": "c", "output": "7"},
                {"type": "item_reference", "id": "mine"},
            ],
        },
    )
    (command,) = desk.commands
    assert isinstance(command, CreateReply)
    assert command.side
    assert command.settings.instructions == "Classify."
    assert command.messages == (Message("user", "Hi"), Message("tool", "7", call_id="c"), ItemReference(ItemId("mine")))
    desk.outlet.reply_created(command.reply)
    assert desk.events[-1]["response"]["metadata"] == {"topic": "x"}


async def test_an_empty_context_is_not_the_conversation(desk: Desk) -> None:
    await desk.tell(type="response.create", response={"input": []})
    await desk.tell(type="response.create")
    empty, whole = desk.commands
    assert isinstance(empty, CreateReply)
    assert isinstance(whole, CreateReply)
    assert empty.messages == ()
    assert whole.messages is None
