"""`antiphon talk --agent examples/...`: the agents of examples/ in calls by files, with the embedded engines."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
from tests.e2e.conftest import Ask
from tests.e2e.listening import words_in_common

from antiphon.audio import EAR_RATE_HZ, WIRE_PCM_RATE_HZ, resample
from antiphon.engines.catalog import make_recognizer

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT_S = 110.0

Spoken = list[tuple[float, str]]
"""How many seconds after the one before each turn begins, and its words."""


def user_file(path: Path, ask: Ask, turns: Spoken, rest_s: float) -> Path:
    pcm = b"".join(bytes(round(after_s * WIRE_PCM_RATE_HZ) * 2) + ask(words) for after_s, words in turns)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(WIRE_PCM_RATE_HZ)
        file.writeframes(pcm + bytes(round(rest_s * WIRE_PCM_RATE_HZ) * 2))
    return path


def agents_side(path: Path) -> bytes:
    """What the agent says in a recorded call: mono s16 at 16 kHz."""
    with wave.open(str(path), "rb") as file:
        both = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2)
        rate_hz = file.getframerate()
    return resample(np.ascontiguousarray(both[:, 1]).tobytes(), rate_hz, EAR_RATE_HZ)


async def recognized(pcm: bytes) -> str:
    recognizer = make_recognizer("moonshine")
    await recognizer.load()
    try:
        stream = recognizer.open(lambda text: None)
        stream.feed(pcm)
        return (await stream.final()).text
    finally:
        await recognizer.close()


def talk(example: str, user: Path, call: Path, *options: str) -> list[str]:
    """The captions of the agent."""
    command = [sys.executable, "-m", "antiphon", "talk", "--agent", str(EXAMPLES / example), "--llm", "alice"]
    done = subprocess.run(
        [*command, "--in", str(user), "--out", str(call), *options],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return [line.removeprefix("agent  ") for line in lines if line.startswith("agent  ")]


def test_the_plain_agent_greets_and_answers(tmp_path: Path, ask: Ask) -> None:
    """In real time, over a server of its own."""
    user = user_file(tmp_path / "user.wav", ask, [(5.0, "What is your name?")], rest_s=3.0)
    said = talk("plain.py", user, tmp_path / "call.wav")
    assert said[0] == "Good evening, this is the hotel by the sea."
    assert len(said) == 2
    heard = asyncio.run(recognized(agents_side(tmp_path / "call.wav")))
    assert words_in_common(heard, " ".join(said)) > 0.7


def test_the_agent_that_listens_greets_and_answers(tmp_path: Path, ask: Ask) -> None:
    user = user_file(tmp_path / "user.wav", ask, [(4.0, "What is your name?")], rest_s=4.0)
    said = talk("listening.py", user, tmp_path / "call.wav", "--fast")
    assert said[0] == "I am listening."
    assert len(said) == 2


def test_the_agent_with_tools_uses_its_own_those_of_an_mcp_server_and_hands_over(tmp_path: Path, ask: Ask) -> None:
    turns: Spoken = [
        (3.5, "What is the ticket price for three people?"),
        (5.0, "What are the opening hours on Thursday?"),
        (5.0, "Please find a tour."),
        (7.5, "Please transfer me to the office for lost property."),
    ]
    user = user_file(tmp_path / "user.wav", ask, turns, rest_s=5.0)
    said = talk("tools_and_mcp.py", user, tmp_path / "call.wav", "--fast")
    assert said[0] == "Hello, this is the museum."
    answers = " ".join(said)
    assert "36 euros" in answers, "a function of the agent"
    assert "On Thursday the museum is open from ten until nine." in answers, "a tool of an MCP server"
    filler = said.index("Let me look into the calendar.")
    assert "three o'clock" in said[filler + 1], "a slow function, bridged"
    assert said[-1] == "This is the lost property office. What have you lost?"
    heard = asyncio.run(recognized(agents_side(tmp_path / "call.wav")))
    assert words_in_common(heard, "museum thursday calendar tour property office lost") > 0.7
