"""Does the referee bite? Whole conversations, then the same with one event lost, doubled, late or bent."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from antiphon.core.conversation import Item
from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.sim.referee import FoulError, Referee
from antiphon.sim.vendor_referee import VendorReferee
from antiphon.sim.wire_schema import check_schema
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.offer import Offer
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


@pytest.mark.parametrize(
    "event",
    [
        {"type": "antiphon.state", "state": "asleep"},
        {"type": "antiphon.clause", "response_id": "r", "item_id": "i", "text": ""},
        {"type": "antiphon.clause", "response_id": "r", "item_id": "i", "text": "one", "more": 1},
        {"type": "antiphon.barge_in", "response_id": "r", "outcome": "lost", "words": "", "marks": {}},
        {
            "type": "antiphon.barge_in",
            "response_id": "r",
            "outcome": "cut",
            "words": "",
            "marks": {"onset": 0, "edge": 64, "paused": 30, "decided": 70},
        },
        {"type": "antiphon.record", "session_id": "sess_1", "url": "/elsewhere", "kept_s": 600},
        {"type": "antiphon.mood", "mood": "good"},
    ],
)
def test_bent_events_of_our_own_are_noticed(event: Event) -> None:
    with pytest.raises(FoulError):
        check_schema({"event_id": "e", **event}, vendor=True)


def own(kind: str, **fields: Any) -> Event:
    return {"type": f"antiphon.{kind}", "event_id": f"own_{kind}_{len(fields)}", **fields}


CREATED = {"type": "response.created", "response": {"id": "resp_1"}}
BRAIN = own("brain", response_id="resp_1", model="alice")
VOICE = own("voice", response_id="resp_1", item_id="item_1", voice="amy")
CLAUSE = own("clause", response_id="resp_1", item_id="item_1", text="one")


@pytest.mark.parametrize(
    ("events", "complaint"),
    [
        ([VOICE], "no such response"),
        ([BRAIN], "no such response"),
        ([CREATED, BRAIN, BRAIN], "was told before"),
        ([CREATED, VOICE, CLAUSE, BRAIN], "it comes before the first clause"),
        ([CREATED, BRAIN, CLAUSE], "antiphon.voice comes first"),
        ([CREATED, VOICE, VOICE], "speaks already"),
        (
            [CREATED, VOICE, {**CLAUSE, "item_id": "item_2"}],
            "the item of this response is item_1",
        ),
        ([own("state", state="speaking"), own("state", state="speaking")], "this is the state already"),
        ([own("record")], "right after session.created"),
        (
            [
                CREATED,
                BRAIN,
                VOICE,
                CLAUSE,
                {"type": "response.done", "response": {"id": "resp_1", "status": "completed", "output": []}},
            ],
            "the clauses were 'one'",
        ),
        (
            [
                CREATED,
                own("turn", response_id="resp_1", item_id="t"),
            ],
            "not committed",
        ),
    ],
)
def test_events_of_our_own_have_their_places(events: list[Event], complaint: str) -> None:
    referee = VendorReferee()
    for event in events[:-1]:
        referee.feed(event)
    with pytest.raises(FoulError, match=complaint):
        referee.feed(events[-1])
