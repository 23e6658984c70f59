"""What is said from memory, and that a listener cannot tell."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.commands import CreateReply
from antiphon.core.settings import ReplySettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import AudioChunk, Voice
from antiphon.core.speech_memory import SpeechMemory
from antiphon.engines import tone_code
from antiphon.engines.base import VoiceInfo
from antiphon.engines.scripted import ScriptedSynthesizer, SynthesizerOptions
from antiphon.session.speech_source import SpeechSource
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.virtual_time import run_virtual

ALPHA = Voice("alpha")
MB = 1_000_000


class Engine(ScriptedSynthesizer):
    """Notes what it was asked to say."""

    version = ""

    def __init__(self) -> None:
        super().__init__(SynthesizerOptions(first_audio_ms=200))
        self.said: list[str] = []

    @property
    def voices(self) -> tuple[VoiceInfo, ...]:
        return tuple(replace(voice, version=self.version) for voice in super().voices)

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        async def noted() -> AsyncGenerator[str]:
            async for piece in text:
                self.said.append(piece)
                yield piece

        async with aclosing(super().speak(noted(), voice)) as chunks:
            async for chunk in chunks:
                yield chunk


def source_of(engine: Engine, memory: SpeechMemory | None = None, *, fixed: bool = False) -> SpeechSource:
    return SpeechSource(engine, lambda: Ahead.VOICE, memory or SpeechMemory(8 * MB), fixed)


async def spoken(
    source: SpeechSource, pieces: Sequence[str], voice: Voice = ALPHA, *, opening: bool = True
) -> list[AudioChunk]:
    """The chunks; each piece is given when the one before was taken."""
    taken = asyncio.Event()

    async def text() -> AsyncGenerator[str]:
        for piece in pieces:
            taken.clear()
            yield piece
            await taken.wait()

    chunks = []
    async with aclosing(text()) as given, aclosing(source.speak(given, voice, opening=opening)) as audio:
        async for chunk in audio:
            chunks.append(chunk)
            if chunk.last:
                taken.set()
    return chunks


def test_an_opening_is_remembered_from_the_second_time_on_bit_by_bit() -> None:
    async def main() -> None:
        engine = Engine()
        source = source_of(engine)
        first = await spoken(source, ["sure, I can", "help"])
        second = await spoken(source, ["sure, I can", "with that"])
        engine.said.clear()
        began_at = asyncio.get_running_loop().time()
        third = await spoken(source, ["sure, I can"])
        assert asyncio.get_running_loop().time() == began_at
        assert not engine.said
        assert third == [chunk for chunk in first if chunk.segment == 0]
        assert third == [chunk for chunk in second if chunk.segment == 0]

    run_virtual(main())


def test_only_the_beginning_of_a_reply_is_an_opening() -> None:
    async def main() -> None:
        engine = Engine()
        source = source_of(engine)
        for _ in range(3):
            await spoken(source, ["sure", "yes"])
            await spoken(source, ["well"], opening=False)
        assert engine.said.count("sure") == 2
        assert engine.said.count("yes") == 3
        assert engine.said.count("well") == 3

    run_virtual(main())


def test_a_fixed_text_is_remembered_whole_and_at_once() -> None:
    async def main() -> None:
        engine = Engine()
        source = source_of(engine).for_fixed_texts()
        first = await spoken(source, ["welcome", "how may I help", "today"])
        assert await spoken(source, ["welcome", "how may I help", "today"]) == first
        assert engine.said == ["welcome", "how may I help", "today"]

    run_virtual(main())


def test_another_voice_speed_or_version_is_another_sound() -> None:
    async def main() -> None:
        engine = Engine()
        source = source_of(engine, fixed=True)
        for voice in (ALPHA, Voice("beta"), Voice("alpha", 1.2), ALPHA):
            await spoken(source, ["welcome"], voice)
        assert len(engine.said) == 3
        engine.version = "2"
        await spoken(source, ["welcome"])
        assert len(engine.said) == 4
        await spoken(source, ["welcome"], Voice("nobody"))
        await spoken(source, ["welcome"], Voice("nobody"))
        assert len(engine.said) == 6, "whoever speaks in its place may be another one the next time"

    run_virtual(main())


def test_a_reply_that_was_broken_off_is_not_kept() -> None:
    async def main() -> None:
        engine = Engine()
        source = source_of(engine, fixed=True)

        async def text() -> AsyncGenerator[str]:
            yield "welcome to all"

        async with aclosing(text()) as given, aclosing(source.speak(given, ALPHA, opening=True)) as chunks:
            await anext(chunks)
        assert engine.running == 0
        await spoken(source, ["welcome to all"])
        assert engine.said == ["welcome to all"] * 2

    run_virtual(main())


def test_what_comes_from_memory_says_nothing_of_the_voices_pace() -> None:
    async def main() -> None:
        source = source_of(Engine(), fixed=True)
        await spoken(source, ["welcome"])
        known_s = source.pace(ALPHA).first_audio_s
        assert known_s >= 0.2
        await spoken(source, ["welcome"])
        assert source.pace(ALPHA).first_audio_s == known_s

    run_virtual(main())


PIECES = st.lists(st.sampled_from(["one", "two words", "three", "four more"]), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=4), st.booleans())
def test_what_is_heard_is_what_was_to_be_said(replies: list[list[str]], fixed: bool) -> None:
    async def main() -> None:
        memory = SpeechMemory(300_000)
        for pieces in replies:
            chunks = await spoken(source_of(Engine(), memory, fixed=fixed), pieces)
            plain = await spoken(source_of(Engine(), SpeechMemory(0)), pieces)
            assert chunks == plain
            pcm = b"".join(chunk.pcm for chunk in chunks)
            assert tone_code.decode(pcm, MOUTH_RATE_HZ).split() == " ".join(pieces).split()

    run_virtual(main())


async def greeted(caller: Caller) -> HeardReply:
    reply = caller.session.ids.reply()
    caller.session.post(CreateReply(reply, ReplySettings(voice="alpha"), text="Hello there. How may I help you today?"))
    return await caller.answer()


def test_the_second_call_is_greeted_from_memory() -> None:
    """One memory for all conversations; transcript and word times are those of the first."""

    async def main() -> None:
        memory, engine = SpeechMemory(8 * MB), Engine()
        suite = replace(scripted_suite(), synthesizer=engine)
        replies, delays_s, items = [], [], []
        for _ in range(2):
            async with call(suite, speech_memory=memory) as caller:
                began_at = caller.now
                reply = await greeted(caller)
                assert reply.first_audio_at is not None
                replies.append(reply)
                delays_s.append(reply.first_audio_at - began_at)
                items.append(next(iter(caller.session.conversation)).spoken)
        assert (round(delays_s[0], 3), delays_s[1]) == (0.2, 0.0)
        assert len(engine.said) == len(set(engine.said))
        assert replies[0].audio == replies[1].audio
        assert replies[0].transcript == replies[1].transcript
        assert items[0] == items[1]

    run_virtual(main())
