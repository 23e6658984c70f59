"""Several synthesizers as one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

import pytest

from antiphon.core.speech import AudioChunk, Voice
from antiphon.engines.base import VoiceInfo
from antiphon.engines.voices import MultiSynthesizer


class Choir:
    """Notes what it is asked to speak, and how it ended."""

    description = "a choir"

    def __init__(self, name: str, *voices: tuple[str, str]) -> None:
        self.name = name
        self.voices = tuple(VoiceInfo(voice, language) for voice, language in voices)
        self.spoken: list[tuple[str, Voice]] = []
        self.state = "new"

    async def load(self) -> None:
        self.state = "loaded"

    async def close(self) -> None:
        self.state = "closed"

    async def speak(self, text: AsyncIterator[str], voice: Voice) -> AsyncGenerator[AudioChunk]:
        try:
            async for piece in text:
                self.spoken.append((piece, voice))
                yield AudioChunk(b"", 0, last=True)
        finally:
            self.state = "quiet"


@pytest.fixture
def first() -> Choir:
    return Choir("one:en-US", ("en-US", "en-US"), ("en-GB", "en-GB"), ("de-DE", "de-DE"))


@pytest.fixture
def second() -> Choir:
    return Choir("two:en-GB", ("en-GB", "en-GB"), ("sv-SE", "sv-SE"))


async def hello() -> AsyncIterator[str]:
    yield "hello"


def test_all_voices_have_full_names(first: Choir, second: Choir) -> None:
    both = MultiSynthesizer([first, second])
    assert [voice.name for voice in both.voices] == ["one:en-US", "one:en-GB", "one:de-DE", "two:en-GB", "two:sv-SE"]
    assert both.voices[-1].language == "sv-SE"
    assert both.name == "one:en-US"
    assert "two" in both.description


@pytest.mark.parametrize(
    ("asked", "full"),
    [
        ("two:en-GB", "two:en-GB"),
        ("TWO:en-gb", "two:en-GB"),
        ("en-GB", "one:en-GB"),
        ("sv", "two:sv-SE"),
        ("de", "one:de-DE"),
        ("en", "one:en-US"),
        ("two", "two:en-GB"),
        ("marin", "one:en-US"),
        ("cedar", "one:en-GB"),
        ("alloy", "one:en-US"),
        ("default", "one:en-US"),
        ("nobody", "one:en-US"),
    ],
)
def test_names_are_resolved(first: Choir, second: Choir, asked: str, full: str) -> None:
    assert MultiSynthesizer([first, second]).resolve(asked) == full


async def test_the_engine_that_has_the_voice_speaks(first: Choir, second: Choir) -> None:
    both = MultiSynthesizer([first, second])
    await both.load()
    assert (first.state, second.state) == ("loaded", "loaded")
    assert [chunk async for chunk in both.speak(hello(), Voice("two:sv-SE", 1.2))] == [AudioChunk(b"", 0, last=True)]
    assert second.spoken == [("hello", Voice("sv-SE", 1.2))]
    assert not first.spoken
    await both.close()
    assert (first.state, second.state) == ("closed", "closed")


async def test_closing_reaches_the_engine(first: Choir, second: Choir) -> None:
    chunks = MultiSynthesizer([first, second]).speak(hello(), Voice("en-US"))
    await anext(chunks)
    await chunks.aclose()
    assert first.state == "quiet"
