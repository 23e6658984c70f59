"""The parts of ``talk`` that need neither devices nor a server: the playback buffer, the captions, their looks."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from antiphon.apps.playback import TARGET_MS, PlaybackBuffer
from antiphon.apps.realtime_client import Arrival, Listener
from antiphon.apps.talk.call import Call
from antiphon.apps.talk.screen import Screen, caption
from antiphon.apps.talk.transcript import MAX_OPEN_LINES, Line, Phase, Speaker, Transcript
from antiphon.audio import ms_to_bytes

RATE_HZ = 24_000
FRAME = ms_to_bytes(20, RATE_HZ)
COMPLETED = "conversation.item.input_audio_transcription.completed"
DELTA = "conversation.item.input_audio_transcription.delta"
SEGMENT = "conversation.item.input_audio_transcription.segment"
AGENT_DELTA = "response.output_audio_transcript.delta"


def arrival(kind: str, **fields: Any) -> Arrival:
    return Arrival(0.0, {"type": kind, **fields})


def test_what_tools_tell_and_who_takes_over_is_shown() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    screen = Screen(Transcript(), console)
    tool = {"call_id": "c", "name": "find_tour"}
    for told in (
        arrival("antiphon.agent", agent="museum"),
        arrival("antiphon.tool", **tool, status="running"),
        arrival("antiphon.tool", **tool, status="progress", text="asking"),
        arrival("antiphon.tool", **tool, status="completed"),
        arrival("antiphon.tool", **tool, status="cancelled"),
        arrival("antiphon.agent", agent="lost_property"),
    ):
        screen.show(told)
    lines = [line.strip() for line in console.export_text().splitlines()]
    assert lines == ["find tour: asking", "find tour: cancelled", "lost property answers from here on"]


def test_an_answer_that_failed_is_told_with_its_reason() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    screen = Screen(Transcript(), console)
    why = {"type": "failed", "error": {"message": "there is no model [any more]"}}
    for response in ({"status": "completed"}, {"status": "failed", "status_details": why}, {"status": "failed"}):
        screen.show(arrival("response.done", response=response))
    lines = [line.strip() for line in console.export_text().splitlines()]
    assert lines == [
        "the answer failed: there is no model [any more]",
        "the answer failed: the server does not say why",
    ]


def test_what_was_said_before_is_shown_first() -> None:
    transcript = Transcript()
    transcript.read(arrival("antiphon.conversation", conversation_id="conv_1", items=3))
    said = {"type": "message", "role": "user", "content": [{"type": "input_audio", "transcript": "Hello."}]}
    answer = {"type": "message", "role": "assistant", "content": [{"type": "output_audio", "transcript": "Good day."}]}
    for item in (said, {"type": "function_call", "name": "look"}, answer, said):
        transcript.read(arrival("conversation.item.done", item=item))
    assert [(line.speaker, line.text) for line in transcript.settled()] == [
        (Speaker.USER, "Hello."),
        (Speaker.AGENT, "Good day."),
    ], "what comes after that is told by other events"
    assert transcript.conversation == "conv_1"


def test_nothing_plays_before_the_target_is_there() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.push(b"\1" * FRAME)
    assert not any(buffer.pull(FRAME))
    buffer.push(b"\2" * ms_to_bytes(TARGET_MS, RATE_HZ))
    assert buffer.pull(FRAME) == b"\1" * FRAME
    assert buffer.pull(FRAME) == b"\2" * FRAME


def test_a_short_reply_plays_when_no_more_comes() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.push(b"\1" * 100)
    buffer.finish()
    assert buffer.pull(FRAME) == (b"\1" * 100).ljust(FRAME, b"\0")
    buffer.push(b"\2" * FRAME)
    assert not any(buffer.pull(FRAME)), "the next reply is buffered again"


def test_flushing_tells_how_much_was_not_played() -> None:
    buffer = PlaybackBuffer(RATE_HZ)
    buffer.push(b"\1" * FRAME * 5)
    buffer.pull(FRAME)
    assert buffer.flush() == 80
    assert buffer.buffered_ms == 0
    assert not any(buffer.pull(FRAME))


@given(st.lists(st.one_of(st.binary(min_size=2, max_size=3000).map(lambda b: b[: len(b) // 2 * 2]), st.none())))
def test_what_comes_in_goes_out_once_and_in_order(steps: list[bytes | None]) -> None:
    """None is a pull. Silence may lie between, so the audio here has none."""
    buffer = PlaybackBuffer(RATE_HZ)
    pushed, played = b"", b""
    for step in steps:
        if step is None:
            played += buffer.pull(FRAME)
        else:
            voiced = step.replace(b"\0", b"\1")
            pushed += voiced
            buffer.push(voiced)
    buffer.finish()
    while buffer.buffered_ms:
        played += buffer.pull(FRAME)
    assert played.replace(b"\0", b"") == pushed


def test_a_line_has_the_name_of_whoever_speaks() -> None:
    transcript = Transcript()
    transcript.read(arrival(DELTA, item_id="u", delta="hello"))
    transcript.read(arrival("antiphon.speaker", item_id="u", speaker="Ann"))
    assert caption(transcript.lines[0]).plain == "  Ann  hello"
    transcript.read(arrival(SEGMENT, item_id="u", speaker="Ann", text="Hello there."))
    transcript.read(arrival(COMPLETED, item_id="u", transcript="Hello there."))
    (line,) = transcript.settled()
    assert caption(line).plain == "  Ann  Hello there."


def test_a_line_of_several_speakers_says_who_said_what() -> None:
    transcript = Transcript()
    transcript.read(arrival(SEGMENT, item_id="u", speaker="Ann", text="Is it late?"))
    transcript.read(arrival(SEGMENT, item_id="u", speaker="Speaker 1", text="Not yet."))
    transcript.read(arrival(COMPLETED, item_id="u", transcript="Is it late? Not yet."))
    (line,) = transcript.settled()
    assert caption(line).plain == "  you  [Ann]: Is it late? [Speaker 1]: Not yet."


def test_a_line_grows_and_settles() -> None:
    transcript = Transcript()
    transcript.read(arrival(DELTA, item_id="u", delta="hello"))
    assert transcript.settled() == []
    assert transcript.lines == [Line(Speaker.USER, "hello")]
    transcript.read(arrival(COMPLETED, item_id="u", transcript="Hello there."))
    assert transcript.settled() == [Line(Speaker.USER, "Hello there.", Phase.SETTLED)]
    assert transcript.lines == []


def test_lines_settle_in_order() -> None:
    transcript = Transcript()
    transcript.read(arrival(DELTA, item_id="u", delta="what"))
    transcript.read(arrival(AGENT_DELTA, item_id="a", delta="Yes."))
    transcript.read(arrival("response.done", response={"status": "completed", "output": [{"id": "a"}]}))
    assert transcript.settled() == []
    transcript.read(arrival(COMPLETED, item_id="u", transcript="What?"))
    assert [line.text for line in transcript.settled()] == ["What?", "Yes."]


def cut_line(heard: str) -> Line:
    transcript = Transcript()
    transcript.read(arrival(AGENT_DELTA, item_id="a", delta="One two three four."))
    asked = transcript.read(arrival("response.done", response={"status": "cancelled", "output": [{"id": "a"}]}))
    assert asked == ["a"]
    assert transcript.settled() == []
    content = [{"type": "output_audio", "transcript": heard}]
    transcript.read(arrival("conversation.item.retrieved", item={"id": "a", "content": content}))
    (line,) = transcript.settled()
    return line


def test_what_was_cut_is_known_from_what_the_server_keeps() -> None:
    line = cut_line("One two")
    assert (line.heard, line.unheard) == ("One two", " three four.")
    assert cut_line("").unheard == "One two three four."


def test_what_was_planned_and_never_begun_is_cut_too() -> None:
    transcript = Transcript()
    for text in ("One two, ", "three four."):
        transcript.read(arrival("antiphon.clause", response_id="r", item_id="a", text=text))
    assert transcript.lines == [], "a line begins with its first word that is heard"
    transcript.read(arrival(AGENT_DELTA, item_id="a", delta="One two, "))
    transcript.read(arrival("response.done", response={"status": "cancelled", "output": [{"id": "a"}]}))
    content = [{"type": "output_audio", "transcript": "One two, "}]
    transcript.read(arrival("conversation.item.retrieved", item={"id": "a", "content": content}))
    (line,) = transcript.settled()
    assert (line.heard, line.unheard) == ("One two, ", "three four.")


def test_what_was_cut_is_struck_through() -> None:
    text = caption(cut_line("One two"))
    (struck,) = (span for span in text.spans if "strike" in str(span.style))
    assert text.plain[struck.start : struck.end].strip() == "three four."
    assert caption(cut_line("One two"), plain=True).plain == "agent  One two [cut: three four.]"


def test_partials_are_dim() -> None:
    assert any("dim" in str(span.style) for span in caption(Line(Speaker.USER, "hel")).spans)
    assert not any("dim" in str(span.style) for span in caption(Line(Speaker.USER, "hello", Phase.SETTLED)).spans)


def test_a_line_that_never_ends_does_not_hold_up_the_others() -> None:
    transcript = Transcript()
    transcript.read(arrival(DELTA, item_id="lost", delta="..."))
    for number in range(MAX_OPEN_LINES):
        transcript.typed(str(number))
    assert [line.text for line in transcript.settled()] == ["...", *map(str, range(MAX_OPEN_LINES))]


def test_the_state_is_kept() -> None:
    transcript = Transcript()
    assert transcript.state is None
    transcript.read(arrival("antiphon.state", state="barged_in"))
    assert transcript.state == "barged_in"


def test_a_failed_transcription_is_shown_as_such() -> None:
    transcript = Transcript()
    transcript.read(arrival("conversation.item.input_audio_transcription.failed", item_id="u"))
    assert [line.text for line in transcript.settled()] == ["(not understood)"]


def test_thoughts_are_shown_where_they_are_wanted() -> None:
    for wanted in (True, False):
        transcript = Transcript(thoughts=wanted)
        transcript.read(arrival("antiphon.thought", text="She asks "))
        transcript.read(arrival("response.output_audio.delta", item_id="a", delta=""))
        transcript.read(arrival("antiphon.thought", text="me."))
        transcript.read(arrival(COMPLETED, item_id="u", transcript="what time is it"))
        transcript.read(arrival("antiphon.thought", text=" "))
        shown = [(line.speaker, line.text) for line in transcript.settled(all_of_them=True)]
        mind = [(Speaker.MIND, "She asks me.")] if wanted else []
        assert shown == [*mind, (Speaker.USER, "what time is it")]


class Wire:
    """A connection whose other end is the test."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._listeners: list[Listener] = []
        self._went_out = asyncio.Event()

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def send_text(self, event_json: str) -> None:
        self.sent.append(orjson.loads(event_json)["type"])
        self._went_out.set()

    def tell(self, kind: str, **fields: Any) -> None:
        for listener in self._listeners:
            listener(arrival(kind, **fields))

    async def until_sent(self, *kinds: str) -> None:
        async with asyncio.timeout(10):
            while self.sent != list(kinds):
                self._went_out.clear()
                await self._went_out.wait()


