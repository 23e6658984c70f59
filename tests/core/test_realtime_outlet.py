from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from antiphon.core.actions import State
from antiphon.core.conversation import Item
from antiphon.core.speech import Spoken
from antiphon.core.work_ahead import Balance, Work
from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.sim.referee import Referee
from antiphon.transport.base import AnsweredTurn, BargeIn
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.outlet import RealtimeOutlet

FRAME = bytes(1920)
REPLY, ANSWER = ReplyId("resp_1"), ItemId("item_answer")


class Wire:
    """An outlet, and what it sent, all of it past the referee."""

    def __init__(self, *, vendor: bool = False, paced: bool = False) -> None:
        offer = Offer(voices=("amy", "joe"), transcription_models=("tiny",))
        self.config = SessionConfig(offer, session_id="sess_1", expires_at=1_800_000_000, paced=paced)
        self.dropped = 0
        self.media: list[str] = []
        self.referee = Referee(vendor=vendor)
        self.events: list[dict[str, Any]] = []
        self.outlet = RealtimeOutlet(self.config, self, conversation_id="conv_1", vendor=vendor)
        self.outlet.session_created()

    def drop_media(self) -> None:
        self.dropped += 1

    def send(self, data: bytes, *, media: bool = False) -> None:
        event = orjson.loads(data)
        self.events.append(event)
        if media:
            self.media.append(event["type"])
        self.referee.feed(event)

    def kinds(self) -> list[str]:
        return [event["type"] for event in self.events[1:]]

    def last(self) -> dict[str, Any]:
        return self.events[-1]


@pytest.fixture
def wire() -> Wire:
    return Wire()


def speak(wire: Wire, text: str = "Hello.", frames: int = 3) -> None:
    wire.outlet.reply_transcript(REPLY, ANSWER, text)
    for _ in range(frames):
        wire.outlet.reply_audio(REPLY, ANSWER, FRAME)


SPOKEN_START = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
]
SPOKEN_END = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]


def test_a_typed_turn_has_the_order_of_the_protocol(wire: Wire) -> None:
    question = Item(ItemId("item_q"), "message", "user", text="Hi", content=({"type": "input_text", "text": "Hi"},))
    wire.outlet.item_added(question, None)
    wire.outlet.item_done(question, None)
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_text(REPLY, ANSWER, "Good ")
    wire.outlet.reply_text(REPLY, ANSWER, "day.")
    wire.outlet.reply_done(REPLY, "completed", None, input_tokens=7, output_tokens=3)
    wire.referee.finish()
    assert wire.kinds() == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    response = wire.last()["response"]
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Good day."}]
    assert response["usage"]["total_tokens"] == 10
    assert wire.events[5]["previous_item_id"] == "item_q"


def test_a_spoken_turn_has_the_order_of_the_protocol(wire: Wire) -> None:
    turn = TurnId(ItemId("item_turn"))
    wire.outlet.speech_started(turn, 120)
    wire.outlet.transcript_delta(turn, "Hi")
    wire.outlet.speech_stopped(turn, 900)
    wire.outlet.committed(turn, None)
    said = Item(ItemId(turn), "message", "user", audio=True)
    wire.outlet.item_added(said, None)
    wire.outlet.item_done(said, None)
    wire.outlet.reply_created(REPLY)
    speak(wire)
    wire.outlet.transcript_completed(turn, "Hi", 0.78)
    wire.outlet.reply_done(REPLY, "completed", None)
    wire.referee.finish()
    kinds = [kind for kind in wire.kinds() if kind != "response.output_audio.delta"]
    assert kinds[:6] == [
        "input_audio_buffer.speech_started",
        "conversation.item.input_audio_transcription.delta",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "conversation.item.added",
        "conversation.item.done",
    ]
    assert kinds[6:11] == SPOKEN_START
    assert kinds[12:] == SPOKEN_END
    assert wire.events[5]["item"]["content"] == [{"type": "input_audio", "transcript": None}]


def test_the_audio_is_as_long_as_it_was_spoken(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    speak(wire, frames=50)
    wire.outlet.reply_done(REPLY, "completed", None)
    deltas = [event for event in wire.events if event["type"] == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(event["delta"])) for event in deltas) == 48_000


