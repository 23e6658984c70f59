"""``antiphon serve``: runs a server until a signal comes, and says on the way what a person needs to know."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import signal
import sys
from typing import Any

import structlog

from antiphon.apps.browser import has_screen, open_page
from antiphon.apps.config import Config
from antiphon.apps.finish import leave_after
from antiphon.apps.lan import urls_of
from antiphon.apps.logs import logging_to
from antiphon.apps.pipes import tell_ready
from antiphon.apps.server import Server
from antiphon.apps.tls import own_certificate
from antiphon.apps.welcome import print_loaded, print_welcome

_log = structlog.get_logger(__name__)


class _Stop:
    """What a signal does: the first cancels the server's task, a second ends the process at once."""

    def __init__(self, serving: asyncio.Task[Any]) -> None:
        self._serving = serving
        self.asked = False

    def __call__(self) -> None:
        if self.asked:
            os._exit(130)
        self.asked = True
        self._serving.cancel()
        leave_after()


async def _serve(config: Config, ready_fd: int | None) -> None:
    serving = asyncio.current_task()
    assert serving is not None
    stop = _Stop(serving)
    if sys.platform != "win32":
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        async with Server(config, on_loaded=print_loaded) as server:
            settle_memory()
            _log.info("ready", url=server.url)
            elsewhere = urls_of(server.url, config.host)
            print_welcome(
                server.url,
                server.suite,
                needs_key=bool(config.api_key),
                elsewhere=elsewhere,
                agents=server.agents,
                certificate=own_certificate(config),
            )
            tell_ready(ready_fd, server.url)
            if config.open_browser and ready_fd is None and has_screen():
                await asyncio.to_thread(open_page, server.url)
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not stop.asked:
            raise
        _log.info("stopped")


def settle_memory() -> None:
    """What is loaded stays: the collector need not look at it again, and what loading took goes back to the system."""
    gc.collect()
    gc.freeze()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc; others give memory back by themselves
        if trim is not None:
            trim(0)


def event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def run(config: Config, ready_fd: int | None = None) -> int:
    """Serves until a signal comes. Returns the exit code."""
    with (
        logging_to(sys.stderr, config.log_format, config.log_level, log_transcripts=config.log_transcripts),
        asyncio.Runner(loop_factory=event_loop) as runner,
    ):
        runner.run(_serve(config, ready_fd))
    return 0
