"""Conversations that the ablations hold: what the user says, with the pauses in it, spoken by the embedded voices.

A bar stands for a pause in mid-sentence, in which nothing is over. The texts were written for this.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

from antiphon.apps.selftest.measures import speech_span
from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, resample
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer
from antiphon.engines.espeak import EspeakSynthesizer
from antiphon.engines.pico import PicoSynthesizer

PAUSES_MS = (260, 380, 320, 440)
"""One after the other, wherever there is a bar. All are shorter than the silence that ends a turn here."""

DIALOGUES = (
    (
        "Good morning, I would like to book a table for four people.",
        "Tomorrow evening | at about half past seven.",
        "Is there a table | by the window?",
        "Then please put it under the name of Miller.",
    ),
    (
        "My washing machine does not start any more.",
        "It makes a humming sound | and then it stops.",
        "I bought it about two years ago.",
        "Could somebody come | and have a look at it this week?",
    ),
    (
        "What is the fastest way to the central station?",
        "And how long | does the tram take?",
        "Do I have to buy the ticket before I get on?",
        "All right, then I will | rather walk there.",
    ),
    (
        "Can you explain to me why the sky is blue?",
        "But then | why is it red in the evening?",
        "Is it the same | on other planets?",
        "Thank you, that was very clear.",
    ),
    (
        "Please remind me to water the plants on Friday.",
        "No wait | on Saturday, in the morning.",
        "What else is on my list for the weekend?",
        "Move the shopping | to the afternoon.",
    ),
    (
        "I am looking for a present for my sister.",
        "She likes to cook | and she reads a lot.",
        "It should not cost | more than thirty euros.",
        "That sounds good, which one would you take?",
    ),
)

ANSWERS = (
    "Of course, I can do that for you right away. Is there anything else that I should know before I go on?",
    "Let me see what there is at that time. It looks good so far, and I will tell you as soon as it is certain.",
    "Yes, as far as I know that is possible. It depends a little on the day, so let me check it first.",
    "I have written it down. You will hear from us in the course of the day, by the evening at the latest.",
)
"""What the brain of stated times answers, one after the other: their sense does not matter."""


@dataclass(frozen=True, slots=True)
class SpokenTurn:
    """Mono s16 at 16 kHz, from the first sound to the last."""

    text: str
    pcm: bytes
    pauses: int

    @property
    def length_s(self) -> float:
        return len(self.pcm) / 2 / EAR_RATE_HZ


Dialogue = tuple[SpokenTurn, ...]


async def spoken_dialogues() -> list[Dialogue]:
    """Each in one of three voices, none of which is the agent's."""
    pico, espeak = PicoSynthesizer(), EspeakSynthesizer()
    await pico.load()
    await espeak.load()
    voices: tuple[tuple[Synthesizer, str], ...] = ((pico, "en-GB"), (pico, "en-US"), (espeak, "en-GB"))
    found = []
    number = 0
    for index, texts in enumerate(DIALOGUES):
        engine, voice = voices[index % len(voices)]
        turns = []
        for text in texts:
            parts = [await _said(engine, voice, part.strip()) for part in text.split("|")]
            pcm = parts[0]
            for part in parts[1:]:
                pause_ms = PAUSES_MS[number % len(PAUSES_MS)]
                number += 1
                pcm += bytes(EAR_RATE_HZ * pause_ms // 1000 * 2) + part
            turns.append(SpokenTurn(text.replace("| ", ""), pcm, len(parts) - 1))
        found.append(tuple(turns))
    await pico.close()
    await espeak.close()
    return found


async def _said(engine: Synthesizer, voice: str, text: str) -> bytes:
    """From its first sound to its last."""

    async def once() -> AsyncIterator[str]:
        yield text

    async with aclosing(engine.speak(once(), Voice(voice))) as chunks:
        audio = b"".join([chunk.pcm async for chunk in chunks])
    pcm = resample(audio, MOUTH_RATE_HZ, EAR_RATE_HZ)
    start, end = speech_span(pcm, EAR_RATE_HZ)
    return pcm[start * 2 : end * 2]
