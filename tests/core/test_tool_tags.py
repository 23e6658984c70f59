"""What is said and what is private, whatever form a model writes in and however its writing is cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.speech import ToolCallDelta
from antiphon.core.tool_tags import ToolTags
from antiphon.core.writing import Call, Event, Markup, PlainWriting, Said, SpeakBegan, SpeakEnded, Stopped, Thought

Fragment = str | ToolCallDelta


def read(fragments: Iterable[Fragment], *, cut: bool = False) -> list[Event]:
    tags = ToolTags()
    events: list[Event] = []
    for fragment in fragments:
        events += tags.push(fragment) if isinstance(fragment, str) else tags.push_call(fragment)
    return events + tags.finish(cut=cut)


def plainly(events: Sequence[Event]) -> list[tuple[str, str]]:
    """The events as pairs; neighbours of a kind as one, markup left out."""
    pairs: list[tuple[str, str]] = []
    for event in events:
        match event:
            case Thought(text):
                pair = ("thinks", text)
            case Said(text):
                pair = ("says", text)
            case SpeakBegan():
                pair = ("begins", "")
            case SpeakEnded():
                pair = ("ends", "")
            case Stopped():
                pair = ("stops", "")
            case Call(name, arguments):
                pair = (f"calls {name}", json.dumps(json.loads(arguments)))
            case Markup():
                continue
        if pairs and pair[0] == pairs[-1][0] and pair[0] in ("thinks", "says"):
            pairs[-1] = (pair[0], pairs[-1][1] + pair[1])
        else:
            pairs.append(pair)
    return pairs


def span(text: str) -> list[tuple[str, str]]:
    return [("begins", ""), *([("says", text)] if text else []), ("ends", "")]


def call(name: str, **arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


STOP = call("stop_speaking")
HELLO = span("Hello there.")


@pytest.mark.parametrize(
    "writing",
    [
        "<speak>Hello there.</speak>",
        call("speak", text="Hello there."),
        call("speak") + "Hello there." + STOP,
        call("speak") + "Hello there.</speak>",
        '<tool_call>{"arguments": {"text": "Hello there."}, "name": "speak"}</tool_call>',
        '<tool_call>{"name": "speak", "arguments": "{\\"text\\": \\"Hello there.\\"}"}</tool_call>',
        '<tool_call>{"name": "speak", "parameters": {"text": "Hello there."}}</tool_call>',
        '<tool_call>{"name" :"speak","arguments":{ "text":"Hello there.", "tone": "warm"}}</tool_call>',
        "<speak><speak>Hello there.</speak>",
        "<speak>Hello <speak>there.</speak>",
        "<speak>Hello " + call("speak") + "there.</speak>",
        "<speak>Hello there.",
        "<speak>Hello there.</spe",
        '<tool_call>{"name": "speak", "arguments": {"text": "Hello there.',
        '<tool_call>{"name": "speak", "arguments": {"text": "Hello there.</tool_call>',
        '<tool_call>{"name": "speak", "arguments": {"text": "Hello there."',
        "<speak>Hello <think>am I right?</think>there.</speak>",
        '<tool_call>{"name": "speak", "arguments": {"text": "Hello there."}}',
    ],
)
def test_every_form_says_the_same(writing: str) -> None:
    for fragments in ([writing], list(writing)):
        said = [pair for pair in plainly(read(fragments)) if pair[0] != "thinks"]
        assert [text for kind, text in said if kind == "says"] in (["Hello there."], ["Hello ", "there."])
        assert (said[0], said[-1]) == (("begins", ""), ("ends", ""))


@pytest.mark.parametrize("pieces", [1, 3, 60])
def test_native_calls_say_the_same(pieces: int) -> None:
    arguments = json.dumps({"text": 'Hello "there".'})
    size = max(1, len(arguments) // pieces)
    cut = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    events = read([ToolCallDelta("c1", "speak", each) for each in cut])
    assert plainly(events) == span('Hello "there".')
    raw = "".join(event.raw for event in events)
    assert plainly(read([raw])) == span('Hello "there".')


def test_native_speech_in_other_forms() -> None:
    late = ToolCallDelta("c1", "speak", '{"tone": "warm", "text": "Hello there."}')
    assert plainly(read([late])) == HELLO
    pair: list[Fragment] = [
        ToolCallDelta("c1", "speak", ""),
        "Hello there.",
        ToolCallDelta("c2", "stop_speaking", "{}"),
    ]
    assert plainly(read(pair)) == HELLO
    unclosed = ToolCallDelta("c1", "speak", '{"text": "Hello there.')
    assert plainly(read([unclosed])) == HELLO
    broken = ToolCallDelta("c1", "speak", '{"text": Hello')
    assert plainly(read([broken])) == []


def test_speech_streams_from_its_first_letter() -> None:
    tags = ToolTags()
    for opening in ("<tool_call>", '{"name": "speak", "arg', 'uments": {"te', 'xt": "'):
        assert not any(isinstance(event, Said) for event in tags.push(opening))
    assert plainly(tags.push("H")) == [("says", "H")]
    assert plainly(tags.push("i\\")) == [("says", "i")]
    assert plainly(tags.push("n")) == [("says", "\n")]
    assert plainly(tags.push('"')) == [("ends", "")]


def test_what_is_not_said_is_private() -> None:
    writing = "He is not talking to me. <speak>Hello there.</speak> That was enough."
    assert plainly(read(writing)) == [
        ("thinks", "He is not talking to me. "),
        *HELLO,
        ("thinks", " That was enough."),
    ]


def test_reasoning_about_speech_is_no_speech() -> None:
    writing = "<think>I could write <speak>Hello</speak> or " + call("speak", text="Hi") + "</think>No."
    assert [kind for kind, _ in plainly(read(writing))] == ["thinks"]


@pytest.mark.parametrize(
    "writing",
    [
        "<tool_call>not json</tool_call>",
        '<tool_call>{"name": 5}</tool_call>',
        '<tool_call>{"name": "speak", "arguments": ["text"]}</tool_call>',
        '<tool_call>{"name": "weather", "arguments": {"at"',
        "<tool_call>",
        "a < b and <b>bold</b> <spea",
    ],
)
def test_what_cannot_be_read_stays_private(writing: str) -> None:
    assert plainly(read(writing)) == [("thinks", writing)]


def test_a_stop_where_nothing_is_open_is_told() -> None:
    assert plainly(read("</speak>")) == [("stops", "")]
    assert plainly(read(STOP)) == [("stops", "")]
    assert plainly(read("<stop_speaking/>")) == [("stops", "")]
    assert plainly(read([ToolCallDelta("c1", "stop_speaking", "")])) == [("stops", "")]


def test_other_functions_are_calls() -> None:
    writing = "Let me see." + call("weather", at="home") + "<speak>One moment.</speak>"
    assert plainly(read(writing)) == [
        ("thinks", "Let me see."),
        ("calls weather", '{"at": "home"}'),
        *span("One moment."),
    ]
    native: list[Fragment] = [ToolCallDelta("c1", "weather", '{"at":'), ToolCallDelta("c1", "weather", ' "home"}')]
    (event,) = read(native)
    assert event == Call("weather", '{"at": "home"}', "", "c1")
    assert read([ToolCallDelta("c1", "time", "")]) == [Call("time", "{}", "", "c1")]


def test_two_calls_without_a_closing_tag_between() -> None:
    body = call("time").removesuffix("</tool_call>")
    assert [kind for kind, _ in plainly(read(body + call("weather")))] == ["calls time", "calls weather"]


def test_speech_as_a_call_within_open_speech_is_speech_of_its_own() -> None:
    assert plainly(read("<speak>Hello " + call("speak", text="there."))) == [*span("Hello "), *span("there.")]


@pytest.mark.parametrize(
    ("writing", "left"),
    [
        ("Hm. <tool_call>{", "Hm. "),
        ("Hm. <spe", "Hm. "),
        ("<speak>Hello</sp", "<speak>Hello"),
        (r'<tool_call>{"name": "speak", "arguments": {"text": "Hello\u00', None),
    ],
)
def test_what_is_cut_in_the_midst_of_markup_is_as_if_that_were_not_written(writing: str, left: str | None) -> None:
    events = read(writing, cut=True)
    raw = "".join(event.raw for event in events)
    assert raw == (writing[: writing.index("\\")] if left is None else left)
    assert read([ToolCallDelta("c1", "weather", '{"at"')], cut=True) == []


NO = "<speak>no</speak>"
WORDS = st.text(alphabet="aäé 一.,!?'\"\\\n😀{}", max_size=12)
Part = tuple[list[Fragment], list[tuple[str, str]]]


def _part(make: Callable[[str], Fragment], means: Callable[[str], list[tuple[str, str]]]) -> st.SearchStrategy[Part]:
    return WORDS.map(lambda text: ([make(text)], means(text)))


def _said(text: str) -> list[tuple[str, str]]:
    return span(text)


PARTS: st.SearchStrategy[Part] = st.one_of(
    _part(lambda text: text, lambda text: [("thinks", text)] if text else []),
    _part(lambda text: f"<speak>{text}</speak>", _said),
    _part(lambda text: call("speak") + text + STOP, _said),
    _part(lambda text: call("speak", text=text + "."), lambda text: span(text + ".")),
    _part(
        lambda text: f"<think>{text}<speak>no</speak></think>", lambda text: [("thinks", text + "<speak>no</speak>")]
    ),
    _part(lambda text: call("weather", at=text), lambda text: [("calls weather", json.dumps({"at": text}))]),
)


def _merged(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for kind, text in pairs:
        if merged and kind == merged[-1][0] == "thinks":
            merged[-1] = (kind, merged[-1][1] + text)
        else:
            merged.append((kind, text))
    return merged


@given(st.lists(PARTS, max_size=5), st.data())
def test_any_split_of_any_valid_writing_means_what_was_meant(parts: list[Part], data: st.DataObject) -> None:
    source = "".join(str(fragment) for fragments, _ in parts for fragment in fragments)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(source)), max_size=12)))
    pieces = [source[start:end] for start, end in zip([0, *cuts], [*cuts, len(source)], strict=True)]
    events = read(pieces)
    assert plainly(events) == _merged(pair for _, meaning in parts for pair in meaning)
    assert "".join(event.raw for event in events) == source


SOUP = st.lists(
    st.sampled_from(
        [
            *("<speak>", "</speak>", "<tool_call>", "</tool_call>", "<think>", "</think>", "<stop_speaking>", "<"),
            *('{"name": "speak", "arguments": {"text": "', '"}}', "secret", "word ", '{"name": "stop_speaking"}', "{}"),
            *('{"name": "time"}', "\\", '"', "}", "<sp"),
        ]
    ),
    max_size=14,
)


@given(SOUP, st.booleans())
def test_any_soup_of_tags_ends_well_and_the_same_letter_by_letter(soup: list[str], cut: bool) -> None:
    source = "".join(soup)
    events = read([source], cut=cut)
    assert plainly(events) == plainly(read(list(source), cut=cut))
    opened = False
    for event in events:
        if isinstance(event, SpeakBegan):
            assert not opened
            opened = True
        elif isinstance(event, SpeakEnded):
            assert opened
            opened = False
        elif isinstance(event, Said):
            assert opened  # nothing is said but between a beginning and an end
    assert not opened


@given(SOUP)
def test_without_an_opening_nothing_is_said(soup: list[str]) -> None:
    source = "".join(soup).replace("speak", "speech")
    assert not any(isinstance(event, Said) for event in read([source]))


def test_for_a_model_without_the_tool_all_is_said() -> None:
    writing = PlainWriting()
    events = [*writing.push(" "), *writing.push("Hello "), *writing.push("<speak>")]
    events += writing.push_call(ToolCallDelta("c1", "time", "{"))
    events += writing.push_call(ToolCallDelta("c1", "time", "}"))
    assert plainly([*events, *writing.finish()]) == [
        ("begins", ""),
        ("says", "Hello <speak>"),
        ("calls time", "{}"),
        ("ends", ""),
    ]
    assert writing.finish() == []
