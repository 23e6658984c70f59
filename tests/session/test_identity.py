"""Who speaks, in whole conversations: a caller who speaks softly is somebody else than one who speaks aloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.actions import Action
from antiphon.core.commands import CommitBuffer
from antiphon.core.events import Event, FinalHeard, PartialHeard
from antiphon.core.settings import Detection, SessionSettings, TurnSettings
from antiphon.core.speech import BrainDelta, BrainRequest
from antiphon.core.who import Embedding
from antiphon.engines.base import HeardWord, RecognizerStream, Transcript
from antiphon.engines.scripted import ScriptedBrain, ScriptedRecognizer
from antiphon.engines.scripted_speakers import ScriptedSpeakers
from antiphon.engines.tone_code import encode
from antiphon.session.identity import Identity, Speakers
from antiphon.session.meter import NoRecorder
from antiphon.session.utterance import SPEAKER_WAIT_S
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.virtual_time import run_virtual

ALOUD, SOFT = 8000, 1000
LONG = "this is long enough to tell one voice from another"
"""Two seconds."""
PATIENT = SessionSettings(turn=TurnSettings(paced=True, silence_duration_ms=900), transcription=True)


class Notes(NoRecorder):
    def __init__(self) -> None:
        self.events: list[Event] = []

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        self.events.append(event)

    def heard(self) -> list[PartialHeard | FinalHeard]:
        return [event for event in self.events if isinstance(event, PartialHeard | FinalHeard)]


class ReadBrain(ScriptedBrain):
    """Keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(answers=["yes"])
        self.read: list[list[str]] = []

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        self.read.append([message.text for message in request.messages])
        async for delta in super().respond(request):
            yield delta


def speakers(model: ScriptedSpeakers | None = None, *, numbered: bool = True, **enrolled: Embedding) -> Speakers:
    return Speakers(model or ScriptedSpeakers(), lambda: enrolled, numbered)


async def voice_of(amplitude: int) -> Embedding:
    (heard,) = await ScriptedSpeakers().voices(encode(LONG, EAR_RATE_HZ, amplitude=amplitude))
    assert heard.embedding is not None
    return heard.embedding


def said(caller: Caller) -> list[tuple[str | None, str]]:
    return [(segment.speaker, segment.text) for turn in caller.outlet.segments.values() for segment in turn]


async def converse(caller: Caller, *turns: tuple[int, str]) -> None:
    for amplitude, words in turns:
        await caller.say(words, amplitude=amplitude)
        await caller.answer()
        await caller.rest()


def test_two_people_who_take_turns_are_told_apart_and_keep_their_numbers() -> None:
    async def conversation() -> tuple[list[tuple[str | None, str]], list[list[str]]]:
        brain = ReadBrain()
        suite = replace(scripted_suite(), brain=brain)
        async with call(suite, speakers=speakers()) as caller:
            await converse(caller, (ALOUD, LONG + " first"), (SOFT, LONG + " second"), (ALOUD, LONG + " third"))
            return said(caller), brain.read

    segments, read = run_virtual(conversation())
    assert segments == [
        ("Speaker 1", LONG + " first"),
        ("Speaker 2", LONG + " second"),
        ("Speaker 1", LONG + " third"),
    ]
    assert read[0] == [LONG + " first"], "as long as one person speaks, nobody needs a name"
    assert read[-1] == [
        f"[Speaker 1]: {LONG} first",
        "yes",
        f"[Speaker 2]: {LONG} second",
        "yes",
        f"[Speaker 1]: {LONG} third",
    ]


def test_an_answer_that_is_prepared_ahead_knows_who_asked() -> None:
    async def conversation() -> list[list[str]]:
        brain = ReadBrain()
        settings = SessionSettings(turn=TurnSettings(paced=True, silence_duration_ms=900, prepare_after_ms=100))
        async with call(replace(scripted_suite(), brain=brain), settings, speakers=speakers()) as caller:
            await converse(caller, (ALOUD, LONG), (SOFT, LONG))
            return brain.read

    read = run_virtual(conversation())
    assert read == [[LONG], [f"[Speaker 1]: {LONG}", "yes", f"[Speaker 2]: {LONG}"]]


