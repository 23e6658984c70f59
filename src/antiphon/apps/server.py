"""The server put together from engines, sessions and HTTP: for the command line, for tests, for a program of yours."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self

import structlog
from aiohttp import web

from antiphon.agents.agent import Agent
from antiphon.apps.agents import Staff
from antiphon.apps.composition import Engines, engines_of, offers_of
from antiphon.apps.config import Config
from antiphon.apps.conversation_file import ConversationFile
from antiphon.apps.listening import base_url, bind, cannot_listen
from antiphon.apps.livekit import rooms_of
from antiphon.apps.media.assignment import Assignment
from antiphon.apps.media.part import Part, part_of
from antiphon.apps.media.processes import MediaProcesses
from antiphon.apps.memories import conversations_of
from antiphon.apps.metrics import FleetMetrics, Metrics
from antiphon.apps.recordings import Recordings
from antiphon.apps.session_maker import SessionMaker
from antiphon.apps.speakers.identifying import speakers_of
from antiphon.apps.standing import News, health_of, standing_of
from antiphon.apps.tls import tls_of
from antiphon.apps.webrtc import calls_of, check_processes, front_of
from antiphon.engines.base import Engine
from antiphon.engines.suite import Suite
from antiphon.errors import ConfigError, EngineError
from antiphon.session.identity import Speakers
from antiphon.session.keeping import Keeper
from antiphon.transport.conversations import ConversationRoutes
from antiphon.transport.gateway import Gateway
from antiphon.transport.http import GATEWAY, make_app
from antiphon.transport.limits import Limits
from antiphon.transport.livekit.rooms import JoinError
from antiphon.transport.model_admin import ModelRoutes
from antiphon.transport.page import Page, page_folder
from antiphon.transport.speech_http import SpeechRoutes

CLOSE_TIMEOUT_S = 0.8
"""What a client and a session get to end in order when the server stops."""

_BACKLOG = 1024

_log = structlog.get_logger(__name__)


class Server:
    """A running server, for the length of an ``async with`` block::

        async with Server(Config(port=0)) as server:
            print(server.url)

    Entering loads the engines and listens; leaving closes all sessions and frees the engines. Raises ConfigError when a
    setting cannot be used and EngineError when an engine cannot be loaded.
    """

    def __init__(
        self,
        config: Config,
        *,
        agents: Sequence[Agent] = (),
        on_loaded: Callable[[Engine, float], None] | None = None,
        assignment: Assignment | None = None,
    ) -> None:
        """``agents`` go before those of the configuration. ``on_loaded`` is called with each engine as it is ready, and
        the seconds that it took.

        With an ``assignment`` it carries calls for another server, on the workers of that, and listens to it alone.
        """
        self.config = config
        self._agents = agents
        self.agents: list[str] = []
        """The names of the agents, the first of them the default; while the server runs."""
        self._assignment = assignment
        self._media: MediaProcesses | None = None
        self.metrics = Metrics()
        self._on_loaded = on_loaded
        self._stack = contextlib.AsyncExitStack()
        self._status = "starting"
        self._conversations: ConversationFile | None = None
        self._engines: Engines | None = None
        self._speakers: Speakers | None = None
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
        return base_url(self._socket, "https" if self.config.tls_cert or self.config.tls else "http")

    async def __aenter__(self) -> Self:
        async with contextlib.AsyncExitStack() as stack:
            if self.config.webrtc_workers and self._agents:
                raise ConfigError("--webrtc-workers: agents must come from files, which other processes can read too")
            tls = tls_of(self.config)
            staff = Staff(self.config, self._agents)
            self.agents = staff.names
            recordings = Recordings(self.config, stack)
            self._conversations = await conversations_of(self.config, stack)
            fleet = FleetMetrics(self.metrics.registry, self._serving)
            if self._assignment is not None:
                engines = engines_of(self.config, watcher=fleet, shared=self._assignment.folder)
            else:
                self._socket = stack.enter_context(bind(self.config))
                engines = engines_of(self.config, self._socket.getsockname()[1], fleet)
            self._engines = await stack.enter_async_context(engines)
            if self.config.webrtc_workers:
                shared = check_processes(self._engines.shared)
                self._media = MediaProcesses(self.config, shared, self._engines, self.metrics, fleet.restarted)
            await self._load(self._engines)
            self._speakers = await speakers_of(self.config.speakers, self.config.enrolments, stack)
            await stack.enter_async_context(staff.at_work())
            gateway = await self._listen(stack, self._socket, tls, staff, recordings)
            if self._media is not None:
                await stack.enter_async_context(self._media)
            watching = await stack.enter_async_context(asyncio.TaskGroup())
            watches = [self.metrics.watch_event_loop(), self._news.run(self._engines.changes)]
            if self._conversations is not None:
                watches += [self._conversations.look_after(), self._conversations.hold(gateway.lose)]
            for watch in watches:
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
        listening: socket.socket | None,
        tls: ssl.SSLContext | None,
        staff: Staff,
        recordings: Recordings,
    ) -> Gateway:
        part = part_of(self._assignment, self.metrics, self.engines, self._news)
        app = self._app(self._sessions(staff, recordings), part)
        self._connect(app[GATEWAY])
        runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            shutdown_timeout=CLOSE_TIMEOUT_S,
            max_field_size=part.max_header_bytes,
        )
        try:
            await runner.setup()
        except JoinError as error:
            raise ConfigError(f"--livekit-url: {error}") from error
        stack.push_async_callback(runner.cleanup)
        try:
            await self._site(runner, listening, tls).start()
        except OSError as error:
            raise cannot_listen(self.config, error) from error
        return app[GATEWAY]

    def _sessions(self, staff: Staff, recordings: Recordings) -> SessionMaker:
        engines_offer = offers_of(self.config, self.suite)
        staff.check(engines_offer())
        return SessionMaker(
            self.config,
            engines=self.engines,
            staff=staff,
            metrics=self.metrics,
            news=self._news,
            recordings=recordings,
            keeper=Keeper(self._conversations) if self._conversations is not None else None,
            speakers=self._speakers,
            engines_offer=engines_offer,
        )

    def _app(self, sessions: SessionMaker, part: Part) -> web.Application:
        config = self.config
        speech = SpeechRoutes(self.suite.synthesizer, self.suite.recognizer, sessions.offer)
        return make_app(
            sessions,
            offer=sessions.offer,
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
            metrics=self._render_metrics,
            watcher=self.metrics,
            calls=calls_of(config, sessions.pacer, self.metrics) if self._media is None else None,
            front=front_of(self._media) if self._media is not None else None,
            access=part.access,
            names=part.names,
            rooms=rooms_of(config),
            shelf=sessions.recordings.shelf,
            keeper=sessions.keeper,
            more_routes=(
                *speech.routes(),
                *ModelRoutes(self.engines.models).routes(),
                *ConversationRoutes(self._conversations).routes(),
                *self.metrics.streaming.routes(),
                *part.routes,
            ),
            free_routes=Page(page_folder()).routes(),
        )

    def _connect(self, gateway: Gateway) -> None:
        """Brings together what watches over the sessions with the gateway that knows them."""
        if self._media is not None:
            self._media.serve(gateway, self._standing)
            self.engines.tell_of_models_by(self._media.tell_of_models)
            self._news.subscribe(self._media)
        self.engines.move_voices_by(partial(self._move_voices, gateway))
        self.metrics.streaming.states = gateway.states
        self.metrics.watch(
            sessions=lambda: gateway.active,
            queued_bytes=lambda: gateway.queued_bytes,
            workers=self._worker_pids,
        )

    def _site(self, runner: web.AppRunner, listening: socket.socket | None, tls: ssl.SSLContext | None) -> web.BaseSite:
        if listening is not None:
            return web.SockSite(runner, listening, ssl_context=tls, backlog=_BACKLOG)
        assert self._assignment is not None
        return web.UnixSite(runner, self._assignment.socket, backlog=_BACKLOG)

    def _move_voices(self, gateway: Gateway, successor: Callable[[str], str | None]) -> None:
        gateway.move_voices(successor)
        if self._media is not None:
            names = [voice.name for voice in self.suite.synthesizer.voices]
            self._media.move_voices({name: new for name in names if (new := successor(name)) is not None})

    async def _render_metrics(self) -> tuple[bytes, str]:
        return await self._media.render() if self._media is not None else self.metrics.render()

    def _health(self) -> dict[str, Any]:
        health = {**health_of(self.engines, self._status), "client_records": self.config.client_records}
        if self.agents:
            health["agents"] = self.agents
        return self._media.in_health(health) if self._media is not None else health

    def _standing(self) -> dict[str, Any]:
        return standing_of(self.engines, self._status)

    def _worker_pids(self) -> list[int]:
        return [worker["pid"] for worker in self.engines.workers() if worker.get("pid")]

    def _serving(self, stage: str) -> int:
        return self._engines.serving(stage) if self._engines is not None else 0


def _messages(failures: BaseExceptionGroup[Exception]) -> str:
    return "\n".join(str(failure) for failure in failures.exceptions)
