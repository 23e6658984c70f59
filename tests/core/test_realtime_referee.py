"""Does the referee bite? Whole conversations, then the same with one event lost, doubled, late or bent."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from antiphon.core.conversation import Item
from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.sim.referee import FoulError, Referee
from antiphon.sim.wire_schema import check_schema
from antiphon.transport.realtime.config import Offer, SessionConfig
from antiphon.transport.realtime.outlet import RealtimeOutlet

Event = dict[str, Any]


class Tape:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def send(self, data: bytes, *, media: bool = False) -> None:
        self.events.append(orjson.loads(data))

    def drop_media(self) -> None:
        pass


def conversation() -> list[Event]:
    """A spoken turn with its transcript and a spoken answer, a call with its output, a typed answer."""
    tape = Tape()
    config = SessionConfig(Offer(), session_id="sess_1", expires_at=1_800_000_000)
    config.update({"audio": {"input": {"transcription": {}}}})
    outlet = RealtimeOutlet(config, tape, conversation_id="conv_1")
    outlet.session_created()
    outlet.session_updated()
    turn = TurnId(ItemId("item_turn"))
    outlet.speech_started(turn, 100)
    outlet.transcript_delta(turn, "Weather?")
    outlet.speech_stopped(turn, 900)
    outlet.committed(turn, None)
    said = Item(ItemId(turn), "message", "user", audio=True)
    outlet.item_added(said, None)
    outlet.item_done(said, None)
    outlet.transcript_completed(turn, "Weather?", 0.8)
    spoken = ReplyId("resp_spoken")
    outlet.reply_created(spoken)
    outlet.reply_transcript(spoken, ItemId("item_spoken"), "One moment.")
    outlet.reply_audio(spoken, ItemId("item_spoken"), bytes(1920 * 5))
    outlet.reply_call(spoken, ItemId("item_call"), "call_1", "weather", '{"at":"Ulm"}')
    outlet.reply_done(spoken, "completed", None)
    output = Item(ItemId("item_output"), "function_call_output", call_id="call_1", output="sun")
    outlet.item_added(output, ItemId("item_call"))
    outlet.item_done(output, ItemId("item_call"))
    written = ReplyId("resp_written")
    outlet.expect(written, config.plan({"output_modalities": ["text"]}))
    outlet.reply_created(written)
    outlet.reply_text(written, ItemId("item_written"), "Sunny.")
    outlet.reply_done(written, "completed", None)
    return tape.events


CONVERSATION = conversation()

UNCOUNTED = {  # one more or one less cannot be seen
    "session.updated",  # the client asked for it, and the referee is not told so here
    "conversation.item.input_audio_transcription.delta",  # the transcript says it all once more
    "response.output_audio.delta",  # nothing else says how long the audio is
}


def judge(events: list[Event]) -> None:
    referee = Referee()
    for event in events:
        referee.feed(event)
    referee.finish()


def labels(events: list[Event]) -> list[str]:
    return [f"{index}-{event['type']}" for index, event in enumerate(events)]


def test_a_conversation_in_order_is_let_through() -> None:
    judge(CONVERSATION)


@pytest.mark.parametrize("index", range(len(CONVERSATION)), ids=labels(CONVERSATION))
def test_one_event_lost_is_noticed(index: int) -> None:
    rest = CONVERSATION[:index] + CONVERSATION[index + 1 :]
    if CONVERSATION[index]["type"] in UNCOUNTED:
        judge(rest)
    else:
        with pytest.raises(FoulError):
            judge(rest)


@pytest.mark.parametrize("index", range(len(CONVERSATION)), ids=labels(CONVERSATION))
def test_one_event_doubled_is_noticed(index: int) -> None:
    doubled = copy.deepcopy(CONVERSATION)
    again = {**doubled[index], "event_id": "event_again"}
    doubled.insert(index + 1, again)
    if again["type"] in UNCOUNTED:
        judge(doubled)
    else:
        with pytest.raises(FoulError):
            judge(doubled)


@pytest.mark.parametrize("index", range(len(CONVERSATION)), ids=labels(CONVERSATION))
def test_a_field_of_our_own_is_noticed(index: int) -> None:
    with pytest.raises(FoulError, match="does not have"):
        check_schema({**CONVERSATION[index], "antiphon": True})


def bent(kind: str, **changes: Any) -> Event:
    event = copy.deepcopy(next(event for event in CONVERSATION if event["type"] == kind))
    event.update(changes)
    return event


@pytest.mark.parametrize(
    "event",
    [
        bent("input_audio_buffer.speech_started", audio_start_ms=100.5),
        bent("input_audio_buffer.speech_started", audio_start_ms="100"),
        bent("input_audio_buffer.committed", item_id=None),
        bent("response.done", response={**bent("response.done")["response"], "status": "finished"}),
        bent("conversation.item.added", item={**bent("conversation.item.added")["item"], "mood": "good"}),
        bent("response.output_audio.delta", delta="A" * 600_000),
        {"type": "antiphon.state", "event_id": "e", "state": "idle"},
        {"type": "response.finished", "event_id": "e"},
        {"event_id": "e"},
    ],
)
def test_bent_events_are_noticed(event: Event) -> None:
    with pytest.raises(FoulError):
        check_schema(event)


def test_half_a_sample_is_noticed() -> None:
    events = [
        {**event, "delta": "AAAA"} if event["type"] == "response.output_audio.delta" else event
        for event in CONVERSATION
    ]
    with pytest.raises(FoulError, match="half a sample"):
        judge(events)


def test_two_replies_at_once_are_noticed() -> None:
    referee = Referee()
    created = [event for event in CONVERSATION if event["type"] == "response.created"]
    referee.feed(CONVERSATION[0])
    referee.feed(created[0])
    with pytest.raises(FoulError, match="not done yet"):
        referee.feed(created[1])


def test_nothing_may_come_before_the_first_answer_to_the_client() -> None:
    referee = Referee()
    referee.feed(CONVERSATION[0])
    referee.client({"type": "session.update"})
    with pytest.raises(FoulError, match="before the first session"):
        referee.feed(CONVERSATION[2])


def test_events_of_our_own_are_fine_where_they_were_asked_for() -> None:
    check_schema({"type": "antiphon.state", "event_id": "e", "state": "idle"}, vendor=True)


def test_errors_are_collected() -> None:
    referee = Referee()
    referee.feed(CONVERSATION[0])
    error = {"type": "invalid_request_error", "message": "No", "code": None, "param": None, "event_id": None}
    referee.feed({"type": "error", "event_id": "e", "error": error})
    assert referee.errors == [error]