def test_somebody_enrolled_goes_by_name_while_still_speaking() -> None:
    async def conversation() -> tuple[list[PartialHeard | FinalHeard], list[str]]:
        notes = Notes()
        ann = await voice_of(SOFT)
        async with call(recorder=notes, speakers=speakers(Ann=ann)) as caller:
            await converse(caller, (SOFT, LONG + " and on and on"), (ALOUD, LONG))
            return notes.heard(), [call.args[1] for call in caller.outlet.named("speaker")]

    heard, told = run_virtual(conversation())
    first = [event for event in heard if event.turn == heard[0].turn]
    names = [event.speaker for event in first]
    partials = [event.speaker for event in first if isinstance(event, PartialHeard)]
    assert partials[0] is None and partials[-1] == "Ann", "she is known before she has ended"
    assert names == sorted(names, key=lambda name: name is not None), "and from then on"
    assert told == ["Ann", "Speaker 1"]


def test_where_only_those_enrolled_are_wanted_others_have_no_name() -> None:
    async def conversation() -> tuple[list[tuple[str | None, str]], list[tuple[str, str]]]:
        model = speakers(numbered=False, Ann=await voice_of(SOFT))
        async with call(speakers=model) as caller:
            await converse(caller, (ALOUD, LONG), (SOFT, LONG))
            return said(caller), caller.context()

    segments, context = run_virtual(conversation())
    assert segments == [("Ann", LONG)]
    assert [text for role, text in context if role == "user"] == [LONG, LONG]


def test_a_turn_in_which_two_speak_is_divided_between_them() -> None:
    async def conversation() -> tuple[list[tuple[str | None, str]], list[str | None], list[tuple[str, str]]]:
        async with call(settings=PATIENT, speakers=speakers()) as caller:
            await caller.say(LONG)
            await caller.say(LONG + " indeed", after_ms=300, amplitude=SOFT)
            await caller.answer()
            return said(caller), list(caller.outlet.transcripts.values()), caller.context()

    segments, transcripts, context = run_virtual(conversation())
    assert segments == [("Speaker 1", LONG), ("Speaker 2", LONG + " indeed")]
    (text,) = transcripts
    assert text is not None and text.split() == [*LONG.split(), *LONG.split(), "indeed"]
    assert context[0] == ("user", f"[Speaker 1]: {LONG}\n[Speaker 2]: {LONG} indeed")


class NamingRecognizer(ScriptedRecognizer):
    """Tells by itself who said each word: those from "not" on are Ben's."""

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        stream = super().open(on_partial, language)
        final = stream.final

        async def named() -> Transcript:
            text = (await final()).text
            words = text.split()
            turn = words.index("not") if "not" in words else len(words)
            heard = (
                HeardWord(word, index * 200, index * 200 + 150, "Ann" if index < turn else "Ben")
                for index, word in enumerate(words)
            )
            return Transcript(text, tuple(heard))

        stream.final = named  # type: ignore[method-assign]
        return stream


def test_a_recognizer_that_knows_who_said_each_word_is_believed() -> None:
    async def conversation() -> tuple[list[tuple[str | None, str]], list[tuple[str, str]]]:
        async with call(replace(scripted_suite(), recognizer=NamingRecognizer())) as caller:
            await converse(caller, (ALOUD, "is it late not yet no"))
            return said(caller), caller.context()

    segments, context = run_virtual(conversation())
    assert segments == [("Ann", "is it late"), ("Ben", "not yet no")]
    assert context[0] == ("user", "[Ann]: is it late\n[Ben]: not yet no")


