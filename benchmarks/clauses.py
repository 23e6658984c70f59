"""Clauses and word times: what a delta costs, how early the first clause comes, how far estimated word times are off.

    python benchmarks/clauses.py

The word times are compared with those that eSpeak NG gives for its own speech.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator

from antiphon.core.clauses import Clause, Clauses
from antiphon.core.speech import Voice, Word
from antiphon.core.spoken import SpokenSegment
from antiphon.engines.espeak import EspeakSynthesizer

REPLIES = (
    "Sure, I can help with that, and it will not take very long. The weather in Amsterdam today is mostly cloudy with "
    "a high of nineteen degrees. Would you like to know about tomorrow as well?",
    "You could visit the national museum, walk along the canals, or take a short boat trip through the old harbour. "
    "I'd recommend booking tickets in advance because the queues get long in summer.",
    "Photosynthesis is the process by which plants convert sunlight, water and carbon dioxide into glucose and oxygen. "
    "It happens in the **chloroplasts**, see [this page](https://example.com/plants) for more.",
    "That is $12.50, or 20% less than before:\n\n- two coffees\n- one sandwich\n\nDr. Jones said it would be ready by "
    "10:30, e.g. for a late breakfast.",
)
DELTA_CHARS = 4
"""About one token."""
ROUNDS = 50


def deltas_of(text: str) -> Iterator[str]:
    return (text[at : at + DELTA_CHARS] for at in range(0, len(text), DELTA_CHARS))


def clauses_of(text: str) -> list[Clause]:
    clauses = Clauses()
    return [*clauses.push(text), *clauses.finish()]


def delta_costs_us() -> list[float]:
    costs = []
    for _ in range(ROUNDS):
        for reply in REPLIES:
            clauses = Clauses()
            for delta in deltas_of(reply):
                began = time.perf_counter()
                clauses.push(delta)
                costs.append((time.perf_counter() - began) * 1e6)
            clauses.finish()
    return costs


def deltas_to_first_clause(reply: str) -> int:
    """How many deltas the voice waits for."""
    clauses = Clauses()
    for count, delta in enumerate(deltas_of(reply), 1):
        if any(clause.spoken for clause in clauses.push(delta)):
            return count
    return len(list(deltas_of(reply)))


async def word_errors_ms() -> list[float]:
    """For every word: its end as estimated from the audio, less its end as the engine gave it."""
    synthesizer = EspeakSynthesizer()
    await synthesizer.load()
    clauses = [clause for reply in REPLIES for clause in clauses_of(reply) if clause.spoken]

    async def texts() -> AsyncIterator[str]:
        for clause in clauses:
            yield clause.spoken

    pcm = [b""] * len(clauses)
    words: list[list[Word]] = [[] for _ in clauses]
    async for chunk in synthesizer.speak(texts(), Voice(synthesizer.voices[0].name)):
        pcm[chunk.segment] += chunk.pcm
        words[chunk.segment] += chunk.words
    await synthesizer.close()
    errors = []
    for index, clause in enumerate(clauses):
        given, estimated = SpokenSegment(clause), SpokenSegment(clause)
        given.add_words(words[index])
        for segment in (given, estimated):
            segment.add_audio(pcm[index])
            segment.close(len(pcm[index]) // 2)
        pairs = zip(estimated.timeline(), given.timeline(), strict=True)
        errors += [guess.end_ms - truth.end_ms for guess, truth in pairs]
    return errors


def main() -> None:
    costs = sorted(delta_costs_us())
    print(
        f"a delta of {DELTA_CHARS} characters: {statistics.mean(costs):.1f} us, p99 {costs[len(costs) * 99 // 100]:.1f}"
    )
    for reply in REPLIES:
        print(f"first clause after {deltas_to_first_clause(reply)} deltas: {clauses_of(reply)[0].spoken!r}")
    errors = asyncio.run(word_errors_ms())
    sizes = sorted(map(abs, errors))
    print(
        f"estimated word ends, {len(errors)} words: off by {statistics.median(sizes):.0f} ms in the median, "
        f"p90 {sizes[len(sizes) * 9 // 10]:.0f}, mean {statistics.mean(errors):+.0f}"
    )


if __name__ == "__main__":
    main()
