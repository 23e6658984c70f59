"""The self-test's conversation, step by step. Each step says what it expects, and measures on the way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson

from antiphon.apps.realtime_client import Arrival, send
from antiphon.apps.selftest.caller import COMPLETED, Answer, Caller, Spoken, Utterance
from antiphon.apps.selftest.cast import Lines
from antiphon.apps.selftest.measures import word_error_rate
from antiphon.apps.selftest.report import Report, TurnRow
from antiphon.core.text import words_of

MAX_HUMAN_WER = 0.15
MAX_LINE_WER = 0.35
"""For a second voice's question of a few words: at most one of three is misheard."""
HEARD_BEFORE_S = 2.0
"""How much of the long reply has come when the caller speaks into it."""
MAX_SILENCING_MS = 500.0
"""From the true onset of the interruption to the last audible sample."""
MIN_HOLD_MS = 60.0
"""A gap between frames that shows that a reply was held: three times a frame's length."""

LONG_SILENCE_MS = 900
"""Ends a turn of the human recording, which pauses between its clauses."""
SILENCE_MS = 200

WEATHER_TOOL = {
    "type": "function",
    "name": "get_weather",
    "description": "Tells the current weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "The name of the city"}},
        "required": ["city"],
    },
}
WEATHER = {"weather": "warm and sunny"}


@dataclass(slots=True)
class Stage:
    """What a step works with."""

    call: Caller
    lines: Lines
    report: Report
    replies: list[tuple[str, Answer]] = field(default_factory=list)
    """Replies whose audio is to be recognized again, by the name of their step."""
    cut: tuple[str, bytes] | None = None
    """What the context holds of the reply that was cut, and its audio as it came."""

    def row(self, name: str, said: str) -> TurnRow:
        row = TurnRow(name, said)
        self.report.turns.append(row)
        return row


Step = Callable[[Stage], Awaitable[None]]


async def _heard(stage: Stage, spoken: Spoken, line: Utterance, row: TurnRow, max_wer: float) -> list[Arrival]:
    """Waits for the transcript of ``line`` and checks it."""
    transcripts = await stage.call.transcripts(spoken.mark, until=spoken.end_at)
    row.heard = " ".join(t.text("transcript") for t in transcripts if t.kind == COMPLETED).strip()
    wer = word_error_rate(line.text, row.heard)
    stage.report.check(
        f"{row.name}: transcript", wer <= max_wer, f"word error rate {wer:.0%} (at most {max_wer:.0%}): {row.heard!r}"
    )
    return transcripts


def _figures(stage: Stage, item_id: str, mark: int) -> dict[str, float]:
    """The server's own figures of the turn ``item_id``."""
    for arrival in stage.call.journal.since(mark, "antiphon.turn"):
        if arrival.text("item_id") == item_id:
            return {k: float(v) for k, v in arrival.child("figures").items()}
    return {}


async def _asked(stage: Stage, name: str, line: Utterance, *, max_wer: float = MAX_LINE_WER) -> Answer:
    """Says a line, checks its transcript, gets the answer whole and its times."""
    row = stage.row(name, line.text)
    spoken = await stage.call.say(line)
    transcripts = await _heard(stage, spoken, line, row, max_wer)
    answer = await stage.call.answer(spoken.mark)
    row.answer = answer.transcript
    _measure(stage, row, spoken, transcripts, answer)
    return answer


def _measure(stage: Stage, row: TurnRow, spoken: Spoken, transcripts: list[Arrival], answer: Answer) -> None:
    row.figures = _figures(stage, transcripts[-1].text("item_id"), spoken.mark)
    if "response_ms" in row.figures:
        row.figures["server_response_ms"] = row.figures.pop("response_ms")
    if answer.audio.first_audible_at is not None:
        row.figures["response_ms"] = (answer.audio.first_audible_at - spoken.end_at) * 1000


def _check_spoken(stage: Stage, name: str, answer: Answer) -> None:
    """The answer is complete, has words, and can be heard. Its words are checked when all is over."""
    stage.replies.append((name, answer))
    complete = answer.status == "completed" and bool(words_of(answer.transcript))
    audible = answer.audio.first_audible_at is not None
    detail = f"{answer.audio.duration_ms / 1000:.1f} s of speech: {answer.transcript!r}"
    if not complete:
        detail = f"the reply ended as {answer.status} {answer.reason}, with {answer.transcript!r}"
    elif not audible:
        detail = f"no audible sample came for {answer.transcript!r}"
    stage.report.check(f"{name}: spoken reply", complete and audible, detail)


