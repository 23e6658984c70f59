"""What a listening brain knows, and the messages that it makes: they only grow, but for what turned out otherwise."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.conversation import Item
from antiphon.core.mind import PENDING, Mind
from antiphon.core.speech import Message
from antiphon.core.tool_tags import ToolTags
from antiphon.core.writing import Call, Said, SpeakBegan, SpeakEnded, Thought
from antiphon.ids import ItemId, ReplyId, TurnId

ONE, TWO = TurnId(ItemId("turn_1")), TurnId(ItemId("turn_2"))
REPLY, OTHER = ReplyId("resp_1"), ReplyId("resp_2")


def run(mind: Mind, writing: str, *replies: ReplyId) -> None:
    """A run of writing; what is said in it goes to the replies, one after the other."""
    spans = iter(replies)
    span: ReplyId | None = None
    mind.begin()
    tags = ToolTags()
    for event in [*tags.push(writing), *tags.finish()]:
        if isinstance(event, SpeakBegan):
            span = next(spans)
        mind.write(event, span if isinstance(event, SpeakBegan | Said | SpeakEnded) else None)
    mind.end()


def pairs(mind: Mind) -> list[tuple[str, str]]:
    return [(message.role, message.text) for message in mind.messages()]


def test_words_of_a_turn_are_one_line_and_speakers_are_named() -> None:
    mind = Mind()
    mind.hear(ONE, ("what", "is"), "Ada")
    mind.hear(ONE, ("it?",), "Ada")
    mind.hear(TWO, ("hm",), "Ben")
    assert pairs(mind) == [("user", "[Ada]: what is it?\n[Ben]: hm")]
    assert mind.unanswered


def test_who_speaks_may_be_known_after_the_first_words() -> None:
    mind = Mind()
    mind.hear(ONE, ("what", "is"))
    mind.hear(ONE, ("it?",), "Ada")
    mind.hear(ONE, ("well?",))
    mind.hear(ONE, ("hm",), "Ben")
    assert pairs(mind) == [("user", "[Ada]: what is it? well?\n[Ben]: hm")]


def test_each_run_of_writing_is_a_message_of_its_own() -> None:
    mind = Mind()
    mind.hear(ONE, ("tell", "me"))
    run(mind, "Not yet.")
    mind.hear(ONE, ("the", "time"))
    run(mind, "<speak>Noon.</speak>", REPLY)
    assert pairs(mind) == [
        ("user", "tell me"),
        ("assistant", "Not yet."),
        ("user", "the time"),
        ("assistant", "<speak>Noon.</speak>"),
    ]
    assert not mind.unanswered


def test_who_yields_leaves_no_trace() -> None:
    mind = Mind()
    mind.hear(ONE, ("tell", "me"))
    run(mind, "")
    mind.hear(ONE, ("the", "time"))
    assert pairs(mind) == [("user", "tell me the time")]


def test_words_are_taken_back_where_they_stand() -> None:
    mind = Mind()
    mind.hear(ONE, ("for", "you"))
    run(mind, "For me?")
    mind.hear(ONE, ("and",))
    mind.retract(ONE, 2)
    mind.hear(ONE, ("ewe",))
    assert pairs(mind) == [("user", "for"), ("assistant", "For me?"), ("user", "ewe")]
    mind.drop(ONE)
    assert pairs(mind) == [("assistant", "For me?")]


def test_the_end_of_a_turn_is_told_where_it_is_to_be() -> None:
    mind = Mind(mark_silence=True)
    mind.silence(ONE)  # nothing was heard in it
    mind.hear(ONE, ("so",), "Ada")
    mind.silence(ONE)
    mind.hear(TWO, ("and",), "Ada")
    run(mind, "Hm.")
    mind.silence(TWO)
    assert pairs(mind) == [
        ("user", "[Ada]: so [silence]\n[Ada]: and"),
        ("assistant", "Hm."),
        ("user", "[silence]"),
    ]


FORMS = [
    "<speak>{}</speak>",
    '<tool_call>\n{{"name": "speak", "arguments": {{"text": "{}"}}}}\n</tool_call>',
    '<tool_call>{{"name": "speak", "arguments": {{}}}}</tool_call>{}'
    '<tool_call>\n{{"name": "stop_speaking", "arguments": {{}}}}\n</tool_call>',
]


@pytest.mark.parametrize("form", FORMS)
def test_what_was_cut_reads_as_if_no_more_had_been_written(form: str) -> None:
    mind, fresh = Mind(), Mind()
    for each in (mind, fresh):
        each.hear(ONE, ("tell", "me"))
    run(mind, "So. " + form.format("one two three four"), REPLY)
    run(fresh, "So. " + form.format("one two"), REPLY)
    mind.cut(REPLY, "one two")
    assert mind.messages() == fresh.messages()
    mind.cut(REPLY, "one two")
    assert mind.messages() == fresh.messages()
    mind.cut(REPLY, "")
    assert pairs(mind) == [("user", "tell me"), ("assistant", "So. ")]


def test_what_was_heard_to_its_end_stays_as_it_was_written() -> None:
    mind = Mind()
    run(mind, "<speak> one two </speak> Done.", REPLY)
    mind.cut(REPLY, "one two")
    assert pairs(mind) == [("assistant", "<speak> one two </speak> Done.")]


def test_a_cut_within_a_json_text_stays_json() -> None:
    mind = Mind()
    text = 'He said "go" and went'
    run(mind, "<tool_call>" + json.dumps({"name": "speak", "arguments": {"text": text}}) + "</tool_call>", REPLY)
    mind.cut(REPLY, 'He said "go"')
    written = mind.messages()[0].text
    assert json.loads(written.removeprefix("<tool_call>").removesuffix("</tool_call>")) == {
        "name": "speak",
        "arguments": {"text": 'He said "go"'},
    }


def test_what_was_thrown_away_takes_what_came_after_it_along() -> None:
    mind = Mind()
    mind.hear(ONE, ("tell", "me"))
    run(mind, "A thought. <speak>one</speak> then <speak>two</speak>", REPLY, OTHER)
    mind.cut_back(OTHER)
    assert pairs(mind)[1] == ("assistant", "A thought. <speak>one</speak> then ")
    mind.cut_back(REPLY)
    assert pairs(mind)[1] == ("assistant", "A thought. ")
    mind.hear(ONE, ("more",))
    run(mind, "<speak>three</speak>", REPLY)
    mind.cut_back(REPLY)
    assert pairs(mind)[2:] == [("user", "more")]
    assert mind.unanswered


def test_words_that_are_heard_during_a_run_come_after_it() -> None:
    mind = Mind()
    mind.begin()
    mind.write(SpeakBegan("<speak>"), REPLY)
    mind.write(Said("one ", "one "), REPLY)
    mind.hear(ONE, ("wait",))
    mind.write(Said("two", "two"), REPLY)
    mind.write(SpeakEnded(""), REPLY)
    mind.end()
    assert pairs(mind) == [("assistant", "<speak>one two</speak>"), ("user", "wait")]
    assert mind.unanswered


def test_a_functions_result_stands_behind_its_call_whenever_it_comes() -> None:
    mind = Mind()
    mind.hear(ONE, ("weather",))
    mind.begin()
    mind.write(Thought("Let me see."))
    mind.write(Call("weather", "{}", "", "call_1"), REPLY)
    mind.end()
    call = Message("assistant", call_id="call_1", name="weather", arguments="{}")
    assert mind.messages()[2:] == (call, Message("tool", PENDING, call_id="call_1"))
    mind.hear(TWO, ("well",))
    mind.note(Item(ItemId("i"), "function_call_output", call_id="call_1", output="sunny"))
    assert mind.messages()[2:] == (call, Message("tool", "sunny", call_id="call_1"), Message("user", "well"))
    mind.cut(REPLY, "")  # cut speech does not undo what was done
    assert call in mind.messages()


def test_items_of_the_client_have_their_place_and_can_be_taken_away() -> None:
    mind = Mind()
    mind.hear(ONE, ("hello",))
    mind.note(Item(ItemId("typed"), "message", "user", text="a typed line"))
    mind.note(Item(ItemId("rule"), "message", "system", text="Be brief."), front=True)
    assert pairs(mind) == [("system", "Be brief."), ("user", "hello"), ("user", "a typed line")]
    mind.forget(ItemId("typed"))
    mind.forget(ItemId("rule"))
    mind.forget(ONE)
    assert pairs(mind) == []
    assert not mind.unanswered


def test_the_older_half_is_forgotten_in_one_step() -> None:
    mind = Mind(max_words=100)
    lengths, first = [], []
    for number in range(200):
        mind.hear(TurnId(ItemId(f"turn_{number}")), ("some", "five", "words", "or", str(number)))
        run(mind, "A thought or two.")
        lengths.append(sum(len(text.split()) for _, text in pairs(mind)))
        first.append(pairs(mind)[0])
    assert max(lengths) <= 110
    assert {role for role, _ in first} == {"user"}
    assert len(set(first)) < 40  # in most steps the beginning stays, and with it what a model has read


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("hear"), st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3)),
        st.tuples(st.just("write"), st.sampled_from(["", "Hm.", "<speak>one two</speak>", "Hm. <speak>one"])),
        st.tuples(st.just("silence"), st.just("")),
    ),
    max_size=20,
)


@given(STEPS)
def test_as_long_as_nothing_is_taken_back_it_only_grows(steps: list[tuple[str, list[str] | str]]) -> None:
    mind = Mind(mark_silence=True)
    before = ""
    for number, (step, what) in enumerate(steps):
        turn = TurnId(ItemId(f"turn_{number // 4}"))
        match step:
            case "hear":
                mind.hear(turn, tuple(what))
            case "write":
                run(mind, str(what), ReplyId(f"resp_{number}"))
            case _:
                mind.silence(turn)
        now = "".join(f"<{role}>{text}" for role, text in pairs(mind))
        assert now.startswith(before)
        before = now
