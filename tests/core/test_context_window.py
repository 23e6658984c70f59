from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.speech import Message
from antiphon.engines.context_window import MESSAGE_TOKENS, within

SYSTEM = Message("system", "be brief")


def count(text: str) -> int:
    return len(text.split())


def size(messages: tuple[Message, ...]) -> int:
    return sum(MESSAGE_TOKENS + count(message.text) for message in messages)


def turns(number: int, words: int = 10) -> list[Message]:
    """Of a user who says so many words each time, and an agent that says as many."""
    said = [f"{turn} " + "word " * (words - 1) for turn in range(number)]
    return [Message(role, text) for text in said for role in ("user", "assistant")]


def test_what_fits_is_left_alone() -> None:
    messages = (SYSTEM, *turns(5))
    assert within(messages, 1000, count) == messages


def test_the_instructions_and_the_newest_stay() -> None:
    messages = (SYSTEM, *turns(50))
    kept = within(messages, 400, count)
    assert kept[0] == SYSTEM
    assert kept[1:] == messages[-len(kept) + 1 :]
    assert kept[1].role == "user"
    assert size(kept) <= 400


def test_a_step_frees_half_and_comes_seldom() -> None:
    """Appending message by message: the beginning changes only in large steps, so few words are read twice."""
    messages = turns(200)
    begins: list[Message] = []
    read_again = 0
    for number in range(1, len(messages) + 1):
        kept = within((SYSTEM, *messages[:number]), 600, count)
        assert size(kept) <= 600
        if not begins or kept[1] != begins[-1]:
            read_again += size(kept) if begins else 0
            begins.append(kept[1])
    assert len(begins) <= size(tuple(messages)) / 250, "some 300 tokens are freed each time"
    assert read_again <= 1.1 * size(tuple(messages))


def test_a_long_message_loses_its_beginning() -> None:
    said = " ".join(str(number) for number in range(3000))
    kept = within((SYSTEM, Message("user", said)), 400, count)
    assert len(kept) == 2
    assert said.endswith(kept[1].text)
    assert 150 < count(kept[1].text) <= 400


def test_lines_begin_with_their_speaker() -> None:
    said = "\n".join(f"[Ann]: {number} and so on and on" for number in range(200))
    kept = within((SYSTEM, Message("user", said)), 300, count)
    assert kept[1].text.startswith("[Ann]: ")


def test_one_more_word_keeps_the_beginning() -> None:
    """Word by word over half an hour of speech without an answer: the beginning moves some times, not each time."""
    words = [f"word{number}" for number in range(4500)]
    begins = set()
    for number in range(1, len(words), 7):
        kept = within((SYSTEM, Message("user", " ".join(words[:number]))), 500, count)
        assert size(kept) <= 500
        begins.add(kept[1].text.split()[0])
    assert len(begins) <= 4500 // 200


def test_calls_are_weighed_and_results_do_not_come_first() -> None:
    calls = [
        message
        for turn in turns(30)
        for message in (turn, Message("assistant", call_id="c", name="f", arguments="a b c"), Message("tool", "x y z"))
    ]
    kept = within((SYSTEM, *calls), 300, count)
    assert kept[1].role == "user"
    assert size(kept) <= 300


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant"]), st.integers(0, 80)), max_size=40), st.integers(150, 900)
)
def test_it_is_the_end_of_the_conversation(said: list[tuple[str, int]], limit: int) -> None:
    messages = tuple(Message(role, " ".join(["w"] * words)) for role, words in said)
    kept = within((SYSTEM, *messages), limit, count)
    assert kept[0] == SYSTEM
    rest = kept[1:]
    if rest:
        assert rest[1:] == messages[len(messages) - len(rest) + 1 :]
        assert messages[len(messages) - len(rest)].text.endswith(rest[0].text)
        assert rest[0].role == messages[len(messages) - len(rest)].role
    assert bool(rest) == bool(messages)
