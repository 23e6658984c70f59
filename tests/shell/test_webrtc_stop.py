"""A server that is stopped in the midst of calls."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from tests.shell.rtc_client import RtcClient
from tests.shell.test_serve import serving
from tests.shell.test_webrtc_calls import CALLS, judge


@pytest.mark.serial
async def test_a_signal_ends_calls_and_the_server_within_two_seconds() -> None:
    async with serving("--in-process") as server, aiohttp.ClientSession() as http:
        speaking = await RtcClient(http, server.url + CALLS).connect()
        lost = await RtcClient(http, f"{server.url}{CALLS}?resumable=1").connect()
        for client in (speaking, lost):
            await client.until("session.created")
            client.send({"type": "response.create"})
            await client.until("output_audio_buffer.started")
        await lost.close()
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        server.interrupt()
        code, _, err = await server.ended()
        assert loop.time() - began_at < 2
        await speaking.until("conversation.item.truncated")
        await speaking.close()
        judge(speaking.events, call=True)
    assert code == 0, err
    assert "left behind" not in err
    assert "Traceback" not in err