async def human_speech(stage: Stage) -> None:
    """A human voice is understood. No answer is asked for, so that its pauses do not matter."""
    call, line = stage.call, stage.lines.human
    listening = {"transcription": {"model": "default"}, "turn_detection": _detection(LONG_SILENCE_MS, False)}
    await call.configure({"audio": {"input": listening}})
    row = stage.row("human speech", line.text)
    spoken = await call.say(line)
    transcripts = await _heard(stage, spoken, line, row, MAX_HUMAN_WER)
    for transcript in transcripts:
        await call.delete(transcript.text("item_id"))
    await call.configure({"audio": {"input": {"turn_detection": _detection(SILENCE_MS, True)}}})


def _detection(silence_ms: int, create_response: bool) -> dict[str, object]:
    return {"type": "server_vad", "silence_duration_ms": silence_ms, "create_response": create_response}


async def first_turn(stage: Stage) -> None:
    """A question is answered in speech."""
    answer = await _asked(stage, "first turn", stage.lines.name)
    _check_spoken(stage, "first turn", answer)


async def second_turn(stage: Stage) -> None:
    """The second turn can only be answered by who remembers the first."""
    answer = await _asked(stage, "second turn", stage.lines.ask_name)
    _check_spoken(stage, "second turn", answer)
    remembered = "sam" in words_of(answer.transcript)
    stage.report.check("second turn: remembers the first", remembered, f"{answer.transcript!r}")


async def barge_in(stage: Stage) -> None:
    """The caller speaks into a long reply: it stops, the context keeps what was played, and the next answer comes."""
    call, report = stage.call, stage.report
    asked = stage.row("long reply", stage.lines.long.text)
    question = await call.say(stage.lines.long)
    transcripts = await _heard(stage, question, stage.lines.long, asked, MAX_LINE_WER)
    long = await call.reply_began(question.mark)
    await call.heard_for(long, HEARD_BEFORE_S, question.mark)

    row = stage.row("barge-in", stage.lines.interrupt.text)
    spoken = await call.say(stage.lines.interrupt)
    cut = await call.finished(long, question.mark)
    asked.answer = cut.transcript
    _measure(stage, asked, question, transcripts, cut)
    _check_silenced(stage, spoken, cut)
    heard_again = await _heard(stage, spoken, stage.lines.interrupt, row, MAX_LINE_WER)
    answer = await call.answer(call.journal.arrivals.index(heard_again[0], spoken.mark) + 1)
    row.answer = answer.transcript
    _measure(stage, row, spoken, heard_again, answer)
    _check_spoken(stage, "barge-in", answer)

    kept = await call.retrieve(cut.item_id)
    known = " ".join(str(part.get("transcript") or part.get("text") or "") for part in kept.get("content") or [])
    stage.cut = (known, cut.audio.pcm)
    begins = words_of(cut.transcript)[: len(words_of(known))] == words_of(known)
    report.check("barge-in: context is cut", begins and bool(words_of(known)), f"it holds {known!r}")


def _check_silenced(stage: Stage, spoken: Spoken, cut: Answer) -> None:
    report = stage.report
    cancelled = (cut.status, cut.reason) == ("cancelled", "turn_detected")
    report.check("barge-in: reply is cancelled", cancelled, f"it ended as {cut.status} {cut.reason}".strip())
    report.barge_in = _edge(stage, spoken, cut)
    if cut.audio.last_audible_at is None:
        report.check("barge-in: audio stops", False, "the reply was not audible")
        return
    silencing_ms = (cut.audio.last_audible_at - spoken.onset_at) * 1000
    report.barge_in["onset_to_silence_ms"] = silencing_ms
    report.check(
        "barge-in: audio stops",
        silencing_ms <= MAX_SILENCING_MS,
        f"{silencing_ms:.0f} ms after the true onset (at most {MAX_SILENCING_MS:.0f})",
    )


