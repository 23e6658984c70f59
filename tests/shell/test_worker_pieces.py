"""Frames, text, the outbox, the meter: what needs no socket."""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import given
from hypothesis import strategies as st

from antiphon.audio import FRAME_BYTES, FRAME_SAMPLES
from antiphon.core.speech import Word
from antiphon.engines.segments import parts_of
from antiphon.worker.frames import Framer, TextFeed
from antiphon.worker.meter import WorkMeter
from antiphon.worker.outbox import Hold, Outbox, Parcel
from antiphon.worker.single import SingleWork


@given(st.lists(st.integers(0, 3000), max_size=20), st.integers(0, 10_000))
def test_frames_are_the_audio(sizes: list[int], skip: int) -> None:
    framer, pcm, frames = Framer(skip), b"", []
    for size in sizes:
        chunk = bytes([1]) * (size * 2)
        pcm += chunk
        frames += framer.push(chunk)
    assert all(len(frame.pcm) == FRAME_BYTES and frame.padding_from is None for frame in frames)
    last = framer.finish()
    kept = last.pcm if last.padding_from is None else last.pcm[: last.padding_from * 2]
    assert b"".join(frame.pcm for frame in frames) + kept == pcm[skip * 2 :]
    assert len(last.pcm) == (FRAME_BYTES if len(pcm) > skip * 2 else 0)
    assert framer.samples == len(pcm) // 2


def test_words_go_with_the_next_frame_and_none_is_lost() -> None:
    framer = Framer(skip_samples=10)
    skipped, first, second = Word(0, 1, 0, 10), Word(2, 3, 5, 20), Word(4, 5, 20, 30)
    frames = framer.push(bytes(FRAME_BYTES * 3), (skipped, first))
    assert [frame.words for frame in frames] == [(first,), ()]
    assert framer.push(b"", (second,)) == []
    assert framer.finish().words == (second,)
    assert framer.samples == 3 * FRAME_SAMPLES


@given(st.text(alphabet="ab. ,", max_size=900), st.lists(st.integers(0, 900), max_size=6))
def test_pieces_depend_on_the_text_alone(text: str, cuts: list[int]) -> None:
    async def pieces() -> list[str]:
        feed = TextFeed()
        reading = asyncio.create_task(collect(feed))
        bounds = [0, *sorted(cuts), len(text)]
        for start, end in itertools.pairwise(bounds):
            feed.add(text[start : max(start, end)])
            await asyncio.sleep(0)
        feed.flush()
        found = await reading
        assert feed.starts == [sum(map(len, found[:index])) for index in range(len(found))]
        return found

    async def collect(feed: TextFeed) -> list[str]:
        return [piece async for piece in feed.pieces()]

    expected = [part.text for part in parts_of(text)] if text else []
    assert asyncio.run(pieces()) == expected


async def test_the_outbox_keeps_credit_holds_and_bounds() -> None:
    outbox: Outbox[str] = Outbox(limit=2)
    outbox.put(Parcel("a", 0, cost=1))
    outbox.put(Parcel("b", 1, cost=1))
    room = asyncio.create_task(outbox.room())
    taking = asyncio.create_task(outbox.next())
    await asyncio.sleep(0)
    assert not taking.done()
    outbox.hold(Hold.STREAM)
    outbox.hold(Hold.SESSION)
    outbox.allow(1)
    outbox.release(Hold.STREAM)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not taking.done()
    outbox.put_urgent(Parcel("now", 9))
    assert await taking == Parcel("now", 9)
    outbox.release(Hold.SESSION)
    assert await outbox.next() == Parcel("a", 0, cost=1)
    await room
    outbox.drop(1)
    outbox.put(Parcel("c", 2))
    outbox.finish()
    assert await outbox.next() == Parcel("c", 2)
    assert await outbox.next() is None


def test_the_meter_knows_the_last_minute() -> None:
    meter = WorkMeter()
    assert meter.rtf(0) == 0
    meter.add(1, 10, 0)
    meter.add(3, 10, 30)
    assert meter.rtf(31) == 0.2
    assert meter.rtf(61.5) == 0.3
    assert meter.rtf(200) == 0


async def test_a_single_work_is_held_up_and_stopped_as_one_segment() -> None:
    work: SingleWork[str] = SingleWork(limit=2)
    assert work.pause() == 1
    work.outbox.put(Parcel("held"))
    leaving = asyncio.create_task(work.outbox.next())
    await asyncio.sleep(0)
    assert not leaving.done()
    assert work.resume() == 1
    assert await leaving == Parcel("held")
    assert not work.stopping.is_set()
    assert work.stop() == 1
    assert work.stopping.is_set()
