"""A worker's process that stands by: everything is imported, nothing is loaded, until another one has ended."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from antiphon.apps.pipes import first_bytes
from antiphon.apps.tasks import until_first
from antiphon.errors import ConfigError
from antiphon.worker.server import WorkerSettings
from antiphon.worker.stages import known_capabilities


async def is_needed(fd: int, settings: WorkerSettings, stop: asyncio.Event) -> bool:
    """Prepares, and waits for a byte at ``fd``. False when ``stop`` is set, or nobody is left who could write one."""
    for model in settings.residency.models:
        with suppress(ConfigError):  # it is told when the worker begins
            await known_capabilities(settings.stage, model)
    told: list[bytes] = []
    await until_first(_read(fd, told), stop.wait())
    return bool(told and told[0])


async def _read(fd: int, told: list[bytes]) -> None:
    told.append(await first_bytes(fd))