def _edge(stage: Stage, spoken: Spoken, cut: Answer) -> dict[str, float]:
    """The VAD's edge on the caller's clock: the server tells its times with the decision, at the moment of it."""
    for arrival in stage.call.journal.since(spoken.mark, "antiphon.barge_in"):
        marks = {key: float(value) for key, value in arrival.child("marks").items()}
        if cut.audio.last_frame_at is not None:
            edge_at = arrival.at - (marks["decided"] - marks["edge"]) / 1000
            return {
                "onset_to_edge_ms": (edge_at - spoken.onset_at) * 1000,
                "edge_to_last_frame_ms": max(0.0, cut.audio.last_frame_at - edge_at) * 1000,
            }
    return {}


async def backchannel(stage: Stage) -> None:
    """The caller says "yeah" over a reply, which goes on to its end."""
    call = stage.call
    line = stage.lines.backchannel
    row = stage.row("backchannel", stage.lines.define.text)
    question = await call.say(stage.lines.define)
    transcripts = await _heard(stage, question, stage.lines.define, row, MAX_LINE_WER)
    reply = await call.reply_began(question.mark)
    await call.heard_for(reply, HEARD_BEFORE_S, question.mark)
    spoken = await call.say(line)
    answer = await call.finished(reply, question.mark)
    row.answer = answer.transcript
    _measure(stage, row, question, transcripts, answer)
    ended = f"{answer.status} {answer.reason}".strip()
    detail = f"{line.text!r} over {answer.audio.duration_ms / 1000:.1f} s of speech: {ended}"
    stage.report.check("backchannel: reply goes on", answer.status == "completed", detail)
    _check_spoken(stage, "backchannel", answer)
    held = answer.audio.longest_gap_ms >= MIN_HOLD_MS
    stage.report.check("backchannel: reply was held", held, f"for {answer.audio.longest_gap_ms:.0f} ms")
    turns = call.journal.since(spoken.mark, "input_audio_buffer.committed")
    stage.report.check("backchannel: is no turn", not turns, f"{len(turns)} turns came of it")


async def typed_turn(stage: Stage) -> None:
    """A written question is answered in speech."""
    row = stage.row("typed turn", stage.lines.typed)
    row.heard = stage.lines.typed
    mark, asked_at = await stage.call.type(stage.lines.typed)
    answer = await stage.call.answer(mark)
    row.answer = answer.transcript
    if answer.audio.first_audible_at is not None:
        row.figures["from_writing_ms"] = (answer.audio.first_audible_at - asked_at) * 1000
    _check_spoken(stage, "typed turn", answer)


async def function_call(stage: Stage) -> None:
    """The agent calls the caller's function and speaks what it gave."""
    call, report = stage.call, stage.report
    await call.configure({"tools": [WEATHER_TOOL], "tool_choice": "auto"})
    row = stage.row("function call", stage.lines.tool.text)
    spoken = await call.say(stage.lines.tool)
    transcripts = await _heard(stage, spoken, stage.lines.tool, row, MAX_LINE_WER)
    asked = await call.answer(spoken.mark)
    called = [item for item in asked.calls if item.get("name") == WEATHER_TOOL["name"]]
    described = [(item.get("name"), item.get("arguments")) for item in asked.calls]
    report.check("function call: is made", bool(called), f"{described or asked.transcript!r}")
    if not called:
        return
    city = str(orjson.loads(called[0]["arguments"]).get("city", ""))
    report.check("function call: arguments", "paris" in words_of(city), f"{called[0]['arguments']}")
    output = {"type": "function_call_output", "call_id": called[0]["call_id"], "output": orjson.dumps(WEATHER).decode()}
    await call.add(output)
    mark = call.mark
    await send(call.client, {"type": "response.create"})
    answer = await call.answer(mark)
    row.answer = answer.transcript
    _measure(stage, row, spoken, transcripts, answer)
    _check_spoken(stage, "function call", answer)
    told = {"warm", "sunny"} <= set(words_of(answer.transcript))
    report.check("function call: result is told", told, f"{answer.transcript!r}")


STEPS: tuple[tuple[str, Step], ...] = (
    ("human speech", human_speech),
    ("first turn", first_turn),
    ("second turn", second_turn),
    ("barge-in", barge_in),
    ("backchannel", backchannel),
    ("typed turn", typed_turn),
    ("function call", function_call),
)
