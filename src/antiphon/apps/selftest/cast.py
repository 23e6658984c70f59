"""Who speaks in the self-test: a human recording and a second voice; and who listens to the agent again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from antiphon.apps.selftest.caller import Utterance, utterance
from antiphon.apps.selftest.measures import speech_span
from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ, ms_to_bytes, resample
from antiphon.core.speech import Voice
from antiphon.engines.base import Recognizer, Synthesizer
from antiphon.sim.speech import recordings

HUMAN, HUMAN_ENDS, HUMAN_S = "two_cities", "epoch of belief", 9.1
"""Of the longer recording the words up to these, which take so long; then comes a pause."""


@dataclass(frozen=True, slots=True)
class Lines:
    """What the caller says."""

    human: Utterance
    name: Utterance
    ask_name: Utterance
    long: Utterance
    interrupt: Utterance
    define: Utterance
    backchannel: Utterance
    tool: Utterance
    typed: str


NAME = "My name is Sam."
ASK_NAME = "What is my name?"
LONG = "Please tell me a story."
INTERRUPT = "What is the meaning of life?"
DEFINE = "What is artificial intelligence?"
"""Whose answer takes some seconds, with any brain."""
BACKCHANNEL = "Yes."
TOOL = "What is the weather in Paris?"
TYPED = "Hello. What is your favorite color?"


async def rehearse(synthesizer: Synthesizer, voice: Voice) -> Lines:
    """Prepares all that the caller will say. Raises EngineError."""

    async def line(text: str) -> Utterance:
        pcm = resample(await _spoken(synthesizer, voice, text), MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ)
        return utterance(text, pcm, speech_span(pcm, WIRE_PCM_RATE_HZ))

    return Lines(
        human=human_line(),
        name=await line(NAME),
        ask_name=await line(ASK_NAME),
        long=await line(LONG),
        interrupt=await line(INTERRUPT),
        define=await line(DEFINE),
        backchannel=await line(BACKCHANNEL),
        tool=await line(TOOL),
        typed=TYPED,
    )


def human_line() -> Utterance:
    """The beginning of a human recording."""
    recording = next(recording for recording in recordings() if recording.name == HUMAN)
    begin, end = recording.start_sample, recording.start_sample + int(HUMAN_S * EAR_RATE_HZ)
    pcm = resample(recording.samples[:end].tobytes(), EAR_RATE_HZ, WIRE_PCM_RATE_HZ)
    text = recording.text[: recording.text.index(HUMAN_ENDS) + len(HUMAN_ENDS)]
    return utterance(text, pcm, (begin * WIRE_PCM_RATE_HZ // EAR_RATE_HZ, len(pcm) // 2))


async def _spoken(synthesizer: Synthesizer, voice: Voice, text: str) -> bytes:
    async def once() -> AsyncIterator[str]:
        yield text

    async with aclosing(synthesizer.speak(once(), voice)) as chunks:
        return b"".join([chunk.pcm async for chunk in chunks])


LEADS_MS = (300, 0, 500)
"""Silences around the audio for the recognizer's hearings: a small model hears some words or other by the lead-in."""


async def hearings(recognizer: Recognizer, pcm: bytes) -> list[str]:
    """What the recognizer hears in mono s16 at 24 kHz, more than once. Raises EngineError."""
    heard: list[str] = []
    for lead_ms in LEADS_MS:
        silence = bytes(ms_to_bytes(lead_ms, EAR_RATE_HZ))
        stream = recognizer.open(lambda partial: None)
        try:
            stream.feed(silence + resample(pcm, WIRE_PCM_RATE_HZ, EAR_RATE_HZ) + silence)
            heard.append((await stream.final()).text)
        finally:
            stream.close()
    return heard