@pytest.mark.parametrize("name", ["audio/pcmu", "audio/pcma"])
def test_g711_has_a_byte_a_sample(wire: Wire, name: str) -> None:
    wire.config.update({"audio": {"output": {"format": {"type": name}}}})
    wire.outlet.reply_created(REPLY)
    speak(wire, frames=50)
    wire.outlet.reply_done(REPLY, "completed", None)
    deltas = [event for event in wire.events if event["type"] == "response.output_audio.delta"]
    assert sum(len(base64.b64decode(event["delta"])) for event in deltas) == 8_000
    assert wire.last()["response"]["audio"]["output"]["format"] == {"type": name}


def test_long_audio_goes_in_events_of_bounded_size(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_audio(REPLY, ANSWER, bytes(48_000 * 2 * 30))  # the referee looks at the size of each
    wire.outlet.reply_done(REPLY, "completed", None)
    assert wire.kinds().count("response.output_audio.delta") > 10


def test_an_interrupted_reply_is_closed_and_says_why(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    speak(wire, "Once upon a time")
    wire.outlet.speech_started(TurnId(ItemId("item_turn")), 5000)
    wire.outlet.reply_done(REPLY, "cancelled", "turn_detected")
    assert wire.kinds()[-6:] == SPOKEN_END
    response = wire.last()["response"]
    assert response["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert response["output"][0]["status"] == "incomplete"
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "Once upon a time"}]


def test_a_reason_that_the_protocol_has_no_word_for_is_left_out(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_done(REPLY, "cancelled", "closed")
    assert wire.last()["response"]["status_details"] == {"type": "cancelled"}


def test_a_failed_reply_tells_the_error(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_done(REPLY, "failed", None, error="no model")
    details = wire.last()["response"]["status_details"]
    assert details == {"type": "failed", "error": {"type": "server_error", "message": "no model"}}


def test_a_function_call_is_told_piece_by_piece(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    for delta in ('{"city":', '"Ulm"}'):
        wire.outlet.reply_call(REPLY, ItemId("item_call"), "call_1", "weather", delta)
    wire.outlet.reply_done(REPLY, "completed", None)
    wire.referee.finish()
    assert wire.kinds() == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert wire.events[2]["item"]["arguments"] == ""
    assert wire.last()["response"]["output"][0]["arguments"] == '{"city":"Ulm"}'


def test_a_call_that_was_cut_off_is_not_offered_for_calling(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_call(REPLY, ItemId("item_call"), "call_1", "weather", '{"ci')
    wire.outlet.reply_done(REPLY, "cancelled", "turn_detected")
    assert "response.function_call_arguments.done" not in wire.kinds()
    assert wire.events[-2]["item"]["status"] == "incomplete"


def test_speech_and_then_a_call_are_two_output_items(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    speak(wire, "One moment.")
    wire.outlet.reply_call(REPLY, ItemId("item_call"), "call_1", "weather", "{}")
    wire.outlet.reply_done(REPLY, "completed", None)
    wire.referee.finish()
    assert [item["type"] for item in wire.last()["response"]["output"]] == ["message", "function_call"]
    added = [event for event in wire.events if event["type"] == "conversation.item.added"]
    assert added[1]["previous_item_id"] == ANSWER


def test_a_side_reply_stays_out_of_the_conversation(wire: Wire) -> None:
    plan = wire.config.plan({"conversation": "none", "metadata": {"topic": "x"}, "output_modalities": ["text"]})
    wire.outlet.expect(REPLY, plan)
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_text(REPLY, ANSWER, "Aside.")
    wire.outlet.reply_done(REPLY, "completed", None)
    wire.referee.finish()
    assert not [kind for kind in wire.kinds() if kind.startswith("conversation.")]
    response = wire.last()["response"]
    assert response["conversation_id"] is None
    assert response["metadata"] == {"topic": "x"}
    assert response["output_modalities"] == ["text"]


def test_a_side_reply_may_run_beside_another(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    speak(wire)
    side = ReplyId("resp_side")
    wire.outlet.expect(side, wire.config.plan({"conversation": "none"}))
    wire.outlet.reply_created(side)
    wire.outlet.reply_transcript(side, ItemId("item_side"), "Aside.")
    wire.outlet.reply_audio(REPLY, ANSWER, FRAME)
    wire.outlet.reply_done(REPLY, "completed", None)
    wire.outlet.reply_done(side, "completed", None)
    wire.referee.finish()


def test_what_comes_after_the_end_of_a_reply_is_dropped(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    wire.outlet.reply_done(REPLY, "cancelled", "client_cancelled")
    count = len(wire.events)
    speak(wire)
    wire.outlet.reply_text(REPLY, ANSWER, "late")
    wire.outlet.reply_call(REPLY, ANSWER, "call_1", "f", "{}")
    wire.outlet.reply_done(REPLY, "completed", None)
    assert len(wire.events) == count


def test_a_response_keeps_the_plan_with_which_it_was_asked_for(wire: Wire) -> None:
    wire.outlet.expect(REPLY, wire.config.plan({"audio": {"output": {"voice": "joe"}}, "max_output_tokens": 50}))
    wire.config.update({"audio": {"output": {"voice": "amy"}}})
    wire.outlet.reply_created(REPLY)
    response = wire.last()["response"]
    assert response["audio"]["output"]["voice"] == "joe"
    assert response["max_output_tokens"] == 50


def test_plans_of_refused_replies_are_forgotten(wire: Wire) -> None:
    for number in range(1000):
        wire.outlet.expect(ReplyId(f"resp_{number}"), wire.config.plan({"metadata": {"n": str(number)}}))
    wire.outlet.reply_created(ReplyId("resp_0"))
    assert wire.last()["response"]["metadata"] is None
    wire.outlet.reply_done(ReplyId("resp_0"), "completed", None)
    wire.outlet.reply_created(ReplyId("resp_999"))
    assert wire.last()["response"]["metadata"] == {"n": "999"}


def test_an_interruption_goes_before_the_audio_that_waits(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    speak(wire)
    assert set(wire.media) == {"response.output_audio.delta"}
    wire.outlet.speech_started(TurnId(ItemId("item_turn")), 100)
    assert wire.dropped == 1
    wire.outlet.reply_done(REPLY, "cancelled", "turn_detected")
    assert wire.dropped == 2


def test_a_reply_that_nobody_interrupts_is_sent_whole(wire: Wire) -> None:
    wire.config.update({"turn_detection": {"interrupt_response": False}})
    wire.outlet.reply_created(REPLY)
    speak(wire)
    wire.outlet.speech_started(TurnId(ItemId("item_turn")), 100)
    wire.outlet.reply_done(REPLY, "completed", None)
    assert wire.dropped == 0


def test_audio_on_the_servers_clock_is_sent_whole() -> None:
    wire = Wire(paced=True)
    wire.outlet.reply_created(REPLY)
    speak(wire)
    wire.outlet.speech_started(TurnId(ItemId("item_turn")), 100)
    wire.outlet.reply_done(REPLY, "cancelled", "turn_detected")
    assert wire.dropped == 0


def test_the_audio_of_a_side_reply_is_not_dropped_with_another(wire: Wire) -> None:
    wire.outlet.expect(REPLY, wire.config.plan({"conversation": "none"}))
    wire.outlet.reply_created(REPLY)
    speak(wire)
    assert wire.media == []


def test_retrieved_items_show_what_was_heard(wire: Wire) -> None:
    item = Item(ANSWER, "message", "assistant", text="one two three", audio=True, status="incomplete")
    item.spoken = [Spoken("one", 0, 300), Spoken(" two", 300, 600), Spoken(" three", 600, 900)]
    item.heard_ms = 600
    wire.outlet.item_retrieved(item)
    assert wire.last()["item"]["content"] == [{"type": "output_audio", "transcript": "one two"}]


def test_retrieved_audio_is_capped(wire: Wire) -> None:
    item = Item(ItemId("item_u"), "message", "user", text="long", audio=True, pcm=bytes(16_000 * 2 * 60))
    wire.outlet.item_retrieved(item)  # the referee looks at the size
    content = wire.last()["item"]["content"][0]
    assert content["transcript"] == "long"
    assert len(base64.b64decode(content["audio"])) == 7 * 48_000


def test_the_smaller_events_are_well_formed(wire: Wire) -> None:
    turn = TurnId(ItemId("item_turn"))
    wire.outlet.idle_timeout(turn, 100, 5100)
    wire.outlet.cleared()
    item = Item(ItemId("item_u"), "message", "user", text="hey")
    wire.outlet.item_added(item, None)
    wire.outlet.item_done(item, None)
    wire.outlet.item_truncated(item.id, 0, 340)
    wire.outlet.transcript_failed(TurnId(item.id), "no model")
    wire.outlet.item_deleted(item.id)
    wire.outlet.refused("No", "response_cancel_not_active", "evt_client")
    assert wire.last()["error"]["event_id"] == "evt_client"
    assert wire.last()["error"]["code"] == "response_cancel_not_active"
    output = Item(ItemId("item_o"), "function_call_output", call_id="call_1", output="{}")
    wire.outlet.item_added(output, None)
    wire.outlet.item_done(output, None)
    wire.referee.finish()


MARKS = {
    "speech_end": 0.0,
    "recognizer_final": 94.0,
    "brain_started": 100.0,
    "brain_first_token": 140.0,
    "turn_ended": 200.0,
    "first_clause": 240.0,
    "voice_started": 240.0,
    "voice_first_audio": 255.0,
    "first_sample": 256.0,
    "first_sound": 261.0,
}
FIGURES = {
    "end_of_turn_ms": 200.0,
    "recognizer_ms": 0.0,
    "brain_ms": 0.0,
    "voice_ms": 55.0,
    "server_ms": 6.0,
    "response_ms": 261.0,
}
FLEET = {
    "status": "degraded",
    "missing": ["tts"],
    "workers": [
        {
            "name": "tts",
            "stage": "tts",
            "state": "waiting",
            "active": 0,
            "pid": None,
            "restarts": 1,
            "last_exit": "SIGKILL",
            "models": {"pico": "resident"},
        }
    ],
}


@pytest.mark.parametrize("vendor", [False, True])
def test_events_of_our_own_go_only_to_those_who_asked(vendor: bool) -> None:
    wire = Wire(vendor=vendor)
    turn = TurnId(ItemId("item_t"))
    wire.outlet.state(State.SPEAKING)
    wire.outlet.committed(turn, None)
    wire.outlet.item_added(Item(turn, "message", "user", audio=True), None)
    wire.outlet.reply_created(REPLY)
    wire.outlet.brain(REPLY, "alice")
    wire.outlet.voice(REPLY, ANSWER, "amy")
    wire.outlet.clause(REPLY, ANSWER, "Hello ")
    wire.outlet.clause(REPLY, ANSWER, "there.")
    speak(wire, "Hello ")
    served_by = {"asr": "asr", "llm": None, "tts": "server"}
    balance = Balance(0.12, 1, Work(3, 0.2, 0.1, 0.5)).figures()
    wire.outlet.answered(AnsweredTurn(turn, REPLY, MARKS, FIGURES, True, served_by, balance, balance))
    marks = {"onset": 0.0, "edge": 64.0, "paused": 64.0, "decided": 412.0}
    wire.outlet.barge_in(BargeIn(REPLY, marks, "cut", "wait"))
    wire.outlet.reply_done(REPLY, "cancelled", "turn_detected")
    wire.outlet.clause(REPLY, ANSWER, "a straggler")
    wire.outlet.fleet(FLEET)
    own = [event for event in wire.events if event["type"].startswith("antiphon.")]
    kinds = ["state", "brain", "voice", "clause", "clause", "turn", "barge_in", "fleet"]
    assert [event["type"] for event in own] == [f"antiphon.{kind}" for kind in kinds if vendor]
    if vendor:
        assert own[1] == {**own[1], "response_id": REPLY, "model": "alice"}
        assert own[4] == {**own[4], "response_id": REPLY, "item_id": ANSWER, "text": "there."}
        assert own[5]["marks"] == MARKS
        assert own[5]["served_by"] == served_by
        assert own[5]["work_ahead"] == {**balance, "session": balance}


def test_a_change_of_voice_is_echoed_and_a_reply_goes_by_the_one_it_began_with(wire: Wire) -> None:
    wire.outlet.reply_created(REPLY)
    wire.config.update({"audio": {"output": {"voice": "joe"}}})
    wire.outlet.session_updated()
    assert wire.last()["session"]["audio"]["output"]["voice"] == "joe"
    speak(wire)
    wire.outlet.reply_done(REPLY, "completed", None)
    assert wire.last()["response"]["audio"]["output"]["voice"] == "amy"
    wire.outlet.reply_created(ReplyId("resp_2"))
    assert wire.last()["response"]["audio"]["output"]["voice"] == "joe"
    wire.outlet.reply_done(ReplyId("resp_2"), "completed", None)
    wire.referee.finish()
