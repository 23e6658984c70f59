"""A change of voice in the midst of a reply, on real engines: what is heard is the reply, without a gap."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.audio import MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ, Samples, resample, samples_of
from antiphon.core.clauses import Clauses
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer

TEXT = (
    "The old lighthouse stands on the northern shore. Every evening the keeper climbs the stairs. "
    "He opens the window and looks at the sea. Then he lights the lamp and sits down to read. "
    "The ships pass by in the darkness. In the morning he goes home and sleeps."
)
FRAME_S = 0.02


async def say(synthesizer: Synthesizer, text: str, voice: str) -> bytes:
    async def once() -> AsyncGenerator[str]:
        yield text

    return b"".join([chunk.pcm async for chunk in synthesizer.speak(once(), Voice(voice))])


async def every_way(synthesizer: Synthesizer, old: str, new: str) -> list[Samples]:
    """How the reply sounds at 24 kHz when the voice changes before its first clause, its second, ..., and never."""
    clauses = Clauses()
    spoken = [clause.spoken for clause in (*clauses.push(TEXT), *clauses.finish()) if clause.spoken]
    in_old = [await say(synthesizer, text, old) for text in spoken]
    in_new = [await say(synthesizer, text, new) for text in spoken]
    ways = (b"".join(in_old[:change] + in_new[change:]) for change in range(len(spoken) + 1))
    return [samples_of(resample(pcm, MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ)) for pcm in ways]


def envelope(sound: Samples) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The loudness, smoothed over 60 ms: voices say the same at the same times, but never with the same samples."""
    window = WIRE_PCM_RATE_HZ // 100
    blocks = sound[: len(sound) // window * window].astype(np.float64).reshape(-1, window)
    return np.convolve(np.sqrt(np.mean(blocks**2, axis=1)), np.full(6, 1 / 6), mode="same")


def likeness(one: Samples, other: Samples) -> float:
    """How far two sounds say the same at the same times. Measured: 0.91 to 0.99 where they do, under 0.6 else.

    The same text takes up to 60 ms more or less each time, and what is paced is filled up to a frame.
    """
    if abs(len(one) - len(other)) > WIRE_PCM_RATE_HZ * 80 // 1000:
        return 0.0
    count = min(len(one), len(other))
    return float(np.corrcoef(envelope(one[:count]), envelope(other[:count]))[0, 1])


Change = Callable[[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse], Awaitable[None]]


async def converse(url: str, query: str, change: Change) -> tuple[list[dict[str, Any]], list[float]]:
    """Has the text read, and changes the voice at the first audio; all events, and when audio came."""
    changing: asyncio.Future[None] | None = None
    events: list[dict[str, Any]] = []
    audio_at: list[float] = []
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/v1/realtime{query}") as call:
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"echo {TEXT}"}]}
        await call.send_json({"type": "conversation.item.create", "item": item})
        await call.send_json({"type": "response.create"})
        async for message in call:
            event = json.loads(message.data)
            events.append(event)
            if event["type"] == "response.output_audio.delta":
                audio_at.append(loop.time())
                changing = changing or asyncio.ensure_future(change(http, call))
            if event["type"] == "response.done":
                break
        assert changing is not None
        await changing
    return events, audio_at


def choose(voice: str) -> Change:
    """The client asks for another voice."""

    async def change(_http: aiohttp.ClientSession, call: aiohttp.ClientWebSocketResponse) -> None:
        session = {"type": "realtime", "audio": {"output": {"voice": voice}}}
        await call.send_json({"type": "session.update", "session": session})

    return change


def swap(url: str, old: str, new: str) -> Change:
    """Whoever runs the server swaps one model for another."""

    async def change(http: aiohttp.ClientSession, _call: aiohttp.ClientWebSocketResponse) -> None:
        async with http.post(f"{url}/v1/antiphon/models/swap", json={"from": old, "to": new}) as answer:
            assert answer.status == 200, await answer.text()

    return change


@pytest.mark.parametrize(
    ("by", "query", "old", "new"),
    [
        ("choice", "?pacing=realtime", "pico:en-US", "espeak:en-GB"),
        ("choice", "", "pico:en-US", "espeak:en-GB"),
        ("choice", "", "espeak:en-GB", "pico:en-GB"),
        ("swap", "?pacing=realtime", "espeak:en-GB", "pico:en-GB"),
        ("swap", "", "pico:en-US", "espeak:en-GB"),
    ],
)
async def test_the_words_are_those_of_the_reply(by: str, query: str, old: str, new: str) -> None:
    config = Config.model_validate(
        {
            "port": 0,
            "vad": "scripted",
            "asr": "scripted",
            "llm": "scripted:first_token_ms=10,token_ms=30",
            "tts": f"{old},{new}",
            "session": {"voice": old, "speech": {"piece_chars": 0}},  # each clause by itself, as above
        }
    )
    async with Server(config) as server:
        voices = [voice.name for voice in server.suite.synthesizer.voices]
        assert {old, new} <= set(voices)
        ways = await every_way(server.suite.synthesizer, old, new)
        change = choose(new) if by == "choice" else swap(server.url, old, new)
        events, audio_at = await converse(server.url, query, change)
    updated = next(event for event in events if event["type"] == "session.updated")
    assert updated["session"]["audio"]["output"]["voice"] == new
    response = events[-1]["response"]
    assert response["status"] == "completed"
    assert response["audio"]["output"]["voice"] == old
    assert response["output"][0]["content"][0]["transcript"] == TEXT
    if query:
        gaps = [later - earlier for earlier, later in itertools.pairwise(audio_at)]
        assert max(gaps) < 10 * FRAME_S
    deltas = (event["delta"] for event in events if event["type"] == "response.output_audio.delta")
    pcm = samples_of(b"".join(base64.b64decode(delta) for delta in deltas))
    likenesses = [likeness(sound, pcm) for sound in ways]
    changed = likenesses.index(max(likenesses))
    assert likenesses[changed] > 0.85, "the reply is its first clauses in the one voice and the others in the other"
    assert 1 <= changed < len(ways) - 1
