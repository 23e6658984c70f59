"""Turns of conversation that the benchmarks hold with a server, and what was measured of each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

from antiphon.apps.realtime_client import Arrival, connect
from antiphon.apps.selftest.caller import Caller, Utterance, utterance
from antiphon.apps.selftest.measures import speech_span
from antiphon.audio import MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ, resample
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer
from antiphon.engines.pico import PicoSynthesizer
from antiphon.engines.tone_code import encode

QUESTIONS = (
    "What is your name?",
    "How old are you?",
    "Where do you live?",
    "What is your favorite color?",
    "Do you like music?",
    "Who is your best friend?",
    "What time is it?",
    "Can you tell me a joke?",
    "What is the capital of France?",
    "Are you a robot?",
)
"""Short questions that a caller asks; the second voice speaks them."""

SCRIPTED_SERVER = (
    *("--vad", "scripted"),
    *("--asr", "scripted:final_ms=0"),
    *("--llm", "scripted:first_token_ms=50,token_ms=20,tokens=12"),
    *("--tts", "scripted:first_audio_ms=40,speed=10"),
)


@dataclass(frozen=True, slots=True)
class Turn:
    response_ms: float
    """From the true end of the speech to the first audible sample of the answer."""
    figures: dict[str, float]
    """The server's own, of ``session.meter``."""


async def spoken_questions(texts: Sequence[str] = QUESTIONS) -> list[Utterance]:
    """The questions in a voice that is not the agent's: Pico's British one."""
    synthesizer = PicoSynthesizer()
    await synthesizer.load()
    try:
        return [await _line(synthesizer, text) for text in texts]
    finally:
        await synthesizer.close()


async def _line(synthesizer: Synthesizer, text: str) -> Utterance:
    async def once() -> AsyncIterator[str]:
        yield text

    async with aclosing(synthesizer.speak(once(), Voice("en-GB"))) as chunks:
        audio = b"".join([chunk.pcm async for chunk in chunks])
    pcm = resample(audio, MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ)
    return utterance(text, pcm, speech_span(pcm, WIRE_PCM_RATE_HZ))


def tone_questions(texts: Sequence[str] = QUESTIONS) -> list[Utterance]:
    """The same in the language of the scripted engines."""
    lines = []
    for text in texts:
        pcm = encode(text, WIRE_PCM_RATE_HZ)
        lines.append(utterance(text, pcm, speech_span(pcm, WIRE_PCM_RATE_HZ)))
    return lines


@asynccontextmanager
async def calling(url: str, **turn_detection: object) -> AsyncIterator[Caller]:
    """A caller with an open microphone and 200 ms of end-of-turn silence."""
    detection = {"type": "server_vad", "silence_duration_ms": 200, **turn_detection}
    async with connect(url) as client, AsyncExitStack() as stack:
        caller = Caller(client)
        await caller.configure({"audio": {"input": {"turn_detection": detection}}})
        microphone = asyncio.create_task(caller.microphone.run())
        stack.callback(microphone.cancel)
        yield caller


async def ask(caller: Caller, question: Utterance) -> Turn:
    """Asks, listens to the whole answer, and tells how long it took to begin."""
    spoken = await caller.say(question)
    answer = await caller.answer(spoken.mark)
    if answer.audio.first_audible_at is None:
        raise RuntimeError(f"no audible answer to {question.text!r}")
    timing = await caller.journal.expect(is_turn_timing, timeout_s=5, since=spoken.mark, name="the turn's figures")
    figures = {name: float(value) for name, value in timing.child("figures").items()}
    return Turn((answer.audio.first_audible_at - spoken.end_at) * 1000, figures)


def is_turn_timing(arrival: Arrival) -> bool:
    return arrival.kind == "antiphon.turn"
