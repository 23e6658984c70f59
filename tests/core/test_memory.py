"""What a language model is given of a long conversation."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.conversation import Item
from antiphon.core.memory import IMAGE_TOKENS, KEEP, MESSAGE_TOKENS, SUMMARIZE_AT, Memory, request_tokens, tokens_of
from antiphon.core.segments import Segment
from antiphon.core.settings import Tool
from antiphon.core.speech import BrainRequest, Message
from antiphon.ids import ItemId

WORDS = "x" * 84
"""A message of these takes 25 tokens."""


def said(number: int, role: str, text: str = WORDS) -> Item:
    assert role in ("user", "assistant", "system")
    return Item(ItemId(f"item_{number}"), "message", role, text=text)  # type: ignore[arg-type]


def call(number: int, call_id: str) -> Item:
    return Item(ItemId(f"item_{number}"), "function_call", call_id=call_id, name="look", arguments="{}")


def result(number: int, call_id: str) -> Item:
    return Item(ItemId(f"item_{number}"), "function_call_output", call_id=call_id, output="blue")


def turns(count: int) -> list[Item]:
    """Each takes 50 tokens."""
    return [said(2 * turn + half, ("user", "assistant")[half]) for turn in range(count) for half in (0, 1)]


def context(memory: Memory, items: Iterable[Item]) -> tuple[Message, ...]:
    given = (item.message() for item in memory.given(items))
    return (*memory.preface, *(message for message in given if message is not None))


def tokens(messages: Iterable[Message]) -> float:
    return sum(map(tokens_of, messages))


def test_what_a_message_takes() -> None:
    assert tokens_of(Message("user", WORDS)) == 25
    assert tokens_of(Message("assistant", name="look", arguments="{at}")) == MESSAGE_TOKENS + 2
    assert tokens_of(Message("user", images=("data:image/png;base64,AAAA",))) == MESSAGE_TOKENS + IMAGE_TOKENS
    tool = Tool("look", "Looks around.", {"type": "object"})
    assert request_tokens(BrainRequest((Message("user", WORDS),), (tool,))) == 25 + (4 + 13 + 18) / 4


def test_a_short_conversation_is_given_as_it_is() -> None:
    memory, items = Memory(1000), turns(4)
    assert context(memory, items) == tuple(Message(item.role or "", WORDS) for item in items)
    assert memory.due(items) is None


def test_beyond_the_budget_the_oldest_turns_are_left_out_whole() -> None:
    memory, items = Memory(170), turns(10)
    assert [message.role for message in context(memory, items)] == ["user", "assistant"] * 3
    assert len(context(Memory(10), items)) == 2, "the newest turn is given, whatever it takes"


def test_a_summary_is_due_before_anything_is_left_out_and_leaves_room() -> None:
    memory, items = Memory(1000), turns(17)
    assert memory.due(items[:-2]) is None
    due = memory.due(items)
    assert due is not None
    assert len(items) * 25 >= SUMMARIZE_AT * 1000
    assert list(due.items) == [item.id for item in items[: len(due.items)]]
    assert (len(items) - len(due.items)) * 25 <= KEEP * 1000
    memory.summarized(due, " The user likes x. ")
    told = context(memory, items)
    assert told[0] == Message("system", "Notes of the conversation so far:\nThe user likes x.")
    assert len(told) == 1 + len(items) - len(due.items)
    assert memory.due(items) is None


def test_the_next_summary_takes_the_notes_over() -> None:
    memory, items = Memory(1000), turns(40)
    first = memory.due(items[:34])
    assert first is not None
    memory.summarized(first, "Notes one.")
    second = memory.due(items)
    assert second is not None
    assert second.notes == "Notes one."
    assert not set(first.items) & set(second.items)
    system, user = second.request(memory.words)
    assert f"at most {memory.words} words" in system.text
    assert user.text.startswith("Notes so far:\nNotes one.\n\nConversation:\nUser: xxx")


def test_what_could_not_be_summarized_is_let_go() -> None:
    memory, items = Memory(1000), turns(17)
    due = memory.due(items)
    assert due is not None
    memory.let_go(due)
    assert memory.notes == ""
    assert len(context(memory, items)) == len(items) - len(due.items)


def test_a_call_and_its_result_stay_together() -> None:
    items = [said(0, "user"), call(1, "c"), said(2, "user"), result(3, "c"), said(4, "user"), said(5, "assistant")]
    for budget in range(10, 200):
        told = context(Memory(budget), items)
        assert sum(message.call_id == "c" for message in told) in (0, 2)
    due = Memory(100).due(items)
    assert due is not None
    assert [message.call_id for message in due.messages].count("c") == 2
    assert "Assistant calls look({})\nUser: " in due.request(50)[1].text
    assert "Result: blue" in due.request(50)[1].text


def test_a_result_whose_call_is_gone_is_not_given() -> None:
    memory, items = Memory(100), [said(0, "user"), call(1, "c"), *turns(8)[2:]]
    due = memory.due(items)
    assert due is not None
    memory.summarized(due, "It looks.")
    assert all(message.role != "tool" for message in context(memory, [*items, result(99, "c")]))


def test_what_the_client_laid_down_is_always_given() -> None:
    items = [said(100, "system", "You are in Basel."), *turns(10)]
    memory = Memory(170)
    assert context(memory, items)[0] == Message("system", "You are in Basel.")
    due = memory.due(items)
    assert due is not None
    assert ItemId("item_100") not in due.items
    memory.summarized(due, "Notes.")
    assert [message.text for message in context(memory, items)][:2] == [
        "Notes of the conversation so far:\nNotes.",
        "You are in Basel.",
    ]


@pytest.mark.parametrize(("counted", "left"), [(500, 6), (1000, 3), (5, 10)])
def test_a_model_that_counts_is_believed(counted: int, left: int) -> None:
    memory, items = Memory(300), turns(10)
    memory.counted(tokens([Message("user", WORDS)] * 20), counted)
    assert len(context(memory, items)) == 2 * left


def test_a_count_of_nothing_says_nothing() -> None:
    memory = Memory(170)
    memory.counted(0, 100)
    memory.counted(25, 0)
    assert len(context(memory, turns(10))) == 6


def test_what_was_heard_counts_and_not_what_was_to_be_said() -> None:
    cut = said(1, "assistant")
    cut.heard_ms = 0.0
    assert context(Memory(1000), [said(0, "user"), cut]) == (Message("user", WORDS),)


ITEMS = st.lists(
    st.tuples(
        st.sampled_from(["user", "assistant", "system", "call", "result"]), st.integers(0, 3), st.integers(1, 400)
    ),
    max_size=40,
)


@given(ITEMS, st.integers(1, 400))
def test_whatever_is_said_the_context_keeps_the_rules(spec: list[tuple[str, int, int]], budget: int) -> None:
    items: list[Item] = []
    for number, (kind, which, length) in enumerate(spec):
        if kind == "call":
            items.append(call(number, f"c{which}"))
        elif kind == "result":
            items.append(result(number, f"c{which}"))
        else:
            items.append(said(number, kind, "y" * length))
    memory = Memory(budget)
    for _ in range(3):
        due = memory.due(items)
        if due is not None:
            memory.summarized(due, "z" * 40)
        told = context(memory, items)
        calls = {message.call_id for message in told if message.name}
        assert all(message.call_id in calls for message in told if message.role == "tool")
        laid_down = [item.text for item in items if item.role == "system"]
        texts = [message.text for message in told if message.role == "system"]
        assert texts[len(texts) - len(laid_down) :] == laid_down
        newest = [item for item in items if item.role == "user"][-1:]
        assert all(item.message() in told for item in newest)


def test_who_said_what_goes_into_the_notes_where_several_speak() -> None:
    items = turns(17)
    for number, item in enumerate(items[::2]):
        item.segments = (Segment(("Ann", "Ben")[number % 2], item.text, 0, 1000),)
    due = Memory(1000).due(items)
    assert due is not None
    assert [message.text[:6] for message in due.messages[:3:2]] == ["[Ann]:", "[Ben]:"]


def test_a_very_long_conversation_is_weighed_once() -> None:
    """Not once for each turn that is left out: that would hold up everybody else."""
    weighed = 0

    class Weighed(Item):
        def message(self, *, with_speakers: bool = False, hearing: bool = False) -> Message | None:
            nonlocal weighed
            weighed += 1
            return super().message(with_speakers=with_speakers, hearing=hearing)

    items: list[Item] = [Weighed(item.id, item.kind, item.role, text=item.text) for item in turns(500)]
    assert len(Memory(100).given(items)) == 4
    assert weighed <= 2 * len(items)
