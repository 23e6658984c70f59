"""Every voice at one loudness: the bundled ones measured with pyloudnorm, others as their loudness is found out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
from scripts.paragraphs import PARAGRAPHS, STORIES
from scripts.voice_loudness import loudness_of, spoken
from tests.shell.test_pack_folder import make_pack

from antiphon.audio import MOUTH_RATE_HZ, samples_of
from antiphon.core.speech import AudioChunk, Voice, Word
from antiphon.engines.base import VoiceInfo
from antiphon.engines.capabilities import capabilities_of
from antiphon.engines.levelled import STEP_DB, LevelledSynthesizer
from antiphon.engines.optional import reload_voices
from antiphon.engines.pack_folder import Packs
from antiphon.engines.scripted import ScriptedSynthesizer
from antiphon.engines.voicing import Voicing
from antiphon.loudness import CEILING_DBTP, TARGET_LUFS, LoudnessMeter

TOLERANCE_LU = 1.0


def true_peak_db(pcm: bytes) -> float:
    """By an eightfold oversampling that is none of ours, of what lies around the highest samples."""
    sound = samples_of(pcm).astype(np.float32) / 32768
    high = np.flatnonzero(np.abs(sound) > 0.7 * np.abs(sound).max())
    places = np.unique(np.clip(high // 512 * 512, 512, len(sound) - 1024))
    around = np.stack([sound[place - 512 : place + 1024] for place in places], axis=1)
    peaks = np.abs(soxr.resample(around, MOUTH_RATE_HZ, 8 * MOUTH_RATE_HZ))[8 * 512 : 8 * 1024]
    return float(20 * np.log10(peaks.max()))


@pytest.mark.parametrize("name", ["pico", "espeak"])
async def test_every_bundled_voice_is_as_loud_as_the_others(name: str) -> None:
    engine = Voicing().one(name, Packs())
    await engine.load()
    told = {}
    for voice in engine.voices:
        language = voice.language.partition("-")[0]
        pcm = b"".join(await spoken(engine, Voice(voice.name), STORIES.get(language, PARAGRAPHS[language])))
        told[voice.name] = (round(loudness_of(pcm), 2), round(true_peak_db(pcm), 2))
    await engine.close()
    assert len(told) == len(engine.voices)
    assert not {name: told for name, told in told.items() if abs(told[0] - TARGET_LUFS) > TOLERANCE_LU}
    assert not {name: told for name, told in told.items() if told[1] > CEILING_DBTP + 0.1}


@pytest.mark.parametrize(("name", "least_lu"), [("pico:it-IT", 2.0), ("espeak:de-DE", 4.0)])
async def test_without_it_they_are_not(name: str, least_lu: float) -> None:
    """What the test above would not find if nothing were done; and another loudness is another one."""
    own, quiet = (Voicing(loudness_lufs=lufs).one(name, Packs()) for lufs in (None, -26.0))
    heard = []
    for engine in (own, quiet):
        await engine.load()
        voice = engine.voices[0]
        pcm = b"".join(await spoken(engine, Voice(voice.name), STORIES[voice.language[:2]]))
        heard.append(loudness_of(pcm))
        await engine.close()
    assert abs(heard[0] - TARGET_LUFS) > least_lu
    assert abs(heard[1] + 26.0) < 2.0  # what the limiter takes at -16 is reckoned in


async def test_each_process_gives_the_same_samples() -> None:
    """A reply that lost its worker goes on at the sample where it stopped."""
    said = []
    for _ in range(2):
        engine = Voicing().one("pico", Packs())
        await engine.load()
        said.append(b"".join(await spoken(engine, Voice("fr-FR"), STORIES["fr"])))
        await engine.close()
    assert said[0] == said[1]


async def test_packs_of_a_bundled_engine_are_as_loud_too(tmp_path: Path) -> None:
    make_pack(tmp_path, "espeak:whisper", "languages: en-US\noptions: {variant: whisper}\n")
    make_pack(tmp_path, "espeak:high", "languages: fr-FR\npitch: 1.6\n")
    make_pack(tmp_path, "espeak:told", "languages: en-US\nloudness_lufs: -17.0\n")
    voicing = Voicing(tmp_path)
    engine, again = (voicing.one("espeak", voicing.read()) for _ in range(2))
    heard = {}
    for each in (engine, again):
        await each.load()
    for pack, language in (("whisper", "en"), ("high", "fr"), ("told", "en")):
        pcm = b"".join(await spoken(engine, Voice(pack), STORIES[language]))
        other = b"".join(await spoken(again, Voice(pack), STORIES[language]))
        assert abs(loudness_of(pcm) - loudness_of(other)) < 0.8  # whispers are noise, and never quite the same
        heard[pack] = loudness_of(pcm)
        assert true_peak_db(pcm) <= CEILING_DBTP + 0.1
    assert abs(heard["whisper"] - TARGET_LUFS) < 1.5
    assert abs(heard["high"] - TARGET_LUFS) < 1.5
    assert heard["told"] < TARGET_LUFS - 3  # it is taken at its word
    make_pack(tmp_path, "espeak:told", "languages: en-US\n")
    assert await reload_voices(engine)
    pcm = b"".join(await spoken(engine, Voice("told"), STORIES["en"]))
    assert abs(loudness_of(pcm) - TARGET_LUFS) < TOLERANCE_LU
    for each in (engine, again):
        await each.close()


@dataclass
class Noises:
    """A synthesizer of noise: a second for each piece, in chunks of odd sizes, each with a word."""

    voices: tuple[VoiceInfo, ...] = (VoiceInfo("quiet", "en"), VoiceInfo("loud", "en"))
    amplitudes: dict[str, float] = field(default_factory=lambda: {"quiet": 300.0, "loud": 9000.0})
    chunk_samples: int = 7001
    name = "noises"
    description = "noise"

    async def load(self) -> None: ...

    async def close(self) -> None: ...

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        segment = 0
        async for _ in text:
            noise = np.random.default_rng(segment).normal(0, self.amplitudes[voice.name], MOUTH_RATE_HZ // 4)
            pcm = soxr.resample(noise, MOUTH_RATE_HZ // 4, MOUTH_RATE_HZ).astype("<i2").tobytes()
            for number, start in enumerate(range(0, len(pcm), 2 * self.chunk_samples)):
                chunk = pcm[start : start + 2 * self.chunk_samples]
                yield AudioChunk(chunk, segment, (Word(number, number + 1, start // 2, start // 2 + 9),))
            yield AudioChunk(b"", segment, last=True)
            segment += 1


async def heard(engine: LevelledSynthesizer, voice: str, pieces: int) -> list[AudioChunk]:
    async def text() -> AsyncIterator[str]:
        for _ in range(pieces):
            yield "noise"

    async with aclosing(engine.speak(text(), Voice(voice))) as chunks:
        return [chunk async for chunk in chunks]


def lufs_of(chunks: list[AudioChunk]) -> list[float]:
    """Of each segment."""
    found = []
    for segment in range(chunks[-1].segment + 1):
        meter = LoudnessMeter()
        meter.push(b"".join(chunk.pcm for chunk in chunks if chunk.segment == segment))
        assert meter.lufs is not None
        found.append(meter.lufs)
    return found


async def test_an_unknown_voice_is_learned_while_it_speaks() -> None:
    engine = LevelledSynthesizer(Noises())
    for voice in ("quiet", "loud"):
        lufs = lufs_of(await heard(engine, voice, 40))
        assert abs(lufs[0] - TARGET_LUFS) > 4
        assert all(abs(after - before) < STEP_DB + 0.3 for before, after in pairwise(lufs))
        assert abs(np.mean(lufs[-5:]) - TARGET_LUFS) < TOLERANCE_LU
        assert abs(lufs_of(await heard(engine, voice, 1))[0] - TARGET_LUFS) < TOLERANCE_LU


async def test_samples_words_and_ends_are_all_there() -> None:
    plain = [chunk async for chunk in Noises().speak(_two(), Voice("quiet"))]
    levelled = await heard(LevelledSynthesizer(Noises()), "quiet", 2)
    for segment in (0, 1):
        before, after = ([chunk for chunk in chunks if chunk.segment == segment] for chunks in (plain, levelled))
        assert sum(len(chunk.pcm) for chunk in before) == sum(len(chunk.pcm) for chunk in after)
        assert [chunk.last for chunk in after].count(True) == 1
        assert after[-1].last
        assert [word for chunk in before for word in chunk.words] == [word for chunk in after for word in chunk.words]


async def _two() -> AsyncIterator[str]:
    for _ in range(2):
        yield "noise"


async def test_a_long_chunk_holds_nobody_up() -> None:
    engine = LevelledSynthesizer(Noises(chunk_samples=10**6))
    assert max(len(chunk.pcm) for chunk in await heard(engine, "quiet", 1)) <= MOUTH_RATE_HZ // 5 * 2
    others = 0

    async def count() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    counting = asyncio.create_task(count())
    await heard(engine, "quiet", 4)
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    assert others >= 20


async def test_a_repeatable_voice_of_unknown_loudness_is_compared_when_it_is_loaded() -> None:
    voices = (VoiceInfo("quiet", "en", True), VoiceInfo("loud", "en", True, loudness_lufs=-20.0))
    engine = LevelledSynthesizer(Noises(voices, {"quiet": 1500.0, "loud": 3000.0}))
    await engine.load()
    quiet, loud = [lufs_of(await heard(engine, voice, 3)) for voice in ("quiet", "loud")]
    assert max(quiet) - min(quiet) < 0.2
    assert np.mean(quiet) == pytest.approx(np.mean(loud), abs=0.4)


async def test_what_is_no_speech_is_left_as_it_is() -> None:
    plain, voicing = ScriptedSynthesizer(), Voicing()
    assert isinstance(voicing.one("scripted", Packs()), ScriptedSynthesizer)
    levelled = LevelledSynthesizer(plain)
    assert capabilities_of(levelled) == capabilities_of(plain)
    expected = [chunk async for chunk in plain.speak(_two(), Voice("beta"))]
    assert [chunk async for chunk in levelled.speak(_two(), Voice("beta"))] == expected
