"""One thing that is said, from its writer to its reply."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from antiphon.core.speech import BrainRequest, Finish, TextDelta
from antiphon.errors import EngineError
from antiphon.ids import ReplyId
from antiphon.session.span import Span
from antiphon.sim.virtual_time import run_virtual

NOTHING = BrainRequest(())


def span() -> Span:
    return Span(ReplyId("resp_1"), 1, 0, "rule:")


def test_a_reply_gets_the_pieces_as_they_are_written() -> None:
    async def main() -> None:
        said = span()
        await said.say(TextDelta("one "))
        async with aclosing(said.respond(NOTHING)) as pieces:
            assert await anext(pieces) == TextDelta("one ")
            waiting = asyncio.ensure_future(anext(pieces))
            await asyncio.sleep(0)
            assert not waiting.done()
            await said.say(TextDelta("two"))
            said.end()
            assert [await waiting, await anext(pieces)] == [TextDelta("two"), Finish("stop")]
            with pytest.raises(StopAsyncIteration):
                await anext(pieces)

    run_virtual(main())


def test_the_writer_waits_for_a_reply_that_is_far_behind() -> None:
    async def main() -> None:
        said = span()
        writing = asyncio.ensure_future(write(said, 1000))
        await asyncio.sleep(1)
        assert not writing.done()
        async with aclosing(said.respond(NOTHING)) as pieces:
            for _ in range(1000):
                await anext(pieces)
        await writing

    async def write(said: Span, pieces: int) -> None:
        for _ in range(pieces):
            await said.say(TextDelta("word "))

    run_virtual(main())


def test_a_failure_is_that_of_its_reply() -> None:
    async def main() -> None:
        said = span()
        said.fail(EngineError("out of order"))
        with pytest.raises(EngineError, match="out of order"):
            await anext(said.respond(NOTHING))

    run_virtual(main())


def test_what_never_sounded_was_not_heard() -> None:
    said = span()
    assert said.heard is None
    said.cut = True
    assert said.heard == ""
