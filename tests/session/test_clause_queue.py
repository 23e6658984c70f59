"""Clauses between the brain and the voice: which are given when, and which are put together."""

from __future__ import annotations

import asyncio

import pytest

from antiphon.core.clauses import Clause
from antiphon.core.shedding import Ahead
from antiphon.session.clause_queue import ClauseQueue
from antiphon.sim.virtual_time import run_virtual


def clause(text: str) -> Clause:
    spoken = text.strip()
    return Clause(spoken, text, ((len(spoken), len(text)),))


async def queue_of(*texts: str, committed: bool = True, ahead: Ahead = Ahead.VOICE, over: bool = True) -> ClauseQueue:
    wanted = asyncio.Event()
    if committed:
        wanted.set()
    queue = ClauseQueue(wanted, ahead)
    for text in texts:
        await queue.put(clause(text))
    if over:
        await queue.put(None)
    return queue


async def spoken(queue: ClauseQueue) -> str | None:
    given = await queue.get()
    return None if given is None else given.spoken


def test_in_order_and_none_after_the_last() -> None:
    async def main() -> None:
        queue = await queue_of("one", "two")
        assert [await spoken(queue) for _ in range(4)] == ["one", "two", None, None]
        assert queue.take() is None

    run_virtual(main())


def test_of_a_prepared_reply_the_first_that_sounds_and_no_more() -> None:
    async def main() -> None:
        wanted = asyncio.Event()
        queue = ClauseQueue(wanted, Ahead.VOICE)
        for text in ("", "one", "two"):
            await queue.put(clause(text))
        assert [await spoken(queue), await spoken(queue)] == ["", "one"]
        assert queue.take() is None
        later = asyncio.create_task(spoken(queue))
        await asyncio.sleep(10)
        assert not later.done()
        wanted.set()
        assert await later == "two"

    run_virtual(main())


@pytest.mark.parametrize("ahead", [Ahead.BRAIN, Ahead.NOTHING])
def test_where_nothing_may_be_spoken_ahead_not_even_that(ahead: Ahead) -> None:
    async def main() -> None:
        queue = await queue_of("one", committed=False, ahead=ahead)
        assert queue.take() is None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await queue.get()

    run_virtual(main())


def test_a_wait_that_is_cancelled_loses_none() -> None:
    async def main() -> None:
        queue = await queue_of(over=False)
        waiting = asyncio.create_task(spoken(queue))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await queue.put(clause("one"))
        assert await spoken(queue) == "one"

    run_virtual(main())


async def grown(queue: ClauseQueue, limit_chars: int, wait_s: float) -> str:
    first = await queue.get()
    assert first is not None
    return (await queue.grown(first, limit_chars, wait_s)).spoken


@pytest.mark.parametrize(
    ("limit_chars", "piece", "rest"),
    [
        (0, "one two,", "three four,"),
        (15, "one two,", "three four,"),
        (25, "one two, three four,", "five six."),
        (60, "one two, three four, five six. seven eight,", None),
    ],
)
def test_a_piece_takes_what_is_at_hand_and_fits(limit_chars: int, piece: str, rest: str | None) -> None:
    async def main() -> None:
        queue = await queue_of("one two, ", "three four, ", "five six. ", "seven eight, ")
        assert await grown(queue, limit_chars, 0.0) == piece
        assert await spoken(queue) == rest

    run_virtual(main())


def test_a_sentence_of_some_length_needs_no_more() -> None:
    async def main() -> None:
        whole = "this is a sentence that is long enough to be said."
        queue = await queue_of(whole, "and this")
        assert await grown(queue, 200, 5.0) == whole

    run_virtual(main())


def test_what_has_no_sound_ends_a_piece_and_comes_next() -> None:
    async def main() -> None:
        queue = await queue_of("one,", "\n", "two")
        assert await grown(queue, 200, 0.0) == "one,"
        assert [await spoken(queue), await spoken(queue)] == ["", "two"]

    run_virtual(main())


def test_it_waits_for_more_as_long_as_it_may() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        queue = await queue_of("one ", over=False)
        piece = asyncio.create_task(grown(queue, 100, 0.5))
        await asyncio.sleep(0.4)
        await queue.put(clause("two "))
        assert await piece == "one two"
        assert loop.time() == pytest.approx(0.5)
        await queue.put(clause("three"))
        assert await spoken(queue) == "three"

    run_virtual(main())


def test_the_end_of_the_reply_ends_the_wait() -> None:
    async def main() -> None:
        queue = await queue_of("one ", over=False)
        piece = asyncio.create_task(grown(queue, 100, 5.0))
        await asyncio.sleep(0.1)
        await queue.put(None)
        assert await piece == "one"
        assert asyncio.get_running_loop().time() == pytest.approx(0.1)
        assert await spoken(queue) is None

    run_virtual(main())


def test_a_piece_that_is_not_wanted_any_more_gives_back_what_it_took() -> None:
    async def main() -> None:
        queue = await queue_of("one ", "two ", "three ", over=False)
        piece = asyncio.create_task(grown(queue, 100, 5.0))
        await asyncio.sleep(0.1)
        piece.cancel()
        await asyncio.gather(piece, return_exceptions=True)
        await queue.put(None)
        assert [await spoken(queue) for _ in range(3)] == ["two", "three", None]

    run_virtual(main())
