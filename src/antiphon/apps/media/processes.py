"""The media processes of a server, as the server sees them: kept running, and asked how they stand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import aiohttp
import structlog

from antiphon.apps.child_process import Command
from antiphon.apps.composition import Engines, Shared
from antiphon.apps.config import Config
from antiphon.apps.media.assignment import Assignment, assignments
from antiphon.apps.media.link import MODELS_PATH, PATH, RELEASE_LIMIT_S, RELEASE_PATH, Standing, Told
from antiphon.apps.media.sums import Sums
from antiphon.apps.metrics import MediaMetrics, Metrics
from antiphon.apps.supervisor import Child, ChildState, Supervisor
from antiphon.core.carriers import Carriers, Mark
from antiphon.errors import EngineError
from antiphon.transport.access import granted
from antiphon.transport.gateway import Gateway
from antiphon.transport.relay import BASE

START_LIMIT_S = 10.0
"""A process that is ready says so over its link within milliseconds, even on a busy machine within seconds."""

HEARTBEAT_S = 4.0
"""A process that says nothing for half as long again is offered no calls."""

_AGAIN_S = 0.2
_METRICS_LIMIT_S = 1.0
_MODELS_LIMIT_S = 5.0

_log = structlog.get_logger(__name__)


class MediaProcesses:
    """Runs the processes within ``async with``. Implements ``transport.webrtc.front.Exchange``."""

    def __init__(
        self,
        config: Config,
        shared: Shared,
        engines: Engines,
        metrics: Metrics,
        on_restart: Callable[[str], None] | None = None,
    ) -> None:
        """``on_restart`` is called with the name of a process that ended and is started again."""
        self.carriers = Carriers()
        self._assignments = {given.number: given for given in assignments(config, shared.folder, shared.brain)}
        commands = [Command(given.name, ("media", str(given.path))) for given in self._assignments.values()]
        self._supervisor = Supervisor(commands, on_restart)
        self._engines = engines
        self._gateway: Gateway | None = None
        self._standing_of_all: Callable[[], Mapping[str, Any]] = dict
        self._sums = Sums(metrics.registry)
        self._metrics = MediaMetrics(metrics.registry)
        self._stack = AsyncExitStack()
        self._http: dict[int, aiohttp.ClientSession] = {}
        self._links: dict[int, aiohttp.ClientWebSocketResponse] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Returns when all carry calls. Raises ConfigError and EngineError where one cannot."""
        async with AsyncExitStack() as stack:
            for given in self._assignments.values():
                given.write()
                self._http[given.number] = await stack.enter_async_context(_client(given))
                sessions, busy = partial(self._sessions, given.number), partial(self._busy, given.number)
                self._metrics.watch(given.name, sessions, busy)
            await stack.enter_async_context(self._supervisor)
            await asyncio.gather(*(self._supervisor.ready(given.name) for given in self._assignments.values()))
            stack.push_async_callback(self._leave)
            for given in self._assignments.values():
                self._spawn(self._follow(given))
            await self._all_there()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def http(self, number: int) -> aiohttp.ClientSession:
        return self._http[number]

    # Their links.

    async def _all_there(self) -> None:
        missing: list[str] = []
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while missing := [each.name for each in self._assignments.values() if self._absent(each.number)]:
                    await self._change.wait()
        except TimeoutError:
            raise EngineError(f"{', '.join(missing)}: started, and does not answer its server") from None

    def _absent(self, number: int) -> bool:
        return self.carriers.at(number) is None

    async def _follow(self, given: Assignment) -> None:
        """Until cancelled."""
        child = self._child(given.number)
        while True:
            while child.state is not ChildState.RUNNING:
                await self._supervisor.changed()
            try:
                await self._be_told(given.number)
            except (aiohttp.ClientError, OSError) as error:  # TimeoutError is one
                _log.debug("a media process cannot be reached", process=given.name, reason=str(error))
            except Exception:
                _log.exception("a media process is not understood", process=given.name)
            self._lost(given)
            await asyncio.sleep(_AGAIN_S)

    async def _be_told(self, number: int) -> None:
        """Until the link ends."""
        url = f"{BASE}{PATH}"
        async with self._http[number].ws_connect(url, headers=granted({}), heartbeat=HEARTBEAT_S) as link:
            self._links[number] = link
            await _send(link, self._told(standing=self._standing_of_all()))
            async for message in link:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break  # it has fallen silent
                standing = Standing.from_json(message.data)
                carrier = self.carriers.at(number)
                if carrier is None:
                    carrier = self.carriers.appear(Mark(number, standing.instance), standing.begun)
                    self._changed()
                carrier.tell(standing.sessions, standing.busy, standing.begun)
                if standing.release:
                    self._spawn(self._released_for(number, link, standing.release))

    def _lost(self, given: Assignment) -> None:
        self._links.pop(given.number, None)
        carrier = self.carriers.at(given.number)
        if carrier is not None:
            _log.warning("a media process is gone", process=given.name, calls=carrier.calls)
            self.carriers.end(given.number)
            self._changed()

    def _changed(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def changed(self) -> None:
        """Waits until a process is there or gone."""
        await self._change.wait()

    def move_voices(self, successors: Mapping[str, str]) -> None:
        """The conversations that are carried elsewhere change voices too."""
        self._tell_all(self._told(voices=successors))

    def fleet(self, standing: dict[str, Any]) -> None:
        """Clients of calls are told how the workers stand as others are."""
        self._tell_all(self._told(standing=standing))

    async def tell_of_models(self) -> None:
        """Returns when the next call has the models that the workers have now, whichever process takes it."""
        await asyncio.gather(*(self._post(number, MODELS_PATH, "", _MODELS_LIMIT_S) for number in tuple(self._links)))

    async def _post(self, number: int, path: str, body: str, limit_s: float) -> None:
        url, timeout = f"{BASE}{path}", aiohttp.ClientTimeout(total=limit_s)
        try:
            async with self._http[number].post(url, data=body, headers=granted({}), timeout=timeout) as answer:
                answer.raise_for_status()
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
            _log.warning("a media process did not do as it was told", process=number, path=path, reason=reason)

    def _told(self, **what: Any) -> Told:
        return Told(appointments=self._engines.appointments, **what)

    def _tell_all(self, told: Told) -> None:
        for link in self._links.values():
            self._spawn(_send(link, told))

    # Conversations that go on in another session.

    def serve(self, gateway: Gateway, standing: Callable[[], Mapping[str, Any]]) -> None:
        """``gateway`` has the sessions of the server's own process, ``standing`` is what its clients are told."""
        self._gateway = gateway
        self._standing_of_all = standing
        gateway.release_elsewhere = self._release

    async def _release(self, conversation: str, but: int | None = None) -> None:
        """Has the processes, but for one, end the session that has it."""
        others = [number for number in self._links if number != but]
        await asyncio.gather(*(self._post(number, RELEASE_PATH, conversation, RELEASE_LIMIT_S) for number in others))

    async def _released_for(self, number: int, link: aiohttp.ClientWebSocketResponse, conversation: str) -> None:
        own = [self._gateway.release(conversation)] if self._gateway is not None else []
        await asyncio.gather(self._release(conversation, but=number), *own)
        await _send(link, self._told(released=conversation))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _leave(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # How they stand.

    def standing(self) -> list[dict[str, Any]]:
        """Each process, in plain types."""
        return [self._standing(given) for given in self._assignments.values()]

    def in_health(self, health: dict[str, Any]) -> dict[str, Any]:
        """``health`` of the server with that of the processes. Where none carries calls, it says why."""
        standing = self.standing()
        told = {**health, "webrtc": standing}
        if not self.carriers.in_turn():
            told["status"] = "degraded" if health["status"] == "ok" else health["status"]
            reason = f"no media process carries calls ({'; '.join(map(_in_words, standing))})"
            told["reason"] = "; ".join(filter(None, (health["reason"], reason)))
        return told

    def _standing(self, given: Assignment) -> dict[str, Any]:
        child, carrier = self._child(given.number), self.carriers.at(given.number)
        state = child.state.value
        if child.state is ChildState.RUNNING:
            state = "serving" if carrier is not None else "down"
        about: dict[str, Any] = {"name": given.name, "state": state, "pid": child.pid, "restarts": child.restarts}
        if child.last_exit:
            about["last_exit"] = child.last_exit
        if child.complaint:
            about["error"] = child.complaint
        return about | {"sessions": self._sessions(given.number), "load": round(self._busy(given.number), 3)}

    def _child(self, number: int) -> Child:
        return self._supervisor.children[number - 1]

    def _sessions(self, number: int) -> int:
        carrier = self.carriers.at(number)
        return carrier.calls if carrier is not None else 0

    def _busy(self, number: int) -> float:
        carrier = self.carriers.at(number)
        return carrier.busy if carrier is not None else 0.0

    async def render(self) -> tuple[bytes, str]:
        """As ``Metrics.render``, with the figures of all processes."""
        numbers = [number for number in self._assignments if not self._absent(number)]
        answers = await asyncio.gather(*(self._told_by(number) for number in numbers))
        there = {carrier.mark for carrier in self.carriers.in_turn()}
        return self._sums.render(dict(answer for answer in answers if answer is not None), there)

    async def _told_by(self, number: int) -> tuple[Mark, str] | None:
        """The figures of a process; None if it does not answer: then those of before count."""
        carrier = self.carriers.at(number)
        timeout = aiohttp.ClientTimeout(total=_METRICS_LIMIT_S)
        try:
            async with self._http[number].get(f"{BASE}/metrics", headers=granted({}), timeout=timeout) as answer:
                answer.raise_for_status()
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return None
        return (carrier.mark, text) if carrier is not None else None


def _in_words(process: Mapping[str, Any]) -> str:
    """How a process stands that carries no calls."""
    ended = f"last ended by {process['last_exit']}" if "last_exit" in process else ""
    return ", ".join(filter(None, (f"{process['name']} is {process['state']}", ended, process.get("error"))))


def _client(given: Assignment) -> aiohttp.ClientSession:
    connector = aiohttp.UnixConnector(str(given.socket), limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


async def _send(link: aiohttp.ClientWebSocketResponse, told: Told) -> None:
    try:
        await link.send_str(told.to_json().decode())
    except ConnectionError as error:
        _log.debug("a media process did not hear what has changed", reason=str(error))
