"""``antiphon juno``: recognizer, language model and voice in processes of their own, and a chat server with rules."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from tests.shell.test_talk import say, sides

from antiphon.engines import tone_code

LIMIT_S = 90.0
RATE_HZ = 24_000
ANSWER = "She asks me. <speak>It is noon.</speak>"


@dataclass
class ChatServer:
    """Answers who asks for the time and is silent; keeps what it was asked."""

    requests: list[dict[str, Any]] = field(default_factory=list)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": "rules", "object": "model"}]})

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.requests.append(body)
        asked = str(body["messages"][-1]["content"])
        answer = ANSWER if "time is it" in asked else ""
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for text in ["", *re.findall(r".{1,4}", answer)]:
            await response.write(b"data: " + json.dumps(_chunk({"content": text}, None)).encode() + b"\n\n")
        await response.write(b"data: " + json.dumps(_chunk({}, "stop")).encode() + b"\n\ndata: [DONE]\n\n")
        return response


def _chunk(delta: dict[str, Any], reason: str | None) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "rules", "choices": [choice]}


@pytest.fixture
async def chat() -> AsyncIterator[tuple[ChatServer, str]]:
    rules = ChatServer()
    app = web.Application()
    app.add_routes([web.get("/v1/models", rules.models), web.post("/v1/chat/completions", rules.chat)])
    async with TestServer(app) as server:
        yield rules, str(server.make_url("/v1"))


def told(body: dict[str, Any]) -> str:
    """The prompt as one text, without marks of where its last message ends."""
    return "".join(f"<{message['role']}>{message['content']}" for message in body["messages"])


async def test_it_shows_who_transcribes_thinks_and_speaks(chat: tuple[ChatServer, str], tmp_path: Path) -> None:
    rules, url = chat
    first = say(tmp_path / "first.wav", (0.3, "my keys are on the table said anna to ben"))
    second = say(tmp_path / "second.wav", (0.3, "juno what time is it"))
    call = tmp_path / "call.wav"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "antiphon", "juno", "--in", str(first), "--in", str(second), "--out", str(call), "--wait-k", "3"),
        *("--asr", "scripted:", "--tts", "scripted:first_audio_ms=20", "--llm", url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"ANTIPHON_VAD": "scripted:"},
        cwd=tmp_path,
    )
    output, _ = await asyncio.wait_for(process.communicate(), LIMIT_S)
    shown = output.decode()
    assert process.returncode == 0, shown
    lines = [line[9:].strip() for line in shown.splitlines()]
    assert "llm  thinks   She asks me." in lines, shown
    assert lines.index("tts  speaks   It is noon.") < lines.index("tts  is done")
    assert sum(line.startswith("stt  hears") for line in lines) >= 2
    _, agent = sides(call)
    assert tone_code.decode(agent.tobytes(), RATE_HZ) == "It is noon."
    prompts = [told(body) for body in rules.requests]
    assert len(prompts) > 4
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(prompts))
    assert prompts[0].startswith("<system>You are Juno")
    assert "between <speak> and </speak>" in prompts[0]
    assert [tool["function"]["name"] for tool in rules.requests[0]["tools"]] == ["speak", "stop_speaking"]
