"""How the text of answers reaches the voice: words early, growing pieces, several clauses at once, from memory.

    python -m benchmarks.first_words

Whole answers on virtual time, with voices of stated times: the figures do not depend on the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from itertools import pairwise

from antiphon.apps.selftest.measures import percentile
from antiphon.audio import FRAME_MS, MOUTH_RATE_HZ, first_audible
from antiphon.core.settings import ReplySettings, SessionSettings, SpeechSettings, TurnSettings
from antiphon.core.speech import AudioChunk, Voice
from antiphon.core.speech_memory import SpeechMemory
from antiphon.engines.scripted import BrainOptions, ScriptedBrain, ScriptedSynthesizer, SynthesizerOptions
from antiphon.sim.caller import Caller, call, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.virtual_time import run_virtual
from benchmarks.dialogues import ANSWERS
from benchmarks.tables import arguments, save, show

ROUNDS = 6
"""Each answer is given so often, in one conversation: its opening is known from the third time on."""

BRAIN = BrainOptions(first_token_ms=200, token_ms=25)

_BASE = SpeechSettings(word_start="never", piece_chars=0, clauses_at_once=1)
_GROWING = replace(_BASE, piece_chars=SpeechSettings().piece_chars)
_WORDS = replace(_GROWING, word_start="always")
_AT_ONCE = replace(_WORDS, clauses_at_once=3)

WAYS: dict[str, tuple[SpeechSettings, int]] = {
    "clause by clause": (_BASE, 0),
    "+ pieces grow": (_GROWING, 0),
    "+ words early": (_WORDS, 0),
    "+ three at once": (_AT_ONCE, 0),
    "+ openings from memory": (_AT_ONCE, 32_000_000),
}
"""Each has what those above it have, and the bytes of the memory."""


class WholePieces(ScriptedSynthesizer):
    """Gives nothing of a piece before all of it is made, as many neural voices do."""

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        kept: list[AudioChunk] = []
        async with aclosing(super().speak(text, voice)) as chunks:
            async for chunk in chunks:
                kept.append(chunk)
                if chunk.last:
                    for each in kept:
                        yield each
                    kept.clear()


VOICES = {
    "streams, five times as fast as speech, its first audio after 80 ms": ScriptedSynthesizer(
        SynthesizerOptions(first_audio_ms=80, speed=5)
    ),
    "streams, 1.5 times as fast as speech, after 300 ms": ScriptedSynthesizer(
        SynthesizerOptions(first_audio_ms=300, speed=1.5)
    ),
    "streams, 0.8 times as fast as speech, after 300 ms": ScriptedSynthesizer(
        SynthesizerOptions(first_audio_ms=300, speed=0.8)
    ),
    "gives whole pieces, three times as fast as speech": WholePieces(SynthesizerOptions(first_audio_ms=80, speed=3)),
}


@dataclass(slots=True)
class Found:
    first_ms: list[float] = field(default_factory=list)
    """From the request to the first sound."""
    silence_ms: list[float] = field(default_factory=list)
    """In the midst of each answer, where the voice was late."""
    pieces: list[int] = field(default_factory=list)
    """How many characters each piece has."""

    def row(self) -> dict[str, float]:
        return {
            "first_sound_p50_ms": round(percentile(self.first_ms, 0.5), 1),
            "first_sound_p95_ms": round(percentile(self.first_ms, 0.95), 1),
            "silence_ms_an_answer": round(sum(self.silence_ms) / len(self.silence_ms), 1),
            "answers_with_a_gap_percent": round(
                100 * sum(each > 100 for each in self.silence_ms) / len(self.silence_ms), 1
            ),
            "chars_a_piece": round(sum(self.pieces) / len(self.pieces), 1),
            "answers": len(self.first_ms),
        }


def _silence_ms(caller: Caller, answer: HeardReply) -> float:
    times = [each.at for each in caller.outlet.named("reply_audio") if each.args[0] == answer.id]
    return sum(max(0.0, (later - earlier) * 1000 - FRAME_MS) for earlier, later in pairwise(times))


async def answers(voice: ScriptedSynthesizer, speech: SpeechSettings, memory_bytes: int) -> Found:
    found = Found()
    suite = replace(scripted_suite(), brain=ScriptedBrain(BRAIN, answers=ANSWERS), synthesizer=voice)
    settings = SessionSettings(TurnSettings(paced=True), ReplySettings(voice="alpha", speech=speech))
    async with call(suite, settings, speech_memory=SpeechMemory(memory_bytes)) as caller:
        for number in range(ROUNDS * len(ANSWERS)):
            await caller.type(f"question {number}", respond=False)
            asked_at = caller.now
            caller.ask(settings.reply)
            answer = await caller.answer()
            await caller.rest()
            assert answer.status == "completed" and answer.first_audio_at is not None
            lead_s = (first_audible(bytes(answer.audio)) or 0) / MOUTH_RATE_HZ
            found.first_ms.append((answer.first_audio_at + lead_s - asked_at) * 1000)
            found.silence_ms.append(_silence_ms(caller, answer))
            found.pieces += [len(clause) for clause in answer.clauses]
    return found


Results = dict[tuple[str, str], Found]


async def measure(voices: Sequence[str]) -> Results:
    results = {}
    for voice in voices:
        for way, (speech, memory_bytes) in WAYS.items():
            results[voice, way] = await answers(VOICES[voice], speech, memory_bytes)
            await asyncio.sleep(0)
    return results


COLUMNS = (
    "voice", "way", "first sound p50, ms", "p95", "silence in an answer, ms", "answers with a gap, %",
    "characters a piece", "answers",
)  # fmt: skip


def table_rows(results: Results) -> list[list[object]]:
    return [[voice, way, *found.row().values()] for (voice, way), found in results.items()]


def main() -> int:
    options = arguments(__doc__).parse_args()
    results = run_virtual(measure(list(VOICES)))
    show("From text to speech", COLUMNS, table_rows(results))
    save(options.json, {f"{voice}: {way}": found.row() for (voice, way), found in results.items()})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
