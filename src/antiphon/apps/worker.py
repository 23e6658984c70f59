"""``antiphon worker``: hosts the engines of one stage in a process of its own, until a signal comes."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from antiphon.apps.finish import leave_after
from antiphon.apps.logs import logging_to
from antiphon.apps.pipes import tell_ready
from antiphon.apps.tasks import until_first
from antiphon.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from antiphon.worker.server import WorkerServer, WorkerSettings
    from antiphon.worker.stages import Stage

MAX_THREADS = 2
"""Of each library that would otherwise take a thread per core; engines bring their own threads besides."""

LEAVE_AFTER_S = 3.0
"""So long after the drain's limit the process ends, whatever still hangs."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_EVERY_ADDRESS = ("0.0.0.0", "[::]", "")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """``models`` as on the command line, the first being the default; without ``preload`` that one is preloaded."""

    stage: str
    models: tuple[str, ...]
    listen: str
    preload: tuple[str, ...] | None = None
    device: str = "auto"
    max_concurrent: int = 32
    resident_cap: int | None = None
    ttl_s: float = 600.0
    min_residency_s: float = 120.0
    voicepacks: Path | None = None
    """None for the platform's folder."""
    loudness: str | None = None
    """LUFS, or "off"; None for the usual."""
    registry: str | None = None
    advertise: str | None = None
    """The address that the registry is told, where the one listened on is of no use to others."""
    ready_fd: int | None = None
    standby_fd: int | None = None
    """It begins when a byte comes there."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_ca: Path | None = None
    insecure: bool = False
    drain_s: float = 10.0
    log_format: str = "auto"
    log_level: str = "info"


def run(options: WorkerOptions) -> int:
    """Works until a signal comes. Returns the exit code. Raises ConfigError."""
    for variable in _THREAD_VARIABLES:  # read by the libraries when they are loaded, which is later
        os.environ.setdefault(variable, str(MAX_THREADS))
    with (
        logging_to(sys.stderr, options.log_format, options.log_level),
        asyncio.Runner(loop_factory=_event_loop) as runner,
    ):
        return runner.run(run_worker(options))


def _event_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


async def run_worker(options: WorkerOptions) -> int:
    """Works until a signal comes: the first drains, a second ends the process at once. Raises ConfigError."""
    from antiphon.worker.server import WorkerServer

    stop = asyncio.Event()
    with _signals(stop):
        settings = settings_of(options)
        if options.standby_fd is not None:
            from antiphon.apps.standby import is_needed

            if not await is_needed(options.standby_fd, settings, stop):
                return 0
        async with WorkerServer(settings) as server:
            await until_first(server.load(), stop.wait())
            if not stop.is_set():
                await _serve(server, options, stop)
            leave_after(options.drain_s + LEAVE_AFTER_S)
            _log.info("draining", running=server.host.sessions.running, limit_s=options.drain_s)
            await server.drain(options.drain_s)
    _log.info("stopped")
    return 0


async def _serve(server: WorkerServer, options: WorkerOptions, stop: asyncio.Event) -> None:
    async with _announced(server, options):
        _log.info("ready", stage=options.stage, address=server.address, worker=server.host.identity.worker)
        tell_ready(options.ready_fd, server.address)
        await stop.wait()


def settings_of(options: WorkerOptions) -> WorkerSettings:
    """Raises ConfigError for what cannot be used as given."""
    from antiphon.core.residency_events import ResidencySettings
    from antiphon.worker.server import Tls, WorkerSettings

    stage = stage_of(options)
    if not options.models:
        raise ConfigError("give the models to host with --models")
    if options.registry is not None:
        from antiphon.voices.registry import open_registry

        open_registry(options.registry)  # for its complaints
    preload = options.models[:1] if options.preload is None else options.preload
    missing = [name for name in preload if name not in options.models]
    if missing:
        raise ConfigError(f"--preload {','.join(missing)}: not among --models {','.join(options.models)}")
    tls = None
    if options.tls_cert is not None and options.tls_key is not None:
        tls = Tls(options.tls_cert, options.tls_key, options.tls_ca)
    elif options.tls_cert is not None or options.tls_key is not None or options.tls_ca is not None:
        raise ConfigError("TLS needs both --tls-cert and --tls-key")
    _check_address(options.listen, secure=tls is not None or options.insecure)
    residency = ResidencySettings(
        models=options.models,
        preload=preload,
        cap=options.resident_cap,
        ttl_s=options.ttl_s,
        min_residency_s=options.min_residency_s,
    )
    return WorkerSettings(stage, residency, options.listen, options.max_concurrent, tls)


def stage_of(options: WorkerOptions) -> Stage:
    """Raises ConfigError."""
    from antiphon.apps.config_values import loudness_of
    from antiphon.engines.pack_folder import packs_folder
    from antiphon.engines.torch_device import check_device
    from antiphon.engines.voicing import Voicing
    from antiphon.loudness import TARGET_LUFS
    from antiphon.worker.stages import STAGES, asr_stage, llm_stage, tts_stage

    if options.stage not in STAGES:
        raise ConfigError(f"there is no stage {options.stage!r}; there are {', '.join(STAGES)}")
    device = check_device(options.device)
    if options.stage != "tts":
        return asr_stage(device) if options.stage == "asr" else llm_stage(device)
    try:
        lufs = TARGET_LUFS if options.loudness is None else loudness_of(options.loudness)
    except ValueError as error:
        raise ConfigError(f"--loudness {options.loudness}: {error}") from error
    return tts_stage(Voicing(options.voicepacks or packs_folder(), lufs, device))


def _check_address(listen: str, *, secure: bool) -> None:
    if listen.startswith("unix:"):
        return
    from antiphon.apps.config_values import is_loopback

    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal():
        raise ConfigError(f"--listen {listen}: write unix:///PATH or HOST:PORT")
    if not secure and not is_loopback(host.strip("[]")):
        raise ConfigError(
            f"--listen {listen}: others can reach this address; give --tls-cert and --tls-key (and --tls-ca to let "
            "only your own in), or --insecure where the network is yours"
        )


@asynccontextmanager
async def _announced(server: WorkerServer, options: WorkerOptions) -> AsyncIterator[None]:
    """Within the block the registry, if there is one, knows the worker."""
    if options.registry is None:
        yield
        return
    from antiphon.voices.announce import announce
    from antiphon.voices.registry import Announcement

    address = options.advertise or _reachable(server.address)
    announcement = Announcement(address, options.stage, server.host.identity.worker)
    announcing = asyncio.create_task(announce(options.registry, lambda: announcement))
    try:
        yield
    finally:
        announcing.cancel()
        await asyncio.gather(announcing, return_exceptions=True)


def _reachable(address: str) -> str:
    """The address for others: this machine's name where every address is listened on."""
    host, _, port = address.rpartition(":")
    return f"{socket.getfqdn()}:{port}" if host in _EVERY_ADDRESS else address


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """Within the block a first signal sets ``stop``, and a second ends the process at once."""

    def asked() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM) if sys.platform != "win32" else ()
    for number in numbers:
        loop.add_signal_handler(number, asked)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
