"""Who speaks: how often speakers are told apart rightly, by the length of what they say, and what that costs.

Sessions in which people take turns in a random order, with real speech: the four people in the recordings of the
recognizer's package, alone and together with three voices of the embedded synthesizers. In half of the sessions half of
the people are enrolled, with other speech of theirs. A turn is right when its speaker has the name under which this
person is enrolled, or the number that was this person's first.
"""

from __future__ import annotations

import asyncio
import random
import time
import wave
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import numpy as np

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ, Samples, resample, samples_of
from antiphon.core.speech import Voice
from antiphon.core.who import Embedding
from antiphon.engines.base import Synthesizer
from antiphon.engines.espeak import EspeakSynthesizer
from antiphon.engines.pico import PicoSynthesizer
from antiphon.engines.pyannote import Pyannote
from antiphon.session.identity import Identity, Speakers
from benchmarks.tables import arguments, save, show, spread

LENGTHS_S = (1.0, 1.5, 2.0, 3.0)
TURNS = 30
PEOPLE = 4

PLAY = {
    "nagg": ((4.8, 8.0), (12.0, 14.1), (17.6, 18.8), (20.4, 21.9), (23.7, 25.9), (26.0, 27.3)),
    "nell": ((8.7, 9.9), (10.0, 11.4), (14.6, 16.9)),
}
"""Where each of the two actors speaks, in s."""

TEXT = (
    "The ferry leaves at nine in the morning. On Sundays it goes only once, so we should be at the harbour early. "
    "Bring a warm coat, because the wind is cold out there, and something to read for the way back."
)


@dataclass(slots=True)
class Tally:
    turns: Counter[tuple[float, str]] = field(default_factory=Counter)
    """By the length of the turn, and right, unnamed or wrong."""
    ghosts: list[int] = field(default_factory=list)
    """Numbers given beyond the people there were, by session."""
    waits_ms: dict[float, list[float]] = field(default_factory=dict)


def recorded(name: str) -> Samples:
    with (files("moonshine_voice") / "assets" / f"{name}.wav").open("rb") as file, wave.open(file) as recording:
        pcm = recording.readframes(recording.getnframes())
        return samples_of(resample(pcm, recording.getframerate(), EAR_RATE_HZ))


async def spoken(engine: Synthesizer, voice: str) -> Samples:
    async def text() -> AsyncIterator[str]:
        yield TEXT

    pcm = b"".join([chunk.pcm async for chunk in engine.speak(text(), Voice(voice))])
    return samples_of(resample(pcm, MOUTH_RATE_HZ, EAR_RATE_HZ))


def humans() -> dict[str, Samples]:
    play = recorded("endgame_nagg_nell")
    cut = {
        name: np.concatenate([play[int(a * EAR_RATE_HZ) : int(b * EAR_RATE_HZ)] for a, b in parts])
        for name, parts in PLAY.items()
    }
    return {"reader": recorded("two_cities"), "woman": recorded("clone-test"), **cut}


async def machines() -> dict[str, Samples]:
    pico, espeak = PicoSynthesizer(), EspeakSynthesizer()
    found: dict[str, Samples] = {}
    for engine, voices in ((pico, ("en-US", "de-DE")), (espeak, ("en-gb",))):
        await engine.load()
        for voice in voices:
            found[f"{engine.name}:{voice}"] = await spoken(engine, voice)
        await engine.close()
    return found


def piece(samples: Samples, length_s: float, chance: random.Random) -> Samples:
    size = int(length_s * EAR_RATE_HZ)
    start = chance.randrange(max(1, len(samples) - size))
    return samples[start : start + size]


def enrolled_samples(samples: Samples) -> int:
    """What a voice is enrolled with: its last three seconds, or ten where there is much of it."""
    return (10 if len(samples) > 30 * EAR_RATE_HZ else 3) * EAR_RATE_HZ


async def voice_of(model: Pyannote, samples: Samples) -> Embedding:
    heard = await model.voices(samples[-enrolled_samples(samples) :].tobytes())
    best = max(heard, key=lambda each: each.speech_ms)
    assert best.embedding is not None
    return best.embedding


