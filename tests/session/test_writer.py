"""Runs of writing: what is said goes to spans, and what is broken off leaves the mind in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from antiphon.core.settings import ListeningSettings, ReplySettings
from antiphon.core.speech import BrainRequest, TextDelta
from antiphon.errors import EngineError
from antiphon.ids import IdSource, ItemId, TurnId
from antiphon.session.listening import ListeningBrain
from antiphon.session.span import Span, Standing
from antiphon.session.writer import Writer, WriterHost
from antiphon.sim.rule_brain import RuleBrain
from antiphon.sim.virtual_time import run_virtual

TURN = TurnId(ItemId("turn_1"))
REPLY = ReplySettings()


@dataclass
class Desk:
    """A writer, and what became of its writing."""

    brain: ListeningBrain
    writer: Writer = None  # type: ignore[assignment]
    spans: list[Span] = field(default_factory=list)
    thoughts: str = ""
    stops: int = 0
    errors: list[str] = field(default_factory=list)
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    def wish(self, span: Span) -> None:
        span.standing = Standing.WISHED
        self.spans.append(span)

    def stop(self) -> None:
        self.stops += 1

    def think(self, text: str) -> None:
        self.thoughts += text

    def failed(self, error: EngineError) -> None:
        self.errors.append(str(error))

    def mind(self) -> list[str]:
        return [message.text for message in self.brain.mind.messages()]

    async def write(self) -> None:
        self.writer.write(REPLY)
        await self.idle.wait()


async def text_of(span: Span) -> str:
    return "".join([delta.text async for delta in span.respond(BrainRequest(())) if isinstance(delta, TextDelta)])


@asynccontextmanager
async def desk(writing: str, **speeds: float) -> AsyncIterator[Desk]:
    def rule(messages: object) -> str:
        if writing == "fails":
            raise EngineError("out of order")
        return writing

    made = Desk(ListeningBrain(RuleBrain(rule, **speeds), ListeningSettings(speak_tool=True)))
    made.brain.hear(TURN, ("well",))
    async with asyncio.TaskGroup() as group:
        host = WriterHost(made.wish, made.stop, made.think, made.failed, made.idle.set)
        made.writer = Writer(made.brain, IdSource(1), group, host)
        yield made
        made.writer.close()


def test_what_it_says_becomes_spans_and_what_it_thinks_does_not() -> None:
    async def main() -> None:
        async with desk("Hm. <speak>One.</speak> And <speak></speak><speak>two.</speak></speak>") as it:
            await it.write()
            assert [await text_of(span) for span in it.spans] == ["One.", "two."]
            assert it.thoughts == "Hm.  And "
            assert it.stops == 1
            assert it.mind() == ["well", "Hm. <speak>One.</speak> And <speak>two.</speak></speak>"]
            assert not it.writer.busy

    run_virtual(main())


def test_a_span_waits_until_there_is_room() -> None:
    async def main() -> None:
        async with desk("<speak>One.</speak><speak>Two.</speak>") as it:
            it.writer.room.clear()
            it.writer.write(REPLY)
            await asyncio.sleep(10)
            assert (it.spans, it.writer.busy) == ([], True)
            it.writer.room.set()
            await it.idle.wait()
            assert len(it.spans) == 2

    run_virtual(main())


def test_a_run_that_is_broken_off_ends_what_it_was_saying() -> None:
    async def main() -> None:
        async with desk("Hm. <speak>one two three four five six", token_ms=50.0) as it:
            it.writer.write(REPLY)
            await asyncio.sleep(0.3)
            it.writer.break_off()
            assert not it.writer.busy
            (span,) = it.spans
            said = await text_of(span)
            assert said in ("one", "one two", "one two three", "one two three four")
            assert it.mind()[1] == f"Hm. <speak>{said}</speak>"

    run_virtual(main())


def test_a_tag_that_is_broken_off_was_not_written() -> None:
    async def main() -> None:
        async with desk('Hm. <tool_call>{"name": "speak", "arguments"', token_ms=100.0) as it:
            it.writer.write(REPLY)
            await asyncio.sleep(0.5)
            it.writer.break_off()
            assert it.mind() == ["well", "Hm. "]

    run_virtual(main())


def test_a_run_that_is_to_be_broken_soon_finishes_its_sentence() -> None:
    async def main() -> None:
        async with desk("<speak>This is the first. This is the second. This is the third.</speak>") as it:
            it.writer.write(REPLY)
            await asyncio.sleep(0.1)
            it.writer.break_soon()
            await it.idle.wait()
            assert await text_of(it.spans[0]) == "This is the first."
            assert it.mind()[1] == "<speak>This is the first.</speak>"

    run_virtual(main())


def test_a_sentence_without_end_is_ended() -> None:
    async def main() -> None:
        async with desk("<speak>" + "and on " * 200) as it:
            it.writer.write(REPLY)
            await asyncio.sleep(0.1)
            it.writer.break_soon()
            await it.idle.wait()
            assert 10 < len((await text_of(it.spans[0])).split()) < 40

    run_virtual(main())


def test_a_failure_is_told() -> None:
    async def main() -> None:
        async with desk("fails") as it:
            await it.write()
            assert it.errors == ["out of order"]
            assert it.mind() == ["well"]

    run_virtual(main())
