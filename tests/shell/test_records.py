"""A client fetches the record of its own session."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from tests.shell.rtc_client import RATE_HZ, RtcClient
from typer.testing import CliRunner

from antiphon.apps.cli import app
from antiphon.apps.config import Config
from antiphon.apps.server import Server
from antiphon.core.settings import SessionSettings
from antiphon.engines import tone_code
from antiphon.session.session import Session
from antiphon.session.shelf import Shelf
from antiphon.sim.referee import Referee
from antiphon.sim.replay import replay
from antiphon.transport.base import Outlet
from antiphon.transport.http import GATEWAY, make_app

HELLO = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello!"}]}
KEY = {"Authorization": "Bearer sk-secret"}


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    scripted = {"vad": "scripted", "asr": "scripted", "llm": "scripted:tokens=5", "tts": "scripted"}
    config = Config.model_validate({"port": 0, "in_process": True, **scripted, **settings})
    async with Server(config) as server, aiohttp.ClientSession(server.url) as http:
        yield server, http


async def until(call: aiohttp.ClientWebSocketResponse, kind: str, referee: Referee) -> dict[str, Any]:
    while True:
        event: dict[str, Any] = orjson.loads(await call.receive_str(timeout=30))
        referee.feed(event)
        if event["type"] == kind:
            return event


async def fetch(http: aiohttp.ClientSession, url: str, **headers: str) -> tuple[int, bytes]:
    async with http.get(url, headers=headers) as answer:
        return answer.status, await answer.read()


async def test_while_the_session_goes_on_and_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with serving(record=tmp_path / "own") as (_, http):
        async with http.ws_connect("/v1/realtime?events=antiphon&record=1") as call:
            referee = Referee(vendor=True)
            session = (await until(call, "session.created", referee))["session"]["id"]
            told = await until(call, "antiphon.record", referee)
            assert told["session_id"] == session
            await call.send_json({"type": "input_audio_buffer.append", "audio": "AAAA" * 4000})
            await call.send_json({"type": "conversation.item.create", "item": HELLO})
            await call.send_json({"type": "response.create"})
            await until(call, "response.done", referee)
            status, part = await fetch(http, told["url"])
            assert status == 200
            folder = kept_in(tmp_path)
            assert folder.stat().st_mode & 0o077 == 0
        async with http.get(told["url"]) as answer:
            whole = await answer.read()
            assert answer.headers["Content-Type"] == "application/x-ndjson"
            assert answer.headers["Content-Disposition"] == f'attachment; filename="antiphon-{session}.jsonl"'
            assert answer.headers["Cache-Control"] == "no-store"
        assert whole.startswith(part)
    assert not folder.exists(), "nothing is left of it"
    file = tmp_path / "downloaded.jsonl"
    file.write_bytes(whole)
    result = CliRunner().invoke(app, ["replay", str(file)])
    assert result.exit_code == 0, result.output
    assert "Every action is the same." in result.output
    (own,) = (tmp_path / "own").glob("*.jsonl")
    assert replay(own) == replay(file), "the same as what the server itself records"
    audio = [entry["pcm"] for line in whole.splitlines() if "pcm" in (entry := orjson.loads(line))]
    assert audio


async def test_without_the_wish_there_is_none() -> None:
    async with serving() as (_, http), http.ws_connect("/v1/realtime?events=antiphon") as call:
        referee = Referee(vendor=True)
        session = (await until(call, "session.created", referee))["session"]["id"]
        status, body = await fetch(http, f"/v1/realtime/sessions/{session}/record")
        assert status == 404
        assert orjson.loads(body)["error"]["code"] == "record_not_found"


async def test_who_has_neither_the_key_nor_the_token_gets_nothing() -> None:
    async with (
        serving(api_key="sk-secret") as (_, http),
        http.ws_connect("/v1/realtime?events=antiphon&record=1", headers=KEY) as call,
    ):
        referee = Referee(vendor=True)
        told = await until(call, "antiphon.record", referee)
        bare = told["url"].partition("?")[0]
        assert (await fetch(http, told["url"]))[0] == 200
        assert (await fetch(http, bare, **KEY))[0] == 200
        assert (await fetch(http, bare))[0] == 401
        assert (await fetch(http, f"{bare}?token={'a' * 32}"))[0] == 401
        other = bare.replace(told["session_id"], "sess_other")
        assert (await fetch(http, f"{other}?{told['url'].partition('?')[2]}"))[0] == 401


async def test_a_server_may_keep_none() -> None:
    async with serving(client_records=False) as (_, http):
        async with http.ws_connect("/v1/realtime?events=antiphon&record=1") as call:
            referee = Referee(vendor=True)
            session = (await until(call, "session.created", referee))["session"]["id"]
            await call.send_json({"type": "input_audio_buffer.clear"})
            event = orjson.loads(await call.receive_str(timeout=30))
            assert event["type"] == "input_audio_buffer.cleared"
        assert (await fetch(http, f"/v1/realtime/sessions/{session}/record"))[0] == 404
        async with http.get("/health") as answer:
            assert (await answer.json())["client_records"] is False


async def test_over_webrtc() -> None:
    """With all the other events of our own, on the data channel."""
    async with (
        serving() as (_, http),
        RtcClient(http, "/v1/realtime/calls?events=antiphon&record=1") as call,
    ):
        await call.until("antiphon.record")
        call.microphone.say(tone_code.encode("tell me something", RATE_HZ))
        await call.until("response.done")
        told = call.events[1]
        status, body = await fetch(http, told["url"])
        assert status == 200
        assert sum("pcm" in orjson.loads(line) for line in body.splitlines()) > 10
        referee = Referee(vendor=True, call=True)
        for event in call.events:
            referee.feed(event)
        (turn,) = (event for event in call.events if event["type"] == "antiphon.turn")
        assert turn["served_by"] == {"asr": "server", "llm": "server", "tts": "server"}
        clauses = [event["text"] for event in call.events if event["type"] == "antiphon.clause"]
        assert clauses, "what they must say the referee has checked"


def test_the_server_looks_after_what_is_to_be_deleted(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "records")
    assert shelf.expire in make_app(no_session, shelf=shelf)[GATEWAY].checks
    shelf.close()


def no_session(outlet: Outlet, settings: SessionSettings, session_id: str) -> Session:
    raise AssertionError("nobody connects")


def kept_in(folder: Path) -> Path:
    (kept,) = (path for path in folder.iterdir() if path.name.startswith("antiphon-"))
    return kept
