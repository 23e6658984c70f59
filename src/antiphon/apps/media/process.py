"""A media process: a server that only its own server reaches, and that carries calls for it."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import structlog

from antiphon.apps.finish import leave_after
from antiphon.apps.logs import logging_to
from antiphon.apps.media.assignment import Assignment
from antiphon.apps.pipes import tell_ready
from antiphon.apps.serve import event_loop, settle_memory
from antiphon.apps.server import Server

_log = structlog.get_logger(__name__)


def run(path: Path, ready_fd: int | None) -> int:
    """Carries calls until a signal comes. Returns the exit code. Raises ConfigError and EngineError."""
    assignment = Assignment.read(path)
    config = assignment.config
    with (
        logging_to(sys.stderr, "json", config.log_level, log_transcripts=config.log_transcripts),
        asyncio.Runner(loop_factory=event_loop) as runner,
    ):
        runner.run(_serve(assignment, ready_fd))
    return 0


async def _serve(assignment: Assignment, ready_fd: int | None) -> None:
    stop = asyncio.Event()

    def asked() -> None:
        if not stop.is_set():
            stop.set()
            leave_after()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked)
    async with Server(assignment.config, assignment=assignment):
        settle_memory()
        tell_ready(ready_fd, str(assignment.socket))
        await stop.wait()
