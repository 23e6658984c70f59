"""The server put together from engines, sessions and HTTP: for the command line, for tests, for a program of yours."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

import structlog
from aiohttp import web

from antiphon.apps.composition import Engines, engines_of, offers_of
from antiphon.apps.config import Config
from antiphon.apps.livekit import rooms_of
from antiphon.apps.metrics import FleetMetrics, Metrics
from antiphon.apps.recordings import Recordings
from antiphon.apps.standing import News, health_of, standing_of
from antiphon.apps.tls import tls_of
from antiphon.apps.webrtc import calls_of
from antiphon.core.settings import SessionSettings
from antiphon.engines.base import Engine
from antiphon.engines.counted_brain import counted
from antiphon.engines.suite import Suite
from antiphon.errors import ConfigError, EngineError
from antiphon.session.pacer import Pacer
from antiphon.session.session import Session
from antiphon.transport.base import Outlet
from antiphon.transport.http import GATEWAY, make_app
from antiphon.transport.limits import Limits
from antiphon.transport.livekit.rooms import JoinError
from antiphon.transport.model_admin import ModelRoutes
from antiphon.transport.page import Page, page_folder
from antiphon.transport.speech_http import SpeechRoutes

CLOSE_TIMEOUT_S = 0.8
"""What a client and a session get to end in order when the server stops."""

_BACKLOG = 1024
_ALL_ADDRESSES = {"0.0.0.0": "127.0.0.1", "::": "::1"}

_log = structlog.get_logger(__name__)


class Server:
    """A running server, for the length of an ``async with`` block::

        async with Server(Config(port=0)) as server:
            print(server.url)

    Entering loads the engines and listens; leaving closes all sessions and frees the engines. Raises ConfigError when a
    setting cannot be used and EngineError when an engine cannot be loaded.
    """

    def __init__(self, config: Config, *, on_loaded: Callable[[Engine, float], None] | None = None) -> None:
        """``on_loaded`` is called with each engine as it is ready, and the seconds that it took."""
        self.config = config
        self.metrics = Metrics()
        self._on_loaded = on_loaded
        self._stack = contextlib.AsyncExitStack()
        self._status = "starting"
        self._engines: Engines | None = None
        self._news = News(self._standing)
        self._socket: socket.socket | None = None

    @property
    def suite(self) -> Suite:
        """The engines; only while the server runs."""
        return self.engines.suite

    @property
    def engines(self) -> Engines:
        """The engines and where they run; only while the server runs."""
        if self._engines is None:
            raise RuntimeError("the server does not run")
        return self._engines

    @property
    def url(self) -> str:
        """The base address, as a client on this machine would write it; only while the server runs."""
        if self._socket is None:
            raise RuntimeError("the server does not run")
        address: tuple[str, int] = self._socket.getsockname()[:2]
        host, port = _ALL_ADDRESSES.get(address[0], address[0]), address[1]
        scheme = "https" if self.config.tls_cert or self.config.tls else "http"
        return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            tls = tls_of(self.config)
            self._socket = stack.enter_context(_bind(self.config))
            own_port = self._socket.getsockname()[1]
            engines = engines_of(self.config, own_port, FleetMetrics(self.metrics.registry, self._serving))
            self._engines = await stack.enter_async_context(engines)
            await self._load(self._engines)
            await self._listen(stack, self._socket, tls)
            watching = await stack.enter_async_context(asyncio.TaskGroup())
            for watch in (self.metrics.watch_event_loop(), self._news.run(self._engines.changes)):
                stack.callback(watching.create_task(watch).cancel)
            self._stack = stack.pop_all()
        self._status = "ok"
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._status = "stopping"
        await self._stack.aclose()

    async def _load(self, engines: Engines) -> None:
        async def load(engine: Engine) -> None:
            began_at = time.monotonic()
            await engines.load(engine)
            took_s = time.monotonic() - began_at
            _log.debug("engine loaded", engine=engine.name, took_s=round(took_s, 2))
            if self._on_loaded is not None:
                self._on_loaded(engine, took_s)

        try:
            async with asyncio.TaskGroup() as group:
                for engine in engines.suite:
                    group.create_task(load(engine))
        except* EngineError as failures:
            raise EngineError(_messages(failures)) from failures
        except* ConfigError as failures:
            raise ConfigError(_messages(failures)) from failures

    async def _listen(
        self,
        stack: contextlib.AsyncExitStack,
        listening: socket.socket,
        tls: ssl.SSLContext | None,
    ) -> None:
        config = self.config
        recordings = Recordings(config, stack)
        pacer = Pacer()

        def session(outlet: Outlet, settings: SessionSettings, session_id: str) -> Session:
            recorder = recordings.recorder(session_id)
            suite = self.engines.of_session(session_id)
            self._news.subscribe(outlet)
            stay = self.engines.attending(suite, settings.reply.voice)
            suite = replace(suite, brain=counted(suite.brain, self.metrics.tokens))
            return Session(suite, outlet, settings, meter=self.metrics, recorder=recorder, pacer=pacer, stay=stay)

        offer = offers_of(config, self.suite)
        speech = SpeechRoutes(self.suite.synthesizer, self.suite.recognizer, offer)
        app = make_app(
            session,
            offer=offer,
            limits=Limits(
                max_sessions=config.max_sessions,
                max_session_s=config.max_session_s,
                idle_timeout_s=config.idle_timeout_s,
                resume_s=config.resume_s,
                close_timeout_s=CLOSE_TIMEOUT_S,
            ),
            api_keys=config.api_key,
            allowed_origins=config.allow_origin,
            health=self._health,
            metrics=self.metrics.render,
            watcher=self.metrics,
            calls=calls_of(config, pacer, self.metrics),
            rooms=rooms_of(config),
            shelf=recordings.shelf,
            more_routes=(*speech.routes(), *ModelRoutes(self.engines.models).routes()),
            free_routes=Page(page_folder()).routes(),
        )
        gateway = app[GATEWAY]
        self.engines.move_voices_by(gateway.move_voices)
        self.metrics.watch(sessions=lambda: gateway.active, queued_bytes=lambda: gateway.queued_bytes)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=CLOSE_TIMEOUT_S)
        try:
            await runner.setup()
        except JoinError as error:
            raise ConfigError(f"--livekit-url: {error}") from error
        stack.push_async_callback(runner.cleanup)
        try:
            await web.SockSite(runner, listening, ssl_context=tls, backlog=_BACKLOG).start()
        except OSError as error:
            raise _cannot_listen(config, error) from error

    def _health(self) -> dict[str, Any]:
        return {**health_of(self.engines, self._status), "client_records": self.config.client_records}

    def _standing(self) -> dict[str, Any]:
        return standing_of(self.engines, self._status)

    def _serving(self, stage: str) -> int:
        return self._engines.serving(stage) if self._engines is not None else 0


def _messages(failures: BaseExceptionGroup[Exception]) -> str:
    return "\n".join(str(failure) for failure in failures.exceptions)


def _bind(config: Config) -> socket.socket:
    """Takes the address at once, so that a port in use is told before the engines are loaded; listens to nobody yet."""
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ConfigError(f"--host {config.host}: {error.strerror}") from error
    family, kind, protocol, _, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    listening = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would let two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise _cannot_listen(config, error) from error
    return listening


def _cannot_listen(config: Config, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {config.port} is in use: choose another with --port, or --port 0 for a free one")
    if error.errno == errno.EACCES:
        return ConfigError(f"port {config.port} needs more rights: choose one from 1024 on with --port")
    return ConfigError(f"cannot listen on {config.host}:{config.port}: {error.strerror}")
