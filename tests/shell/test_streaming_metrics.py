"""How quick the conversations are, as JSON: the figures, and that they come from conversations."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.apps.streaming_metrics import KEPT, TARGETS_MS, StreamingMetrics
from antiphon.core.actions import State

TURN = {"brain_ms": 80.0, "voice_ms": 40.0, "server_ms": 20.0, "response_ms": 350.0}


def test_without_conversations_there_are_no_figures() -> None:
    shown = StreamingMetrics().shown()
    assert shown["perceived_latency"] == {"count": 0, "target_ms": 300.0}
    assert shown["sessions"] == {"idle": 0, "listening": 0, "processing": 0, "speaking": 0, "interrupted": 0}


def test_a_turn_and_an_interruption_give_the_four_figures() -> None:
    metrics = StreamingMetrics(lambda: {State.SPEAKING: 2, State.BARGED_IN: 1})
    metrics.take(TURN)
    metrics.take({"onset_to_edge_ms": 60.0, "edge_to_pause_ms": 9.0, "resumed": 1.0, "audible": 1.0})
    metrics.take({"onset_to_edge_ms": 5.0, "edge_to_pause_ms": 0.0, "resumed": 0.0, "audible": 0.0})
    shown = metrics.shown()
    assert {name: shown[name]["avg_ms"] for name in TARGETS_MS} == {
        "first_word_latency": 80.0,
        "word_to_audio_latency": 60.0,
        "interruption_response_time": 69.0,
        "perceived_latency": 350.0,
    }
    assert shown["first_word_latency"]["within_target"] == 1.0
    assert shown["perceived_latency"]["within_target"] == 0.0
    assert shown["interruption_response_time"]["count"] == 1, "the other reply had not begun to sound"
    assert (shown["sessions"]["speaking"], shown["sessions"]["interrupted"]) == (2, 1)


def test_all_are_counted_and_the_newest_are_kept() -> None:
    metrics = StreamingMetrics()
    for brain_ms in range(KEPT + 100):
        metrics.take(TURN | {"brain_ms": float(brain_ms)})
    shown = metrics.shown()["first_word_latency"]
    assert (shown["count"], shown["min_ms"], shown["max_ms"]) == (KEPT + 100, 0.0, KEPT + 99.0)
    assert shown["recent_avg_ms"] == KEPT + 97.0
    assert shown["p50_ms"] == pytest.approx(600, abs=1)
    assert shown["p95_ms"] == pytest.approx(1050, abs=1)


async def test_the_server_shows_them_to_those_with_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engines = {"vad": "scripted:", "asr": "scripted:", "llm": "scripted:hears=1", "tts": "scripted:"}
    given = {"port": 0, "in_process": True, "open_browser": False, "api_key": ("secret",)}
    config = Config.model_validate(given | engines)
    async with asyncio.timeout(30), Server(config) as server, aiohttp.ClientSession() as client:
        server.metrics.turn(TURN | {"end_of_turn_ms": 200.0, "recognizer_ms": 0.0})
        url = f"{server.url}/streaming_metrics"
        async with client.get(url) as refused:
            assert refused.status == 401
        headers = {"Authorization": "Bearer secret"}
        async with client.ws_connect(f"{server.url}/v1/realtime", headers=headers) as line:
            await line.receive()
            async with client.get(url, headers=headers) as response:
                shown = await response.json()
    assert shown["perceived_latency"]["count"] == 1
    assert shown["sessions"]["idle"] == 1
