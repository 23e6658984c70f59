"""Who speaks in the self-test: a human recording and a second voice; and who listens to the agent again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from antiphon.apps.selftest.caller import Utterance, utterance
from antiphon.apps.selftest.measures import speech_span
from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ, resample
from antiphon.core.speech import Voice
from antiphon.engines.base import Recognizer, Synthesizer
from antiphon.sim.speech import recordings

HUMAN = "beckett"
"""The shorter of the recordings."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What the caller says."""

    human: Utterance
    name: Utterance
    ask_name: Utterance
    long: Utterance
    interrupt: Utterance
    backchannel: Utterance
    tool: Utterance
    typed: str


NAME = "My name is Sam."
ASK_NAME = "What is my name?"
LONG = "Tell me about yourself."
INTERRUPT = "Stop. How old are you?"
BACKCHANNEL = "Yeah."
TOOL = "What is the weather in Paris?"
TYPED = "Hello. What is your favorite color?"


async def rehearse(synthesizer: Synthesizer, voice: Voice) -> Lines:
    """Prepares all that the caller will say. Raises EngineError."""

    async def line(text: str) -> Utterance:
        pcm = resample(await _spoken(synthesizer, voice, text), MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ)
        return utterance(text, pcm, speech_span(pcm, WIRE_PCM_RATE_HZ))

    return Lines(
        human=human_line(HUMAN),
        name=await line(NAME),
        ask_name=await line(ASK_NAME),
        long=await line(LONG),
        interrupt=await line(INTERRUPT),
        backchannel=await line(BACKCHANNEL),
        tool=await line(TOOL),
        typed=TYPED,
    )


def human_line(name: str) -> Utterance:
    """A human recording by its name."""
    recording = next(recording for recording in recordings() if recording.name == name)
    pcm = resample(recording.pcm, EAR_RATE_HZ, WIRE_PCM_RATE_HZ)
    scale = WIRE_PCM_RATE_HZ / EAR_RATE_HZ
    return utterance(recording.text, pcm, (int(recording.start_sample * scale), int(recording.end_sample * scale)))


async def _spoken(synthesizer: Synthesizer, voice: Voice, text: str) -> bytes:
    async def once() -> AsyncIterator[str]:
        yield text

    async with aclosing(synthesizer.speak(once(), voice)) as chunks:
        return b"".join([chunk.pcm async for chunk in chunks])


async def recognized(recognizer: Recognizer, pcm: bytes) -> str:
    """What the recognizer hears in mono s16 at 24 kHz. Raises EngineError."""
    stream = recognizer.open(lambda partial: None)
    try:
        stream.feed(resample(pcm, WIRE_PCM_RATE_HZ, EAR_RATE_HZ))
        return (await stream.final()).text
    finally:
        stream.close()
