"""Three turns and an interruption, by human ear: Chromium with a microphone, and its sound recorded."""

from __future__ import annotations

import io
import math
import wave
from pathlib import Path

import aiohttp
import pytest
from tests.browser.visitor import Recording, browsing, microphone_file
from tests.e2e.conftest import Ask
from tests.e2e.listening import word_error_rate, words_in_common

from antiphon.core.text import words_of

pytestmark = pytest.mark.serial  # what was heard is measured to some frames

ASKED = ("What is your favourite movie?", "Please tell me a story.", "Tell me about yourself.")
ANSWERED = (
    "My favorite movie is one with a talking computer.",
    "I am Antiphon, a voice agent that runs on the machine",
)
OPENING = "Once there was a lighthouse keeper who lived alone on a small rock in the sea."
AGREEMENT_MS = 60.0


async def recognized(server: str, recording: Recording) -> str:
    """What Moonshine understands of it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(recording.rate_hz)
        quiet = bytes(recording.rate_hz)  # half a second
        writer.writeframes(quiet + recording.pcm + quiet)
    form = aiohttp.FormData()
    form.add_field("file", file.getvalue(), filename="heard.wav")
    form.add_field("model", "default")
    async with aiohttp.ClientSession() as http, http.post(f"{server}/v1/audio/transcriptions", data=form) as response:
        return str((await response.json())["text"])


@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
async def test_three_turns_and_an_interruption(server: str, ask: Ask, tmp_path: Path, transport: str) -> None:
    speech: list[bytes | float] = [1.0, ask(ASKED[0]), 6.5, ask(ASKED[1]), 3.7, ask(ASKED[2]), 12.0]
    file = microphone_file(tmp_path / "speech.wav", speech)
    async with browsing(file) as chromium:
        visit = await chromium.visit(f"{server}/?transport={transport}")
        await visit.page.click("#control")
        await visit.answers(2)
        last = "document.querySelector('.entry:nth-child(6) .heard')"
        await visit.until(f"{last}?.textContent.length > argument", len(ANSWERED[1]))
        await visit.page.click("#control")
        await visit.phase("idle")
        entries = await visit.entries()
        events = await visit.events("response.created", "response.done", "conversation.item.truncated", "antiphon.turn")
        cleared = await visit.events("output_audio_buffer.cleared")
        recording = await visit.recording()
        errors = visit.errors

    assert errors == []
    assert [entry["role"] for entry in entries] == ["user", "agent"] * 3
    assert word_error_rate(" ".join(entry["text"] for entry in entries[::2]), " ".join(ASKED)) <= 0.25
    answers = [entries[1]["heard"], entries[5]["heard"]]  # which depend on each word that was recognized

    # What was heard is solid, what was cut off is struck through, and together they are what was to be said.
    story = entries[3]
    assert (story["heard"] + story["never"]).startswith(OPENING)
    assert len(words_of(story["heard"])) > 2
    assert len(words_of(story["never"])) > 2
    assert story["coming"] == ""

    # The same by the recording.
    created = [event["at"] for event in events if event["type"] == "response.created"]
    heard = [recording.between(at, end) for at, end in zip(created, [*created[1:], math.inf], strict=True)]
    assert words_in_common(await recognized(server, heard[0]), answers[0]) > 0.5
    assert words_in_common(await recognized(server, heard[2]), answers[1]) > 0.5
    words, solid = await recognized(server, heard[1]), story["heard"]
    assert words_in_common(words, solid) > 1 / 3, (words, solid)
    unheard = {word for word in words_of(story["never"])[1:] if len(word) > 4} - set(words_of(solid))
    assert not set(words_of(words)) & unheard, (words, solid)

    [truncated] = [event for event in events if event["type"] == "conversation.item.truncated"]
    marks = next(event["marks"] for event in events if event["type"] == "antiphon.turn" and event["at"] > created[1])
    leading_ms = marks["first_sound"] - marks["first_sample"]
    assert heard[1].played_ms() + leading_ms == pytest.approx(truncated["audio_end_ms"], abs=AGREEMENT_MS)
    if transport == "webrtc":
        [cleared_at] = [event["at"] for event in cleared]
        assert cleared_at >= heard[1].sounds()[1] - AGREEMENT_MS