def test_a_turn_that_the_client_ends_has_its_speaker_too() -> None:
    async def conversation() -> list[tuple[str | None, str]]:
        settings = SessionSettings(turn=TurnSettings(detection=Detection.MANUAL, paced=True), transcription=True)
        async with call(settings=settings, speakers=speakers()) as caller:
            for turns, amplitude in enumerate((ALOUD, SOFT), start=1):
                await caller.say(LONG, amplitude=amplitude)
                caller.session.post(CommitBuffer())
                await caller.until(partial(lambda count: len(caller.outlet.transcripts) == count, turns))
            return said(caller)

    assert run_virtual(conversation()) == [("Speaker 1", LONG), ("Speaker 2", LONG)]


def test_segments_come_before_the_transcript_and_have_their_times() -> None:
    async def conversation() -> tuple[list[str], tuple[int, int]]:
        async with call(speakers=speakers()) as caller:
            await caller.pause(1000)
            await caller.say(LONG)
            await caller.answer()
            (segment,) = next(iter(caller.outlet.segments.values()))
            names = [call.name for call in caller.outlet.calls if call.name.startswith("transcript_")]
            return names, (segment.start_ms, segment.end_ms)

    names, (start_ms, end_ms) = run_virtual(conversation())
    assert names[-2:] == ["transcript_segment", "transcript_completed"]
    assert 250 <= start_ms <= 350, "the turn begins 300 ms before the speech"
    assert abs(end_ms - start_ms - 40 * len(LONG)) <= 60


def test_without_speakers_nothing_is_told_of_them() -> None:
    async def conversation() -> tuple[list[PartialHeard | FinalHeard], Caller]:
        notes = Notes()
        async with call(recorder=notes) as caller:
            await converse(caller, (ALOUD, LONG), (SOFT, LONG))
            return notes.heard(), caller

    heard, caller = run_virtual(conversation())
    assert {event.speaker for event in heard} == {None}
    assert not caller.outlet.named("speaker", "transcript_segment")


def test_a_model_that_is_too_slow_holds_up_nobody() -> None:
    async def conversation(look_ms: float | None) -> tuple[float, list[tuple[str | None, str]]]:
        model = None if look_ms is None else speakers(ScriptedSpeakers(look_ms=look_ms))
        async with call(speakers=model) as caller:
            await caller.say("hello there")
            asked_at = caller.now
            await caller.answer()
            return caller.now - asked_at, said(caller)

    without, _ = run_virtual(conversation(None))
    late, segments = run_virtual(conversation(60_000))
    assert segments == []
    assert without < late <= without + SPEAKER_WAIT_S + 0.05


def test_a_model_that_fails_leaves_the_conversation_as_it_is_without_one() -> None:
    async def conversation(model: Speakers | None) -> list[tuple[str, str]]:
        async with call(speakers=model) as caller:
            await converse(caller, (ALOUD, LONG), (SOFT, LONG))
            return caller.context()

    assert run_virtual(conversation(speakers(ScriptedSpeakers(fails=True)))) == run_virtual(conversation(None))


def test_a_long_turn_is_looked_at_as_it_comes_and_keeps_little() -> None:
    async def turn() -> tuple[int, list[str | None]]:
        model = ScriptedSpeakers()
        identity = Identity(speakers(model))
        running = asyncio.create_task(identity.run())
        voices = identity.open()
        audio = encode(LONG * 30, EAR_RATE_HZ)
        for start in range(0, len(audio), 6400):
            voices.feed(audio[start : start + 6400])
            await asyncio.sleep(0.2)
        await voices.settle()
        running.cancel()
        return model.looks, [span.speaker for span in voices.spans]

    looks, names = run_virtual(turn())
    assert names == ["Speaker 1"]
    assert 20 <= looks <= 30, "a minute, each 2.4 s"


def test_what_is_asked_of_a_turn_that_is_closed_is_not_answered() -> None:
    async def turn() -> tuple[int, bool]:
        model = ScriptedSpeakers()
        identity = Identity(speakers(model))
        voices = identity.open()
        voices.feed(encode(LONG, EAR_RATE_HZ))
        asked = voices.settle()
        voices.close()
        running = asyncio.create_task(identity.run())
        await asyncio.sleep(1)
        running.cancel()
        return model.looks, asked.cancelled()

    assert run_virtual(turn()) == (0, True)
