"""One real server on the embedded engines for all of these tests, and somebody to speak to it."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from antiphon.audio import MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ, resample
from antiphon.core.speech import Voice
from antiphon.engines.base import Synthesizer
from antiphon.engines.pico import PicoSynthesizer

START_LIMIT_S = 90.0
STOP_LIMIT_S = 20.0

ASKER = "en-GB"
"""The voice that asks, another than the one that answers."""

Ask = Callable[[str], bytes]


@contextmanager
def serving(folder: Path, *arguments: str) -> Iterator[str]:
    """``antiphon serve`` in a process of its own, that works and logs in ``folder``; its base URL."""
    ready, told = os.pipe()
    command = [sys.executable, "-m", "antiphon", "serve", "--port", "0", "--ready-fd", str(told), *arguments]
    log = folder / "log.txt"
    with log.open("wb") as out, os.fdopen(ready, "r") as address:
        process = subprocess.Popen(
            command, pass_fds=(told,), stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder
        )
        os.close(told)
        try:
            readable, _, _ = select.select([address], [], [], START_LIMIT_S)
            url = address.readline().strip() if readable else ""
            assert url, f"the server did not start:\n{log.read_text()}"
            yield url
            process.send_signal(signal.SIGINT)
            assert process.wait(STOP_LIMIT_S) == 0, f"the server did not stop cleanly:\n{log.read_text()}"
        finally:
            process.kill()
            process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of ``antiphon serve`` on its embedded engines, in a process of its own."""
    with serving(tmp_path_factory.mktemp("server"), "--llm", "alice") as url:
        yield url


@pytest.fixture(scope="session")
def ask() -> Iterator[Ask]:
    """Speaks a text: mono s16 at 24 kHz, by the second voice."""
    synthesizer = PicoSynthesizer(ASKER)

    # A thread of its own, so that tests can ask from inside their own event loop.
    with ThreadPoolExecutor(1) as worker:
        runner = worker.submit(asyncio.Runner).result()

        @cache
        def speak(text: str) -> bytes:
            return worker.submit(runner.run, _speak(synthesizer, text)).result()

        worker.submit(runner.run, synthesizer.load()).result()
        yield speak
        worker.submit(runner.run, synthesizer.close()).result()
        worker.submit(runner.close).result()


async def _speak(synthesizer: Synthesizer, text: str) -> bytes:
    async def pieces() -> AsyncIterator[str]:
        yield text

    chunks = [chunk.pcm async for chunk in synthesizer.speak(pieces(), Voice(ASKER))]
    return resample(b"".join(chunks), MOUTH_RATE_HZ, WIRE_PCM_RATE_HZ)
