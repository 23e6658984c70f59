"""A real Redis for tests."""

from __future__ import annotations

import asyncio
import shutil
import socket
from pathlib import Path

WAIT_S = 20.0


class RedisServer:
    """A server of its own, which can be killed and started again, empty."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0?prefix=test"

    async def start(self) -> None:
        program = shutil.which("redis-server")
        assert program, "these tests need redis-server: apt-get install redis-server"
        options = f"--port {self.port} --bind 127.0.0.1 --appendonly no --dir {self._folder}".split()
        self._process = await asyncio.create_subprocess_exec(
            program, *options, "--save", "", stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(WAIT_S):
            while b"Ready to accept connections" not in await self._process.stdout.readline():
                assert self._process.returncode is None

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.communicate()
