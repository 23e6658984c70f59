"""Engines with voice packs, and what a reload does to them: Pico and eSpeak for real, Piper with tiny voices."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import structlog
from scripts.paragraphs import STORIES
from tests.shell.test_pack_folder import make_pack
from tests.shell.tiny_voices import write_piper_voice
from tests.spoken_sound import duration_s, pieces, sound_of, spoken

from antiphon.audio import MOUTH_RATE_HZ, Samples
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer
from antiphon.engines.capabilities import capabilities_of
from antiphon.engines.optional import reload_voices
from antiphon.engines.voicing import Voicing
from antiphon.errors import EngineError

TEXT = "Good morning, this is the front desk."
LONG = STORIES["en"]


@asynccontextmanager
async def loaded(name: str, folder: Path) -> AsyncIterator[Synthesizer]:
    """The engine with the packs in ``folder``; its voices as loud as they are."""
    voicing = Voicing(folder, None)
    engine = voicing.one(name, voicing.read())
    await engine.load()
    try:
        yield engine
    finally:
        await engine.close()


def names(engine: Synthesizer) -> list[str]:
    return [voice.name for voice in engine.voices]


async def say(engine: Synthesizer, voice: str, speed: float = 1.0) -> float:
    """How long it takes."""
    return duration_s(await spoken(engine, TEXT, voice=voice, speed=speed))


def pitch_hz(sound: Samples) -> float:
    """Of the voiced windows, their median, by autocorrelation between 60 and 400 Hz."""
    found = []
    for start in range(0, len(sound) - 2048, 1024):
        window = sound[start : start + 2048].astype(np.float64)
        if np.sqrt((window**2).mean()) < 1000:
            continue
        likeness = np.correlate(window, window, "full")[2047:]
        lags = likeness[MOUTH_RATE_HZ // 400 : MOUTH_RATE_HZ // 60]
        if lags.max() > 0.6 * likeness[0]:
            found.append(MOUTH_RATE_HZ / (int(lags.argmax()) + MOUTH_RATE_HZ // 400))
    return float(np.median(found))


@pytest.mark.parametrize("family", ["pico", "espeak"])
async def test_manners_of_a_bundled_engine(tmp_path: Path, family: str) -> None:
    make_pack(tmp_path, f"{family}:slow", "languages: en-GB\nspeed: 0.6\n")
    make_pack(tmp_path, f"{family}:high", "languages: en-GB\npitch: 1.5\n")
    async with loaded(f"{family}:en-GB", tmp_path) as engine:
        assert names(engine)[-2:] == ["high", "slow"]
        assert engine.voices[-1].repeatable
        plain_s = await say(engine, "en-GB")
        assert await say(engine, "slow") > 1.4 * plain_s
        assert await say(engine, "slow", speed=1 / 0.6) == pytest.approx(plain_s, rel=0.05)
        own, high = [pitch_hz(sound_of(await spoken(engine, LONG, voice=voice))) for voice in ("en-GB", "high")]
        assert 1.35 < high / own < 1.65


async def test_a_variant_of_espeak_is_another_voice(tmp_path: Path) -> None:
    make_pack(tmp_path, "espeak:anna", "languages: de-DE\noptions: {variant: f3}\n")
    async with loaded("espeak", tmp_path) as engine:
        own, anna = [pitch_hz(sound_of(await spoken(engine, TEXT, voice=voice))) for voice in ("de-DE", "anna")]
        assert anna > 1.2 * own
        assert capabilities_of(engine).voices[-1].language == "de-DE"


@pytest.mark.parametrize(
    ("pack", "metadata", "reason"),
    [
        ("espeak:a", "languages: xx-YY\n", "languages: eSpeak NG has no xx-YY"),
        ("espeak:a", "languages: en-GB\noptions: {variant: nobody}\n", "options.variant: eSpeak NG has no variant"),
        ("espeak:a", "languages: en-GB\noptions: {colour: red}\n", "options.colour: eSpeak NG has no such option"),
        ("espeak:a", "languages: en-GB\noptions: {variant: 3}\n", "options.variant: 3 is no str"),
        ("espeak:a", "languages: en-GB\npitch: 2.0\n", "pitch: eSpeak NG goes from 0.7 to 1.6"),
        ("pico:a", "languages: sv-SE\n", "languages: Pico has no sv-SE"),
        ("pico:a", "languages: en-GB\nlora: l\n", "lora: Pico has no use for it"),
        ("piper:a", "languages: en-GB\n", "model: a Piper pack needs one"),
        ("piper:a", "languages: en-GB\npitch: 2.0\nmodel: m\n", "pitch: Piper has no use for it"),
        ("piper:a", "languages: en-GB\nmodel: m\nconfig: c\n", "cannot be read"),
        ("piper:a", "languages: en-GB\nmodel: m\n", r"m\.json"),
    ],
)
async def test_a_pack_that_cannot_be_used_is_told_and_left_out(
    tmp_path: Path, pack: str, metadata: str, reason: str
) -> None:
    family = pack.partition(":")[0]
    make_pack(tmp_path, pack, metadata, "m", "c", "l/adapter_config.json")
    with structlog.testing.capture_logs() as logs:
        async with loaded(family, tmp_path) as engine:
            assert "a" not in names(engine)
            with pytest.raises(EngineError, match=reason) as told:
                await reload_voices(engine)
    (entry,) = [entry for entry in logs if entry["event"] == "voice_pack_not_used"]
    assert (entry["pack"], entry["why"]) == (pack, str(told.value))
    assert str(tmp_path / family / "a") in entry["why"]


async def test_a_pack_called_like_a_voice_of_the_engine_is_refused(tmp_path: Path) -> None:
    make_pack(tmp_path, "espeak:ar", "languages: en-GB\n")
    async with loaded("espeak", tmp_path) as engine:
        with pytest.raises(EngineError, match="rename the folder"):
            await reload_voices(engine)


async def test_packs_come_change_and_go(tmp_path: Path) -> None:
    async with loaded("espeak", tmp_path) as engine:
        own = names(engine)
        folder = make_pack(tmp_path, "espeak:clerk", "languages: en-GB\n")
        assert await reload_voices(engine)
        assert names(engine) == [*own, "clerk"]
        first = engine.voices[-1]
        plain_s = await say(engine, "clerk")
        (folder / "metadata.yaml").write_text("languages: en-GB\nspeed: 0.5\n")
        assert await reload_voices(engine)
        slow_s = await say(engine, "clerk")
        assert slow_s > 1.7 * plain_s
        assert engine.voices[-1] != first  # what is known of its loudness is known of another one
        (folder / "metadata.yaml").write_text("languages: en-GB\nspeed: fast\n")
        make_pack(tmp_path, "espeak:guard", "languages: de-DE\n")
        with pytest.raises(EngineError, match="line 2: speed"):
            await reload_voices(engine)
        assert names(engine) == [*own, "clerk", "guard"]
        assert await say(engine, "clerk") == pytest.approx(slow_s, abs=0.01)
        (folder / "metadata.yaml").unlink()
        folder.rmdir()
        assert await reload_voices(engine)
        assert names(engine) == [*own, "guard"]


def piper_pack(root: Path, speed: float, speakers: tuple[str, ...] = (), options: str = "") -> Path:
    folder = make_pack(
        root,
        "piper:desk",
        f"languages: en-US\nspeed: {speed}\nmodel: voice.onnx\nconfig: settings.json\n{options}",
    )
    write_piper_voice(folder / "voice.onnx", speakers)
    (folder / "voice.onnx.json").rename(folder / "settings.json")
    return folder


async def test_a_piper_pack_speaks_and_what_runs_ends_with_the_old_one(tmp_path: Path) -> None:
    folder = piper_pack(tmp_path, 1.0)
    async with loaded("piper", tmp_path) as engine:
        assert names(engine) == ["desk"]
        plain = sound_of(await spoken(engine, TEXT, TEXT, voice="desk"))
        running = engine.speak(pieces(TEXT, TEXT), Voice("desk"))
        heard = [await anext(running)]
        piper_pack(tmp_path, 0.5)
        assert await reload_voices(engine)
        heard += [chunk async for chunk in running]
        assert np.array_equal(sound_of(heard), plain)
        assert await say(engine, "desk") > 1.7 * len(plain) / 2 / MOUTH_RATE_HZ
        (folder / "voice.onnx").write_bytes(b"broken")
        with pytest.raises(EngineError, match="cannot be read"):
            await reload_voices(engine)
        assert await say(engine, "desk") > 1.7 * len(plain) / 2 / MOUTH_RATE_HZ


async def test_a_piper_pack_may_choose_a_speaker(tmp_path: Path) -> None:
    folder = piper_pack(tmp_path, 1.0, ("low", "high"), "options: {speaker: high, length_scale: 1.2}\n")
    async with loaded("piper", tmp_path) as engine:
        high = sound_of(await spoken(engine, TEXT, voice="desk"))
        metadata = (folder / "metadata.yaml").read_text()
        (folder / "metadata.yaml").write_text(metadata.replace("high", "0"))
        assert await reload_voices(engine)
        assert not np.array_equal(sound_of(await spoken(engine, TEXT, voice="desk")), high)
        (folder / "metadata.yaml").write_text(metadata.replace("high", "nobody"))
        with pytest.raises(EngineError, match="no speaker 'nobody'; it has low, high"):
            await reload_voices(engine)


async def test_packs_whose_engine_was_not_asked_for_bring_it(tmp_path: Path) -> None:
    piper_pack(tmp_path, 1.0)
    make_pack(tmp_path, "hal:nine", "languages: en-US\n")
    make_pack(tmp_path, "kokoro:heart", "languages: en-US\n")
    voicing = Voicing(tmp_path, None)
    with structlog.testing.capture_logs() as logs:
        engine = voicing.all("pico")
    assert {entry["family"] for entry in logs} == {"hal", "kokoro"}
    await engine.load()
    assert names(engine)[0] == "pico:en-US"
    assert names(engine)[-1] == "piper:desk"
    assert await say(engine, "piper:desk") > 0.5
    await engine.close()
    beside = voicing.all(f"piper:{tmp_path}/piper/desk/voice.onnx")
    assert names(beside) == ["piper:voice", "piper:desk"]
    await beside.close()
