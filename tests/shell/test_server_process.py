from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import aiohttp
import psutil
import pytest

from antiphon.apps.server_process import STOP_LIMIT_S, ServerStartError, local_server

SCRIPTED = ("--vad=scripted:", "--asr=scripted:", "--llm=scripted:", "--tts=scripted:")
LIMIT_S = 60.0


async def test_it_runs_for_the_length_of_the_block(tmp_path: Path) -> None:
    async with local_server(SCRIPTED, tmp_path / "log.txt") as server:
        async with aiohttp.ClientSession() as http, http.get(f"{server.url}/health") as response:
            assert (await response.json())["service"] == "antiphon"
        assert psutil.pid_exists(server.pid)
        assert server.start_s > 0
    assert server.url in (tmp_path / "log.txt").read_text()
    assert not psutil.pid_exists(server.pid)


async def test_a_server_that_does_not_start_says_why() -> None:
    with pytest.raises(ServerStartError, match="did not start"):
        async with local_server(("--port-that-is-none",)):
            pass
    with pytest.raises(ServerStartError, match="nonsense"):
        async with local_server(("--asr", "nonsense")):
            pass


async def test_nothing_is_left_open() -> None:
    before = psutil.Process().num_fds()
    for _ in range(2):
        async with local_server(SCRIPTED):
            pass
    assert psutil.Process().num_fds() <= before + 1  # the loop's own child watcher


async def test_a_server_that_hangs_is_killed() -> None:
    loop = asyncio.get_running_loop()
    async with local_server(SCRIPTED) as server:
        os.kill(server.pid, signal.SIGSTOP)
        began_at = loop.time()
    assert loop.time() - began_at < STOP_LIMIT_S * 3
    assert not psutil.pid_exists(server.pid)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_it_does_not_outlive_us() -> None:
    code = (
        "import asyncio, os\n"
        "from antiphon.apps.server_process import local_server\n"
        "async def main():\n"
        f"    async with local_server({SCRIPTED!r}) as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    server = psutil.Process(int(await asyncio.wait_for(parent.stdout.readline(), LIMIT_S)))
    parent.kill()
    await parent.wait()
    await asyncio.to_thread(server.wait, LIMIT_S)
