from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from typer.testing import CliRunner

from antiphon.apps.cli import app
from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.errors import ConfigError


@pytest.fixture
async def recording(tmp_path: Path) -> Path:
    """What a server writes of a session with one typed turn."""
    hello = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}
    folder = tmp_path / "records"
    scripted = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=5", "tts": "scripted"}
    async with (
        Server(Config.model_validate({"port": 0, "in_process": True, "record": folder, **scripted})) as server,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{server.url}/v1/realtime") as call,
    ):
        await call.send_json({"type": "conversation.item.create", "item": hello})
        await call.send_json({"type": "response.create"})
        while (await call.receive_json(timeout=30))["type"] != "response.done":
            pass
    (path,) = folder.glob("*.jsonl")
    return path


def test_a_recorded_session_runs_again_the_same(recording: Path) -> None:
    result = CliRunner().invoke(app, ["replay", str(recording)])
    assert result.exit_code == 0, result.output
    assert "Every action is the same." in result.output


def test_a_difference_is_shown_with_its_place(recording: Path) -> None:
    text = recording.read_text(encoding="utf-8")
    assert '"StartReply"' in text
    recording.write_text(text.replace('"StartReply"', '"DiscardReply"', 1), encoding="utf-8")
    result = CliRunner().invoke(app, ["replay", str(recording)])
    assert result.exit_code == 1
    assert "The replay parts from the recording at line" in result.output
    assert "StartReply" in result.output


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["replay", str(tmp_path / "missing.jsonl")])
    assert isinstance(result.exception, ConfigError)
    assert "cannot be read" in str(result.exception)


@pytest.mark.parametrize("text", ["# Antiphon\n", '{"kind": "event"}\n', "[]\n"])
def test_another_file_is_no_recording(text: str, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["replay", str(other)])
    assert str(result.exception).startswith(f"{other} is no recording of a session: ")
