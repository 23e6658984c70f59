"""A call that goes through a relay and no other way: a real TURN server, coturn."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.shell.rtc_client import PATIENCE_S
from tests.shell.test_webrtc_calls import judge, loudness, site, typed

from antiphon.transport.webrtc.network import Network

USER, PASSWORD = "ada", "s3cret"


def an_address() -> str:
    """Of this machine, which its own clients can reach."""
    return next(address for address in Network(listening_on="0.0.0.0").addresses() if ":" not in address)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def turn_server(folder: Path) -> AsyncIterator[str]:
    """Its address with its credentials, as the configuration has it."""
    program, port = shutil.which("turnserver"), free_port()
    assert program, "this test needs coturn: apt-get install coturn"
    options = [
        "-n",
        f"--listening-ip={an_address()}",
        f"--listening-port={port}",
        f"--relay-ip={an_address()}",
        "--lt-cred-mech",
        f"--user={USER}:{PASSWORD}",
        "--realm=antiphon.test",
        "--no-tls",
        "--no-dtls",
        "--no-cli",
        "--allow-loopback-peers",
        f"--pidfile={folder / 'turn.pid'}",
        f"--userdb={folder / 'turn.db'}",
        "--log-file=stdout",
        "--verbose",
    ]
    process = await asyncio.create_subprocess_exec(program, *options, stdout=asyncio.subprocess.PIPE, cwd=folder)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            while b"UDP listener opened on" not in (line := await process.stdout.readline()):
                assert line, "coturn has ended"
        reading = asyncio.create_task(process.stdout.read())
        yield f"turn:{USER}:{PASSWORD}@{an_address()}:{port}"
    finally:
        process.terminate()
        await process.wait()
    log = await reading
    assert b"CHANNEL_BIND processed" in log or b"CREATE_PERMISSION processed" in log, "nothing went through it"


async def test_a_conversation_by_way_of_a_relay(tmp_path: Path) -> None:
    async with (
        turn_server(tmp_path) as url,
        site(ice_server=(url,), relay_only=True) as here,
        here.call() as client,
    ):
        candidates = [line for line in client.answer.splitlines() if line.startswith("a=candidate:")]
        assert candidates
        assert all("typ relay" in line for line in candidates)
        await client.until("session.created")
        client.send(typed("Hello."))
        client.send({"type": "response.create"})
        await client.until("output_audio_buffer.stopped")
        judge(client.events, call=True)
        assert loudness(bytes(client.heard)) > 100
