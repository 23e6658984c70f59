"""Text in, chunks out through threads: order, bounds, cancelling, errors."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.spoken_sound import pieces

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Word
from antiphon.engines.segments import LOOKAHEAD_S, Emit, parts_of, speak_segments
from antiphon.errors import EngineError


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def spell(text: str, emit: Emit) -> None:
    """Ten samples a character, one word."""
    emit(bytes(20 * len(text)), (Word(0, len(text), 0, 10 * len(text)),) if text else ())


@given(st.text(alphabet="ab ,.。\n", max_size=200), st.integers(3, 50))
def test_parts_join_to_the_text(text: str, limit: int) -> None:
    parts = list(parts_of(text, limit))
    assert "".join(part.text for part in parts) == text
    assert all(len(part.text) <= limit for part in parts)
    assert all(text[part.start_char :].startswith(part.text) for part in parts)
    assert all(part.text for part in parts) or len(parts) == 1


def test_parts_end_at_sentences_then_commas_then_spaces() -> None:
    assert [part.text for part in parts_of("One is here. Two, three four", 20)] == ["One is here. ", "Two, three four"]
    assert [part.text for part in parts_of("One is here, two three four", 20)] == ["One is here, ", "two three four"]
    assert [part.text for part in parts_of("aaaa bbbb cccc dddd eeee", 20)] == ["aaaa bbbb cccc dddd ", "eeee"]


async def test_each_segment_has_one_last_chunk_in_order(executor: ThreadPoolExecutor) -> None:
    chunks = [chunk async for chunk in speak_segments(pieces("one", "", "two"), executor, spell)]
    assert [(chunk.segment, len(chunk.pcm), chunk.last) for chunk in chunks if chunk.pcm or chunk.last] == [
        (0, 60, False),
        (0, 0, True),
        (1, 0, True),
        (2, 60, False),
        (2, 0, True),
    ]


async def test_words_of_later_parts_are_counted_from_the_start_of_the_segment(executor: ThreadPoolExecutor) -> None:
    text = "a" * 100 + ". " + "b" * 100
    chunks = [chunk async for chunk in speak_segments(pieces(text), executor, spell)]
    assert [word for chunk in chunks for word in chunk.words] == [Word(0, 102, 0, 1020), Word(102, 202, 1020, 2020)]


async def test_a_segment_is_spoken_before_the_next_is_written(executor: ThreadPoolExecutor) -> None:
    written = asyncio.Event()

    async def slow() -> AsyncIterator[str]:
        yield "first"
        await written.wait()
        yield "second"

    async with aclosing(speak_segments(slow(), executor, spell)) as chunks:
        assert (await anext(chunks)).segment == 0
        assert (await anext(chunks)).last
        written.set()
        assert (await anext(chunks)).segment == 1


async def test_a_reader_that_stops_reading_stops_the_work(executor: ThreadPoolExecutor) -> None:
    rendered: list[str] = []

    def one_second(text: str, emit: Emit) -> None:
        rendered.append(text)
        emit(bytes(2 * MOUTH_RATE_HZ), ())

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "again"

    async with aclosing(speak_segments(endless(), executor, one_second)) as chunks:
        await anext(chunks)
        for _ in range(20):  # jobs of the one thread are done in order, so each round lets one more render through
            await asyncio.get_running_loop().run_in_executor(executor, lambda: None)
            await asyncio.sleep(0)
        taken_s, being_rendered_s = 1, 1
        assert len(rendered) == taken_s + LOOKAHEAD_S + being_rendered_s


async def test_closing_stops_a_running_render(executor: ThreadPoolExecutor) -> None:
    stopped = threading.Event()

    def forever(_text: str, emit: Emit) -> None:
        while emit(bytes(2), ()):
            pass
        stopped.set()

    async with aclosing(speak_segments(pieces("a"), executor, forever)) as chunks:
        await anext(chunks)
    assert await asyncio.to_thread(stopped.wait, 10)


async def test_closing_closes_the_text_too(executor: ThreadPoolExecutor) -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[str]:
        try:
            while True:
                yield "again"
        finally:
            closed.set()

    async with aclosing(speak_segments(endless(), executor, spell)) as chunks:
        await anext(chunks)
    assert closed.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_what_a_render_raises_reaches_the_reader(executor: ThreadPoolExecutor) -> None:
    def broken(_text: str, _emit: Emit) -> None:
        raise EngineError("no voice today")

    with pytest.raises(EngineError, match="no voice today"):
        [chunk async for chunk in speak_segments(pieces("a"), executor, broken)]


async def test_a_failing_text_reaches_the_reader(executor: ThreadPoolExecutor) -> None:
    async def failing() -> AsyncIterator[str]:
        yield "one"
        raise EngineError("the brain fell asleep")

    heard: list[AudioChunk] = []

    async def listen() -> None:
        async for chunk in speak_segments(failing(), executor, spell):
            heard.append(chunk)  # noqa: PERF401

    with pytest.raises(EngineError, match="fell asleep"):
        await listen()
    assert heard[-1].last


async def test_a_closed_executor_is_an_engine_error() -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(EngineError, match="closed"):
        [chunk async for chunk in speak_segments(pieces("a"), executor, spell)]
