"""The self-test as a user runs it, and that it fails when something is wrong."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.serial

LIMIT_S = 110.0
MAX_TOTAL_S = 60.0


async def selftest(*arguments: str) -> tuple[int, str]:
    """The exit code, and what was written."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "antiphon", "selftest", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    assert process.returncode is not None
    return process.returncode, out.decode()


def read(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_bytes())
    return report


async def test_it_proves_a_conversation_and_a_barge_in(tmp_path: Path) -> None:
    code, shown = await selftest("--json", str(tmp_path / "report.json"), "--svg", str(tmp_path / "report.svg"))
    assert code == 0, shown
    report = read(tmp_path / "report.json")
    assert report["passed"]
    assert report["total_s"] < MAX_TOTAL_S
    assert [turn["name"] for turn in report["turns"]] == [
        "human speech",
        "first turn",
        "second turn",
        "long reply",
        "barge-in",
        "backchannel",
        "typed turn",
        "function call",
    ]
    assert {"end_of_turn_ms", "recognizer_ms", "brain_ms", "voice_ms", "response_ms"} <= set(report["summary"])
    assert report["summary"]["response_ms"]["turns"] >= 6
    assert set(report["barge_in"]) == {"onset_to_edge_ms", "edge_to_last_frame_ms", "onset_to_silence_ms"}
    assert "passed" in shown
    assert (tmp_path / "report.svg").read_text().startswith("<svg")


async def test_a_brain_that_remembers_nothing_fails_it(tmp_path: Path) -> None:
    """It counts, whatever it is asked: all that is speech works, and nothing that needs sense does."""
    code, shown = await selftest("--llm", "scripted:tokens=12", "--json", str(tmp_path / "report.json"))
    assert code == 1, shown
    failed = {check["name"] for check in read(tmp_path / "report.json")["checks"] if not check["passed"]}
    assert {"second turn: remembers the first", "function call: is made"} <= failed
    assert "first turn: transcript" not in failed
    assert "first turn: speech is the text" not in failed
    assert "FAIL second turn: remembers the first" in shown


async def test_a_server_that_cannot_start_is_told_plainly() -> None:
    code, shown = await selftest("--asr", "nonsense")
    assert code == 2
    assert "the server did not start" in shown
    assert "nonsense" in shown
    assert "Traceback" not in shown
