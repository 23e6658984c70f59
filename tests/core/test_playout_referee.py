"""Does the referee of calls bite? A reply that is heard to its end and one that is cut, then the same with a fault."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from antiphon.ids import ItemId, ReplyId, TurnId
from antiphon.sim.referee import FoulError, Referee
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


def told(*, mouth: bool = True) -> list[Event]:
    tape, frames = Tape(), list[bytes]()
    config = SessionConfig(Offer(), session_id="sess_1", expires_at=1_800_000_000, paced=True)
    outlet = RealtimeOutlet(config, tape, conversation_id="conv_1", mouth=frames.append if mouth else None)
    outlet.session_created()
    for name in ("whole", "cut"):
        reply, item = ReplyId(f"resp_{name}"), ItemId(f"item_{name}")
        outlet.reply_created(reply)
        outlet.reply_audio(reply, item, bytes(1920))
        outlet.reply_transcript(reply, item, "One ")
        outlet.playout_started(reply)
        outlet.reply_audio(reply, item, bytes(1920))
        outlet.reply_transcript(reply, item, "moment.")
        if name == "whole":
            outlet.reply_done(reply, "completed", None)
            outlet.playout_stopped(reply)
        else:
            turn = TurnId(ItemId("item_turn"))
            outlet.speech_started(turn, 100)
            outlet.reply_done(reply, "cancelled", "turn_detected")
            outlet.playout_cut(reply, item, 40)
            outlet.speech_stopped(turn, 200)
    assert len(frames) == (4 if mouth else 0)
    return tape.events


CALL = told()


def judge(events: list[Event], **options: Any) -> None:
    referee = Referee(**(options or {"call": True}))
    for event in events:
        referee.feed(event)
    referee.finish()


def places(*kinds: str) -> list[int]:
    return [index for index, event in enumerate(CALL) if event["type"] in kinds]


PLAYOUT = places(
    "output_audio_buffer.started",
    "output_audio_buffer.stopped",
    "output_audio_buffer.cleared",
)


def test_a_call_in_order_is_let_through() -> None:
    judge(CALL)
    judge(CALL[1:], sideband=True)


def test_a_sideband_is_not_welcomed() -> None:
    with pytest.raises(FoulError, match="sideband"):
        judge(CALL, sideband=True)


def test_nobody_else_is_told_what_is_heard() -> None:
    judge(told(mouth=False), vendor=False)
    with pytest.raises(FoulError, match="only a client of a call"):
        judge(CALL, vendor=False)


def test_the_audio_of_a_call_is_no_event() -> None:
    with pytest.raises(FoulError, match="no event"):
        judge(told(mouth=False), call=True)


@pytest.mark.parametrize("index", [*PLAYOUT, *places("conversation.item.truncated")])
def test_one_event_lost_is_noticed(index: int) -> None:
    with pytest.raises(FoulError):
        judge(CALL[:index] + CALL[index + 1 :])


@pytest.mark.parametrize("index", PLAYOUT)
def test_one_event_doubled_is_noticed(index: int) -> None:
    with pytest.raises(FoulError):
        judge([*CALL[: index + 1], {**CALL[index], "event_id": "event_again"}, *CALL[index + 1 :]])


@pytest.mark.parametrize("index", PLAYOUT)
@pytest.mark.parametrize("other", ["output_audio_buffer.stopped", "output_audio_buffer.cleared"])
def test_one_event_for_another_is_noticed(index: int, other: str) -> None:
    if CALL[index]["type"] != other:
        with pytest.raises(FoulError):
            judge([*CALL[:index], {**CALL[index], "type": other}, *CALL[index + 1 :]])


def test_sound_before_words_is_noticed() -> None:
    started = PLAYOUT[0]
    with pytest.raises(FoulError, match="first words"):
        judge([*CALL[: started - 1], CALL[started], CALL[started - 1], *CALL[started + 1 :]])


def test_an_end_before_the_reply_is_done_is_noticed() -> None:
    (stopped,) = places("output_audio_buffer.stopped")
    with pytest.raises(FoulError, match=r"response\.done comes first"):
        judge([*CALL[: stopped - 1], CALL[stopped], CALL[stopped - 1], *CALL[stopped + 1 :]])
