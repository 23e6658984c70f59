"""A worker: the gRPC server around the engines of one stage."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc

from antiphon.core.residency_events import ResidencySettings
from antiphon.engines.capabilities import Capabilities
from antiphon.errors import ConfigError
from antiphon.v1 import generator_pb2_grpc, recognizer_pb2_grpc, synthesizer_pb2_grpc
from antiphon.worker.generator import GeneratorService
from antiphon.worker.health import HealthService
from antiphon.worker.host import Host, Identity, end_tasks
from antiphon.worker.manager import ModelManager
from antiphon.worker.recognizer import RecognizerService
from antiphon.worker.stages import Stage, known_capabilities
from antiphon.worker.synthesizer import SynthesizerService

MAX_MESSAGE_BYTES = 4 << 20

_OPTIONS: Sequence[tuple[str, Any]] = (
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second worker behind the same address
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.http2.bdp_probe", 0),  # it grows the windows, and with them what is under way to a stalled client
)


@dataclass(frozen=True, slots=True)
class Tls:
    """PEM files. With ``ca``, clients must show a certificate that it signed."""

    cert: Path
    key: Path
    ca: Path | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Raises ConfigError for files that cannot be read."""
        try:
            pair = (self.key.read_bytes(), self.cert.read_bytes())
            ca = self.ca.read_bytes() if self.ca is not None else None
        except OSError as error:
            raise ConfigError(f"{error.filename}: {error.strerror}") from error
        return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """``listen`` is ``unix:///path.sock`` or ``host:port``; port 0 takes a free one."""

    stage: Stage
    residency: ResidencySettings
    listen: str
    max_concurrent: int = 32
    tls: Tls | None = None


class _Disk:
    """Implements ``Disk``: the models of the settings, and those that voice packs bring."""

    def __init__(self, stage: Stage, models: tuple[str, ...]) -> None:
        self._stage = stage
        self._models = models

    async def look(self) -> dict[str, Capabilities]:
        """Those of the settings first. Raises ConfigError."""
        names = (*self._models, *await self._stage.more(self._models))
        return {name: await known_capabilities(self._stage, name) for name in names}

    async def unread(self, resident: Collection[str], model: str) -> tuple[str, ...]:
        return await self._stage.unread(resident, model)


class WorkerServer:
    """Serves within ``async with``; ``load`` comes first there. Its address is known then."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = HealthService("", settings.stage.service)
        self.models: ModelManager[Any] = ModelManager(settings.residency, settings.stage.make, settings.stage.warm_up)
        self.address = ""
        self.host: Host[Any]

    async def __aenter__(self) -> Self:
        """Listens, and says that it does not serve yet. Raises ConfigError for names, files and addresses of no use."""
        settings = self._settings
        stage, models = settings.stage, settings.residency.models
        disk = _Disk(stage, models)
        known = await disk.look()
        for model in known:
            self.models.offer(model)
        identity = Identity(
            stage=stage.name,
            worker=f"{stage.name}-{socket.gethostname()}-{secrets.token_hex(4)}",
            default_model=models[0],
            max_concurrent=settings.max_concurrent,
            capabilities=known,
        )
        self.host = Host(identity, self.models, disk)
        self._add_services()
        self.address = self._bind()
        await self._server.start()
        return self

    async def load(self) -> None:
        """Loads the preloaded models, as far as they can be, and then says that it serves."""
        await self.models.start()
        self._health.serve()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.drain(0)
        self.host.sessions.close()
        await self.models.close()
        self._remove_socket()

    async def drain(self, limit_s: float) -> None:
        """Says that it serves no more, takes no new calls, and lets those under way end, until ``limit_s`` is over."""
        self._health.stop_serving()
        stopping = asyncio.create_task(self._server.stop(limit_s))
        idle = asyncio.create_task(self.host.sessions.idle())
        try:
            await asyncio.wait([stopping, idle], return_when=asyncio.FIRST_COMPLETED)
            self._health.end_watches()
            await stopping
        finally:
            await end_tasks(idle)

    def _remove_socket(self) -> None:
        if self.address.startswith("unix://"):
            Path(self.address.removeprefix("unix://")).unlink(missing_ok=True)

    def _add_services(self) -> None:
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        match self._settings.stage.name:
            case "tts":
                synthesizer_pb2_grpc.add_SynthesizerServicer_to_server(  # type: ignore[no-untyped-call]
                    SynthesizerService(self.host), self._server
                )
            case "asr":
                recognizer_pb2_grpc.add_RecognizerServicer_to_server(  # type: ignore[no-untyped-call]
                    RecognizerService(self.host), self._server
                )
            case _:
                generator_pb2_grpc.add_GeneratorServicer_to_server(  # type: ignore[no-untyped-call]
                    GeneratorService(self.host), self._server
                )

    def _bind(self) -> str:
        listen, tls = self._settings.listen, self._settings.tls
        if listen.startswith("unix:"):
            path = Path("/" + listen.removeprefix("unix:").lstrip("/")) if "://" in listen else Path(listen[5:])
            return self._bind_socket(path)
        host = listen.rpartition(":")[0]
        try:
            if tls is None:
                port = self._server.add_insecure_port(listen)
            else:
                port = self._server.add_secure_port(listen, tls.credentials())
        except RuntimeError as error:
            raise ConfigError(f"--listen {listen}: cannot listen there; is the port in use?") from error
        return f"{host}:{port}"

    def _bind_socket(self, path: Path) -> str:
        """A socket that only this user may open. One that was left behind is removed; one in use is an error."""
        if path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                try:
                    probe.connect(str(path))
                except OSError:
                    path.unlink(missing_ok=True)
                else:
                    raise ConfigError(f"--listen unix://{path}: another worker listens there")
        before = os.umask(0o177)
        try:
            self._server.add_insecure_port(f"unix:{path}")
        except RuntimeError as error:
            raise ConfigError(f"--listen unix://{path}: cannot listen there; is there such a folder?") from error
        finally:
            os.umask(before)
        return f"unix://{path}"
