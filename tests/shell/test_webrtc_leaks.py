"""A hundred calls that are opened and dropped, in all the ways in which clients go, leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import threading

import aiohttp
import psutil
import pytest
from tests.shell.rtc_client import PATIENCE_S, RtcClient
from tests.shell.test_resume import watched
from tests.shell.test_webrtc_calls import CALLS, Site, site

AT_ONCE = 5
ROUNDS = 20


def held() -> tuple[int, set[str]]:
    """File descriptors, and threads but for those of the loop's own pool."""
    gc.collect()
    names = {thread.name for thread in threading.enumerate()}
    return psutil.Process().num_fds(), {name for name in names if not name.startswith("asyncio_")}


async def hang_up(here: Site, client: RtcClient) -> None:
    async with here.http.post(f"{here.server.url}{client.location}/hangup") as response:
        assert response.status == 200


async def leave(here: Site, client: RtcClient) -> None:
    await client.close()


async def vanish(here: Site, client: RtcClient) -> None:
    """Nothing more comes from it, not even a goodbye; the server finds out, and waits no longer than it should."""
    await client.pc.getTransceivers()[0].receiver.transport.transport.stop()


async def drop(here: Site, way: int) -> None:
    async with here.call(CALLS) as client:
        await client.until("session.created")
        async with watched(here, client):
            await (hang_up, leave, vanish)[way % 3](here, client)


@pytest.mark.serial
@pytest.mark.timeout(240)
async def test_a_hundred_calls_leave_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("antiphon.transport.webrtc.peer.LOST_AFTER_S", 0.3)
    async with site(resume_s=0.1) as here:
        here.server.metrics.admission.admit = lambda now: None  # type: ignore[method-assign]  # however slow it is here
        before, lasting = held(), asyncio.all_tasks()
        for round_ in range(ROUNDS):
            async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
                for index in range(AT_ONCE):
                    group.create_task(drop(here, round_ + index))
        await here.http.close()
        if ending := asyncio.all_tasks() - lasting:
            _, left = await asyncio.wait(ending, timeout=PATIENCE_S)
            assert not left
        assert held() == before
        async with aiohttp.ClientSession() as http, http.get(f"{here.server.url}/metrics") as response:
            assert "antiphon_sessions_active 0.0" in await response.text()
