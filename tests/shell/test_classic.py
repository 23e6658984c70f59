"""Classic synthesizers: a voice for each language, packs in other styles."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from antiphon.core.speech import Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.classic import ClassicSynthesizer
from antiphon.engines.segments import Emit
from antiphon.engines.voice_pack import TakesPacks, VoicePack
from antiphon.errors import ConfigError, EngineError

LOUDNESS_LUFS = {"en-GB": -16.0, "de-DE": -17.0, "fr-FR": -18.0}


class Notes(ClassicSynthesizer[str]):
    def __init__(self, voice: str = "de-DE") -> None:
        super().__init__("notes", "Notes", voice, LOUDNESS_LUFS, threads=1)
        self.rendered: list[tuple[str, str, float]] = []

    def pack_voice(self, pack: VoicePack) -> VoiceInfo:
        return VoiceInfo(pack.id, self._language_of(pack))

    def _style_in(self, language: str) -> str:
        return language

    def _style_of(self, pack: VoicePack) -> str:
        return f"{self._language_of(pack)}+{pack.pitch:g}"

    def _render(self, text: str, style: str, speed: float, emit: Emit) -> None:
        if style.endswith("+13"):
            raise EngineError("pitch: it breaks")
        self.rendered.append((text, style, speed))
        emit(b"\1\0", ())


async def said(engine: Notes, voice: str, speed: float = 1.0) -> tuple[str, float]:
    """In which style, and how quickly."""

    async def text() -> AsyncIterator[str]:
        yield "Hello."

    chunks = [chunk async for chunk in engine.speak(text(), Voice(voice, speed))]
    assert [(chunk.pcm, chunk.last) for chunk in chunks] == [(b"\1\0", False), (b"", True)]
    told, style, pace = engine.rendered.pop()
    assert told == "Hello."
    return style, pace


def pack(identifier: str, language: str, pitch: float = 1.0) -> VoicePack:
    return VoicePack("notes", identifier, (language,), Path(), pitch=pitch)


async def test_a_voice_goes_by_its_language_and_any_other_name_means_the_default() -> None:
    engine = Notes("DE-de")
    assert engine.name == "notes:de-DE"
    assert [voice.name for voice in engine.voices] == ["de-DE", "en-GB", "fr-FR"]
    assert {voice.name: voice.loudness_lufs for voice in engine.voices} == LOUDNESS_LUFS
    assert await said(engine, "EN-gb", 1.5) == ("en-GB", 1.5)
    assert await said(engine, "marin") == ("de-DE", 1.0)
    await engine.close()
    with pytest.raises(ConfigError, match="Notes has no voice 'xx': choose one of en-GB, de-DE, fr-FR"):
        Notes("xx")


async def test_loading_says_a_word_in_the_default_voice() -> None:
    engine = Notes()
    await engine.load()
    assert engine.rendered == [("Ready.", "de-DE", 1.0)]
    await engine.close()


async def test_a_pack_speaks_once_it_was_tried_and_until_it_is_removed() -> None:
    engine = Notes()
    assert isinstance(engine, TakesPacks)
    await engine.add_pack(pack("clerk", "fr-fr", 0.5))
    assert engine.rendered.pop() == ("Ready.", "fr-FR+0.5", 1.0)
    assert await said(engine, "clerk", 0.8) == ("fr-FR+0.5", 0.8)
    with pytest.raises(EngineError, match="it breaks"):
        await engine.add_pack(pack("clerk", "fr-FR", 13))
    with pytest.raises(EngineError, match="languages: Notes has no ja-JP: choose one of en-GB, de-DE, fr-FR"):
        await engine.add_pack(pack("clerk", "ja-JP"))
    assert await said(engine, "clerk") == ("fr-FR+0.5", 1.0)
    await engine.remove_pack("clerk")
    await engine.remove_pack("clerk")
    assert await said(engine, "clerk") == ("de-DE", 1.0)
    await engine.close()


async def test_closed_it_speaks_no_more() -> None:
    engine = Notes()
    await engine.close()
    with pytest.raises(EngineError, match="closed"):
        await said(engine, "de-DE")
