"""Several clauses spoken at once, and heard one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pytest

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines import tone_code
from antiphon.engines.scripted import ScriptedSynthesizer
from antiphon.errors import EngineError
from antiphon.session.clause_pool import ClausePool, UnspokenError
from antiphon.sim.virtual_time import run_virtual

ALPHA = Voice("alpha")


class Choosy(ScriptedSynthesizer):
    """Fails at one text, after so many chunks."""

    bad = "two"
    after = 0

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        piece = await anext(text)

        async def once() -> AsyncIterator[str]:
            yield piece

        count = 0
        async with aclosing(super().speak(once(), voice)) as chunks:
            async for chunk in chunks:
                if piece.startswith(self.bad) and count == self.after:
                    raise EngineError("no room for another stream", retryable=True)
                count += 1
                yield chunk


async def heard(pool: ClausePool, into: bytearray) -> None:
    async with aclosing(pool.chunks()) as chunks:
        async for chunk in chunks:
            into.extend(chunk.pcm)


def words(pcm: bytearray) -> str:
    return tone_code.decode(bytes(pcm), MOUTH_RATE_HZ).strip()


def test_they_are_made_together_and_heard_in_order() -> None:
    async def main() -> None:
        voice = ScriptedSynthesizer.from_options("first_audio_ms=100,speed=1")
        pool, audio = ClausePool(voice), bytearray()
        for text in ("one two", "three", "four five"):
            pool.begin(text, ALPHA)
        await heard(pool, audio)
        assert words(audio) == "one two three four five"
        assert len(pool) == 0
        seconds = len(audio) / 2 / MOUTH_RATE_HZ
        assert asyncio.get_running_loop().time() < 0.1 + seconds / 2, "together they are quicker than speech"
        assert voice.running == 0

    run_virtual(main())


def test_one_that_is_begun_while_others_are_heard_comes_after_them() -> None:
    async def main() -> None:
        pool, audio = ClausePool(ScriptedSynthesizer.from_options("speed=1")), bytearray()
        pool.begin("one more word", ALPHA)
        hearing = asyncio.create_task(heard(pool, audio))
        await asyncio.sleep(0.1)
        pool.begin("two", ALPHA)
        await hearing
        assert words(audio) == "one more word two"

    run_virtual(main())


def test_what_a_voice_had_no_room_for_is_to_be_said_yet() -> None:
    async def main() -> None:
        voice = Choosy.from_options("speed=1")
        pool, audio = ClausePool(voice), bytearray()
        for text in ("one", "two", "three"):
            pool.begin(text, ALPHA)
        with pytest.raises(UnspokenError) as caught:
            await heard(pool, audio)
        assert caught.value.texts == ("two", "three")
        assert words(audio) == "one"
        assert (len(pool), voice.running) == (0, 0)

    run_virtual(main())


def test_a_failure_in_mid_clause_is_the_voices() -> None:
    async def main() -> None:
        voice = Choosy.from_options("speed=1")
        voice.after = 1
        pool, audio = ClausePool(voice), bytearray()
        pool.begin("two words", ALPHA)
        with pytest.raises(EngineError, match="no room"):
            await heard(pool, audio)
        assert words(audio) == "two"

    run_virtual(main())


def test_closing_it_stops_all_of_them() -> None:
    async def main() -> None:
        voice = ScriptedSynthesizer.from_options("speed=1")
        pool = ClausePool(voice)
        for text in ("one more", "two more", "three more"):
            pool.begin(text, ALPHA)
        await asyncio.sleep(0.05)
        assert voice.running == 3
        await pool.close()
        assert (len(pool), voice.running) == (0, 0)

    run_virtual(main())
