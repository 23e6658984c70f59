"""A real server whose brain hears: a tiny Voxtral in a worker of its own, real speech, and no recognizer in the way."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
from tests.e2e.conftest import Ask, serving
from tests.e2e.microphone import Microphone
from tests.e2e.plain_client import PlainClient
from tests.e2e.test_protocol_conformance import audio_of
from tests.e2e.wiretap import Wiretap
from tests.shell.tiny_voxtral import write_voxtral

WAIT_S = 120.0


@pytest.mark.timeout(300)
async def test_what_was_said_is_answered_by_a_brain_that_heard_it(
    tmp_path: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as in tiny_voxtral
    model = write_voxtral(tmp_path / "tiny")
    config = tmp_path / "antiphon.yaml"
    config.write_text(json.dumps({"session": {"max_output_tokens": 30}}))
    with serving(tmp_path, "--llm", f"voxtral:{model}", "--tts", "pico") as url:
        async with asyncio.timeout(WAIT_S), Wiretap(url) as tap, PlainClient(tap) as client:
            await client.configure(audio={"input": {"transcription": {"model": "default"}}})
            async with Microphone(client.hear) as microphone:
                await microphone.say(ask("What is the capital of France?"))
                done = await tap.wait_for("response.done")
                written = await tap.wait_for("conversation.item.input_audio_transcription.completed")
            async with aiohttp.ClientSession() as http:
                async with http.get(f"{url}/health") as answer:
                    health = await answer.json()
                async with http.get(f"{url}/streaming_metrics") as answer:
                    metrics = await answer.json()
        assert done["response"]["status"] == "incomplete", "the tiny model finds no end"
        assert done["response"]["usage"]["output_tokens"] == 30
        assert len(audio_of(tap.seen())) > 0
        assert health["engines"]["llm"] == "voxtral:tiny"
        assert "capital" in written["transcript"].lower(), "the recognizer beside it"
        for name in ("first_word_latency", "word_to_audio_latency", "perceived_latency"):
            assert metrics[name]["count"] == 1
            assert metrics[name]["avg_ms"] >= 0
