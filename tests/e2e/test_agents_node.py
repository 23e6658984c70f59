"""@openai/agents-realtime, unmodified, in node."""

from __future__ import annotations

import asyncio
import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Ask
from tests.e2e.event_log import PATIENCE_S
from tests.e2e.listening import words_in_common
from tests.e2e.omission import Scenario, check_each_is_missed
from tests.e2e.wiretap import Wiretap

HERE = Path(__file__).parent / "node"
INSTALL_LIMIT_S = 300.0


@pytest.fixture(scope="module")
def sdk() -> Path:
    """The folder with the SDK as the lock file pins it. Installs it when it is not there."""
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]["@openai/agents-realtime"]
    manifest = HERE / "node_modules" / "@openai" / "agents-realtime" / "package.json"
    if not manifest.exists() or json.loads(manifest.read_text())["version"] != wanted:
        command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(command, cwd=HERE, check=True, timeout=INSTALL_LIMIT_S)
    return HERE


async def run(sdk: Path, tap: Wiretap, scenario: str, *files: Path, patience_s: float = PATIENCE_S) -> dict[str, Any]:
    """What the scenario's script prints; AssertionError with its complaint when it fails."""
    arguments = [scenario, tap.ws_url, str(int(patience_s * 1000)), *map(str, files)]
    node = await asyncio.create_subprocess_exec(
        "node",
        "conversation.mjs",
        *arguments,
        cwd=sdk,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(2 * PATIENCE_S):
            out, complaint = await node.communicate()
    finally:
        if node.returncode is None:
            node.kill()
            await node.wait()
    assert node.returncode == 0, complaint.decode()
    outcome: dict[str, Any] = json.loads(out.splitlines()[-1])
    return outcome


def recording(folder: Path, name: str, pcm: bytes) -> Path:
    path = folder / f"{name}.pcm"
    path.write_bytes(pcm)
    return path


async def test_typed_turn(server: str, sdk: Path) -> None:
    async with Wiretap(server) as tap:
        outcome = await run(sdk, tap, "typed")
    assert outcome["question"] == "What is the capital of France?"
    assert "Paris" in outcome["answer"]
    assert "Paris" in outcome["end"]
    assert outcome["bytes"] > 24_000 / 4


async def test_tool_call(server: str, sdk: Path) -> None:
    async with Wiretap(server) as tap:
        outcome = await run(sdk, tap, "tool")
    assert outcome["name"] == "get_weather"
    assert outcome["result"] == "It is cloudy in Paris."
    assert "cloudy" in outcome["answer"]


async def test_a_conversation_in_speech(server: str, sdk: Path, ask: Ask, tmp_path: Path) -> None:
    files = [
        recording(tmp_path, "statement", ask("My name is Peter.")),
        recording(tmp_path, "question", ask("What is my name?")),
    ]
    async with Wiretap(server) as tap:
        outcome = await run(sdk, tap, "spoken", *files)
    assert words_in_common(outcome["statement"], "my name is Peter") > 0.7
    assert words_in_common(outcome["question"], "what is my name") > 0.7
    assert "Peter" in outcome["answer"]


async def test_interruption(server: str, sdk: Path, ask: Ask, tmp_path: Path) -> None:
    file = recording(tmp_path, "interruption", ask("What is the capital of France?"))
    async with Wiretap(server) as tap:
        outcome = await run(sdk, tap, "interrupted", file)
        [truncate] = tap.sent("conversation.item.truncate")
        [truncated] = tap.seen("conversation.item.truncated")
        assert truncated["item_id"] == truncate["item_id"]
    assert outcome["whole"].startswith(outcome["cut"])
    assert "Paris" in outcome["answer"]


async def test_a_missing_event_is_noticed(server: str, sdk: Path, ask: Ask, tmp_path: Path) -> None:
    file = recording(tmp_path, "interruption", ask("What is the capital of France?"))

    async def play(scenario: str, tap: Wiretap, patience_s: float) -> None:
        try:
            await run(sdk, tap, scenario, file, patience_s=patience_s)
        except AssertionError as failure:
            if "in time" not in str(failure):
                raise RuntimeError(str(failure)) from failure
            raise

    typed, tool, interrupted = (partial(play, scenario) for scenario in ("typed", "tool", "interrupted"))
    cases: list[tuple[Scenario, str]] = [
        (typed, "response.created"),
        (typed, "response.output_audio.delta"),
        (typed, "response.done"),
        (tool, "response.output_item.done"),
        (tool, "response.done"),
        (interrupted, "input_audio_buffer.speech_started"),
        (interrupted, "conversation.item.truncated"),
    ]
    await check_each_is_missed(server, cases, patience_s=8.0, at_once=4)