async def converse(model: Pyannote, voices: Mapping[str, Samples], *, enrol: bool, seed: int, tally: Tally) -> None:
    """A session of ``PEOPLE`` people."""
    chance = random.Random(seed)
    people = chance.sample(sorted(voices), PEOPLE)
    known = people[: PEOPLE // 2] if enrol else []
    enrolled = {name: await voice_of(model, voices[name]) for name in known}
    rest = {name: voices[name][: -enrolled_samples(voices[name])] if name in known else voices[name] for name in people}
    identity = Identity(Speakers(model, lambda: enrolled))
    running = asyncio.create_task(identity.run())
    whose: dict[str, str] = {name: name for name in known}
    for _ in range(TURNS):
        person, length_s = chance.choice(people), chance.choice(LENGTHS_S)
        turn = identity.open()
        turn.feed(piece(rest[person], length_s, chance).tobytes())
        began_at = time.perf_counter()
        await turn.settle()
        tally.waits_ms.setdefault(length_s, []).append((time.perf_counter() - began_at) * 1000)
        name = turn.main_speaker
        if name is None:
            outcome = "unnamed"
        else:
            right = name == person if person in known else whose.setdefault(name, person) == person
            outcome = "right" if right else "wrong"
        tally.turns[length_s, outcome] += 1
        turn.close()
    running.cancel()
    tally.ghosts.append(max(0, len(whose) - PEOPLE))


def report(name: str, tally: Tally) -> dict[str, object]:
    rows, figures = [], {}
    for length_s in LENGTHS_S:
        counts = {outcome: tally.turns[length_s, outcome] for outcome in ("right", "unnamed", "wrong")}
        total = sum(counts.values())
        shares = {outcome: round(100 * count / total, 1) for outcome, count in counts.items()}
        waits = spread(tally.waits_ms[length_s])
        rows.append((f"{length_s} s", *shares.values(), waits["p50"], waits["p95"], total))
        figures[str(length_s)] = {**shares, "wait_ms": waits}
    columns = ("turns of", "right, %", "unnamed, %", "wrong, %", "took p50, ms", "took p95, ms", "turns")
    show(f"Who spoke, {name}", columns, rows)
    mean = sum(tally.ghosts) / len(tally.ghosts)
    print(f"Numbers beyond the people there were: {mean:.2f} a session\n")
    return {"turns": figures, "ghosts_per_session": round(mean, 2)}


async def cost(model: Pyannote, samples: Samples) -> float:
    """Seconds of CPU for a second of speech, in looks of 2.4 s."""
    identity = Identity(Speakers(model, dict))
    running = asyncio.create_task(identity.run())
    turn = identity.open()
    speech = samples[: 24 * EAR_RATE_HZ]
    step = int(2.4 * EAR_RATE_HZ)
    began = time.process_time()
    for at in range(0, len(speech), step):
        turn.feed(speech[at : at + step].tobytes())
        await turn.settle()
    spent = time.process_time() - began
    running.cancel()
    return spent / (len(speech) / EAR_RATE_HZ)


async def measure(model: Pyannote, voices: Mapping[str, Samples], sessions: int) -> Tally:
    tally = Tally()
    for seed in range(sessions):
        await converse(model, voices, enrol=seed % 2 == 1, seed=seed, tally=tally)
    return tally


async def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--sessions", type=int, default=10, help="of each kind, thirty turns each")
    options = parser.parse_args()
    model = Pyannote()
    await model.load()
    people = humans()
    casts: Sequence[tuple[str, Mapping[str, Samples]]] = (
        ("four people", people),
        ("four of four people and three synthetic voices", {**people, **await machines()}),
    )
    figures = {name: report(name, await measure(model, voices, options.sessions)) for name, voices in casts}
    cpu_s = await cost(model, people["reader"])
    print(f"CPU: {cpu_s * 1000:.0f} ms for a second of speech")
    save(options.json, {**figures, "cpu_s_per_s": round(cpu_s, 4)})
    await model.close()


if __name__ == "__main__":
    asyncio.run(main())