async def test_what_was_typed_during_a_greeting_is_answered_after_it() -> None:
    wire = Wire()
    call = Call(wire, PlaybackBuffer(RATE_HZ))
    running = asyncio.create_task(call.run())
    call.type("What does it cost?")
    await wire.until_sent("conversation.item.create", "response.create")
    wire.tell("response.created", response={"id": "greeting"})
    wire.tell("error", error={"code": "conversation_already_has_active_response", "message": "Wait."})
    wire.tell("response.done", response={"id": "greeting", "status": "completed"})
    await wire.until_sent("conversation.item.create", "response.create", "response.create")
    wire.tell("response.created", response={"id": "answer"})
    wire.tell("response.done", response={"id": "answer", "status": "completed"})
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert wire.sent.count("response.create") == 2


async def test_an_answer_is_awaited_where_what_it_was_to_cut_off_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.apps.talk.call.QUIET_S", 0.0)
    monkeypatch.setattr("antiphon.apps.talk.call.UNTOLD_QUIET_S", 0.0)
    wire = Wire()
    call = Call(wire, PlaybackBuffer(RATE_HZ))
    wire.tell("response.created", response={"id": "greeting"})
    call.type("What does it cost?")
    wire.tell("response.done", response={"id": "greeting", "status": "completed"})
    wire.tell("error", error={"code": "response_cancel_not_active", "message": "Cancellation failed"})
    assert not call.quiet()
    wire.tell("response.created", response={"id": "answer"})
    wire.tell("response.done", response={"id": "answer", "status": "completed"})
    assert call.quiet()
