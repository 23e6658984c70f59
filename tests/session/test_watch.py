"""Watched engines hold virtual time back while they work, and never when they do not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable

import numpy as np

from antiphon.core.speech import AudioChunk, BrainDelta, BrainRequest, Voice
from antiphon.engines.base import RecognizerStream, Transcript, VadStream
from antiphon.engines.scripted import ScriptedBrain, ScriptedRecognizer, ScriptedSynthesizer, ScriptedVad
from antiphon.engines.suite import Suite
from antiphon.sim.caller import call
from antiphon.sim.virtual_time import run_virtual
from antiphon.sim.watch import Watch

WORK_S = 0.01


async def work() -> None:
    """What a real engine does: it answers by another thread, and the loop knows nothing of it until it has."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def run() -> None:
        time.sleep(WORK_S)
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=run)
    thread.start()
    await done
    thread.join()


class SlowRecognizer(ScriptedRecognizer):
    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> RecognizerStream:
        inner = super().open(on_partial, language)

        class Slow:
            feed = staticmethod(inner.feed)
            close = staticmethod(inner.close)

            async def final(self) -> Transcript:
                await work()
                return await inner.final()

        return Slow()


class SlowBrain(ScriptedBrain):
    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        await work()
        async for delta in super().respond(request):
            yield delta


class SlowSynthesizer(ScriptedSynthesizer):
    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        async for chunk in super().speak(text, voice):
            await work()
            yield chunk


def test_a_conversation_with_working_engines_runs_ahead_of_the_clock_and_not_of_them() -> None:
    watch = Watch()
    suite = watch.over(Suite(ScriptedVad(), SlowRecognizer(), SlowBrain(), SlowSynthesizer()))

    async def main() -> tuple[float, float]:
        async with call(suite) as caller:
            await caller.say("count to 12")
            ended_at = caller.now
            answer = await caller.answer()
            await caller.rest()
            assert answer.status == "completed"
            assert len(answer.spoken_words()) == 12
            await caller.pause(60_000)
            assert answer.first_audio_at is not None
            return caller.now, answer.first_audio_at - ended_at

    began = time.monotonic()
    length_s, response_s = run_virtual(main(), busy=watch.busy)
    assert length_s > 60
    assert time.monotonic() - began < 30
    assert 0.2 <= response_s < 3  # the engines' real work counts
    assert not watch.busy()


def test_nobody_waits_for_a_closed_stream() -> None:
    class DeafVad(ScriptedVad):
        def open(self, on_probability: Callable[[float], None]) -> VadStream:
            return super().open(lambda probability: None)

    watch = Watch()
    stream = watch.over(Suite(DeafVad(), ScriptedRecognizer(), ScriptedBrain(), ScriptedSynthesizer())).vad.open(print)
    stream.push(np.zeros(512, np.int16))
    assert watch.busy()
    stream.close()
    assert not watch.busy()


def test_a_synthesizer_without_text_is_not_at_work() -> None:
    watch = Watch()
    suite = watch.over(Suite(ScriptedVad(), ScriptedRecognizer(), ScriptedBrain(), ScriptedSynthesizer()))

    async def late() -> AsyncIterator[str]:
        await asyncio.sleep(500)
        assert not watch.busy()
        yield "one"

    async def main() -> int:
        return len([chunk async for chunk in suite.synthesizer.speak(late(), Voice("alpha"))])

    assert run_virtual(main(), busy=watch.busy) == 1
    assert not watch.busy()
