"""What a media process tells its server, and what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.shell.test_http import Mute

from antiphon.apps.media import link as links
from antiphon.apps.media.link import MODELS_PATH, PATH, Link, Standing, Told
from antiphon.core.carriers import Mark
from antiphon.transport.http import make_app

LIMIT_S = 20.0


async def test_both_are_told_for_as_long_as_they_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "TELL_S", 0.01)
    appointed: asyncio.Queue[Mapping[str, str]] = asyncio.Queue()
    stood: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()

    link = Link(Mark(2, "0000aaaa"), busy=lambda: 0.25, appoint=appointed.put_nowait, stands=stood.put_nowait, ask=ask)
    app = make_app(Mute, more_routes=link.routes())
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            aiohttp.ClientSession(base) as http,
            http.ws_connect("/v1/realtime"),
            http.ws_connect(PATH) as first,
            http.ws_connect(PATH) as second,
        ):
            for socket in (first, second, first):
                standing = Standing.from_json(await socket.receive_str(timeout=LIMIT_S))
                assert standing == Standing("0000aaaa", sessions=1, busy=0.25, begun=1)
            await first.send_str(Told({"pico:en-US": "espeak:en-US"}, {"pico": "espeak"}).to_json().decode())
            await first.send_str(Told(standing={"status": "ok"}).to_json().decode())
            async with asyncio.timeout(LIMIT_S):
                assert await appointed.get() == {"pico": "espeak"}
                assert await stood.get() == {"status": "ok"}
            assert not asked.is_set()
            async with http.post(MODELS_PATH) as answer:
                assert answer.status == 200
            assert asked.is_set()
    finally:
        await runner.cleanup()
    assert not [task for task in asyncio.all_tasks() if "_tell" in str(task.get_coro())]
