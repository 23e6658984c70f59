"""The conversation keeps its order, and the brain knows what was heard and no more."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from antiphon.core.conversation import ROOT, Conversation, Item
from antiphon.core.speech import Message, Spoken
from antiphon.errors import ProtocolError
from antiphon.ids import ItemId


def user(name: str, text: str = "hi") -> Item:
    return Item(ItemId(name), "message", "user", text=text)


def spoken(name: str = "reply") -> Item:
    words = [Spoken("one", 0, 300), Spoken(" two", 300, 600), Spoken(" three.", 600, 1000)]
    return Item(ItemId(name), "message", "assistant", text="one two three.", audio=True, spoken=words)


def ids(conversation: Conversation) -> list[str]:
    return [item.id for item in conversation]


def test_items_go_where_the_client_says() -> None:
    conversation = Conversation()
    assert conversation.add(user("a")) is None
    assert conversation.add(user("b")) == "a"
    assert conversation.add(user("c"), ItemId("a")) == "a"
    assert conversation.add(user("d"), ROOT) is None
    assert ids(conversation) == ["d", "a", "c", "b"]
    assert conversation.before(ItemId("c")) == "a"
    assert conversation.before(ItemId("d")) is None
    assert conversation.last_id() == "b"


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (lambda c: c.get(ItemId("none")), "item_retrieve_invalid_item_id"),
        (lambda c: c.delete(ItemId("none")), "item_delete_invalid_item_id"),
        (lambda c: c.add(user("a")), "item_create_duplicate_item_id"),
        (lambda c: c.add(user("b"), ItemId("none")), "item_create_invalid_previous_item_id"),
        (lambda c: c.truncate(ItemId("a"), 10), "invalid_value"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_wire_s_code(act, code: str) -> None:  # type: ignore[no-untyped-def]
    conversation = Conversation()
    conversation.add(user("a"))
    with pytest.raises(ProtocolError) as refusal:
        act(conversation)
    assert refusal.value.code == code
    assert ids(conversation) == ["a"]


def test_after_a_cut_the_brain_knows_the_words_that_were_heard() -> None:
    conversation = Conversation()
    conversation.add(spoken())
    assert conversation.context() == (Message("assistant", "one two three."),)
    assert conversation.truncate(ItemId("reply"), 700) == 700
    assert conversation.context() == (Message("assistant", "one two"),)


def test_the_client_s_own_report_may_take_back_a_cut() -> None:
    conversation = Conversation()
    item = spoken()
    item.heard_ms = 310.0
    conversation.add(item)
    conversation.truncate(ItemId("reply"), 1000)
    assert conversation.context() == (Message("assistant", "one two three."),)


def test_a_cut_behind_the_end_is_clamped_and_one_before_the_start_leaves_nothing() -> None:
    conversation = Conversation()
    conversation.add(spoken())
    assert conversation.truncate(ItemId("reply"), 99_999) == 1000
    assert conversation.truncate(ItemId("reply"), -5) == 0
    assert conversation.context() == ()


def test_calls_and_their_outputs_are_part_of_the_context() -> None:
    conversation = Conversation()
    conversation.add(Item(ItemId("c"), "function_call", call_id="call_1", name="now", arguments="{}"))
    conversation.add(Item(ItemId("o"), "function_call_output", call_id="call_1", output="noon"))
    call, output = conversation.context()
    assert (call.role, call.name, call.call_id, call.arguments) == ("assistant", "now", "call_1", "{}")
    assert output == Message("tool", "noon", call_id="call_1")


def test_it_forgets_the_oldest_items_and_the_older_audio() -> None:
    conversation = Conversation(max_items=3)
    for name in "abcd":
        item = user(name)
        item.pcm = b"\0\0"
        conversation.add(item)
    assert ids(conversation) == ["b", "c", "d"]
    conversation.keep_audio(1)
    assert [item.pcm for item in conversation] == [None, None, b"\0\0"]


def test_it_forgets_the_oldest_when_all_together_grows_too_large() -> None:
    conversation = Conversation(max_bytes=1000)
    for name in "abc":
        item = user(name, "")
        item.content = ({"type": "input_image", "image_url": "x" * 400},)
        conversation.add(item)
    assert ids(conversation) == ["b", "c"]
    conversation.add(user("large", "x" * 5000))
    assert ids(conversation) == ["large"], "what was just said is kept, whatever its size"


def test_audio_is_for_brains_that_hear() -> None:
    item = user("a", "")
    item.pcm = b"\1\0" * 100
    assert item.message() is None
    assert item.message(hearing=True) == Message("user", "", audio=item.pcm)
    item.speech = False
    assert item.message(hearing=True) is None


def test_audio_is_kept_for_so_many_items_or_so_many_seconds() -> None:
    conversation = Conversation()
    for name in "abcd":
        item = user(name)
        item.pcm = bytes(32_000)
        conversation.add(item)
    conversation.keep_audio(1, seconds=2.5)
    assert [item.pcm is not None for item in conversation] == [False, False, True, True]


@pytest.mark.parametrize(
    ("changed", "lost"),
    [({}, True), ({"text": "hello"}, False), ({"speech": False}, False), ({"audio": False}, False)],
)
def test_an_item_is_lost_where_somebody_spoke_and_nobody_knows_what(changed: dict[str, Any], lost: bool) -> None:
    item = Item(ItemId("a"), "message", "user", audio=True)
    assert replace(item, **changed).lost is lost
    assert not replace(item, role="assistant").lost
