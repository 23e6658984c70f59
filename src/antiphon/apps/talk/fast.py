"""A call by files without waiting for it: the whole conversation in this process, on virtual time.

The client, the protocol, the session and the engines are those of a served conversation; there is no socket between
them, and the clock jumps over what would be waiting. While an engine works, the clock runs as clocks do.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any

import orjson
from rich.console import Console

from antiphon.apps.agents import Staff
from antiphon.apps.composition import choose_engines, make_offer
from antiphon.apps.config import Config
from antiphon.apps.config_sources import resolve
from antiphon.apps.realtime_client import Arrival, ClientError, Listener
from antiphon.apps.talk.options import TalkOptions
from antiphon.apps.talk.ways import by_file
from antiphon.apps.tasks import until_first
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource
from antiphon.session.session import Session
from antiphon.sim.virtual_time import run_virtual
from antiphon.sim.watch import Watch
from antiphon.transport.realtime.config import SessionConfig
from antiphon.transport.realtime.inlet import RealtimeInlet
from antiphon.transport.realtime.offer import Offer
from antiphon.transport.realtime.outlet import RealtimeOutlet

EXPIRES_AT_S = 0
"""A session in this process does not expire; its client does not look."""


class InProcessConnection:
    """A client's line to a session in the same event loop: the protocol without a socket."""

    def __init__(self, offer: Offer, suite: Suite, staff: Staff, watch: Watch) -> None:
        ids = IdSource()
        wire = SessionConfig(offer, session_id=ids.session(), expires_at=EXPIRES_AT_S, paced=True)
        self._outlet = RealtimeOutlet(wire, self, conversation_id=ids.conversation(), vendor=True)
        self._session = staff.session(
            self._outlet, wire.settings(), wire.id, partial(Session, suite), offer, at_work=watch.waiting
        )
        self._inlet = RealtimeInlet(self._session, self._outlet, wire)
        self._listeners: list[Listener] = []
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._loop.create_future()

    @property
    def ended(self) -> asyncio.Future[str]:
        return self._ended

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def send_text(self, event_json: str) -> None:
        if self._ended.done():
            raise ClientError(f"the conversation is over: {self._ended.result()}")
        await self._inlet.receive(event_json)

    def send(self, data: bytes, *, media: bool = False) -> None:
        """What the session says arrives in the next round of the loop, as from a socket."""
        self._loop.call_soon(self._arrive, data)

    def drop_media(self) -> None:
        """Nothing waits here."""

    def _arrive(self, data: bytes) -> None:
        arrival = Arrival(self._loop.time(), orjson.loads(data))
        for listener in self._listeners:
            listener(arrival)

    async def run(self) -> None:
        """The session's life."""
        self._outlet.session_created()
        try:
            await self._session.run()
        finally:
            if not self._ended.done():
                self._ended.set_result("the session ended")


def _config(arguments: Sequence[str]) -> Config:
    """The configuration of a server that was given ``arguments``: ``--name value``, ``--name=value`` or ``--flag``."""
    words = [word for part in arguments for word in (part.split("=", 1) if part.startswith("--") else [part])]
    options: dict[str, Any] = {}
    for word, value in pairwise([*words, "--"]):
        if word.startswith("--"):
            options[word.removeprefix("--").replace("-", "_")] = True if value.startswith("--") else value
    return resolve(options, os.environ).config


@asynccontextmanager
async def _in_real_time(entered: AbstractAsyncContextManager[None], watch: Watch) -> AsyncIterator[None]:
    """Other processes have to do with it, which take real time to come and to go."""
    with watch.waiting():
        await entered.__aenter__()
    try:
        yield
    finally:
        with watch.waiting():
            await entered.__aexit__(None, None, None)


async def _hold_call(options: TalkOptions, question: bytes, console: Console, watch: Watch) -> None:
    config = _config(options.server_arguments)
    with watch.waiting():  # a look for a language model on this machine takes real time
        engines = await choose_engines(config)
    suite = watch.over(engines)
    try:
        await suite.load()
        staff = Staff(config)
        offer = make_offer(config, engines)
        staff.check(offer)
        async with _in_real_time(staff.at_work(), watch):
            connection = InProcessConnection(staff.offer(offer), suite, staff, watch)
            await until_first(connection.run(), by_file(connection, options, question, console))
    finally:
        await suite.close()


class _Run:
    """The call in a thread with a loop of its own, for the current loop keeps real time."""

    def __init__(self, options: TalkOptions, question: bytes, console: Console) -> None:
        self._call = (options, question, console)
        self._result: Future[None] = Future()
        self._lock = threading.Lock()
        self._unwanted = threading.Event()
        self._inside: tuple[asyncio.AbstractEventLoop, asyncio.Task[None]] | None = None
        """While the call goes on: where it runs."""

    def _main(self) -> None:
        watch = Watch()
        try:
            run_virtual(self._hold(watch), busy=watch.busy)
        except asyncio.CancelledError:
            self._result.cancel()
        except BaseException as error:
            self._result.set_exception(error)
        else:
            self._result.set_result(None)

    async def _hold(self, watch: Watch) -> None:
        task = asyncio.current_task()
        assert task is not None
        with self._lock:
            self._inside = (asyncio.get_running_loop(), task)
        try:
            if not self._unwanted.is_set():
                await _hold_call(*self._call, watch)
        finally:
            with self._lock:
                self._inside = None

    def _cancel(self) -> None:
        with self._lock:
            self._unwanted.set()
            if self._inside is not None:
                loop, task = self._inside
                loop.call_soon_threadsafe(task.cancel)

    async def to_its_end(self) -> None:
        thread = threading.Thread(target=self._main, name="antiphon-fast-call")
        thread.start()
        result = asyncio.wrap_future(self._result)
        try:
            await asyncio.wait((result,))
        except asyncio.CancelledError:
            self._cancel()
            await asyncio.wait((result,))
            if not result.cancelled():
                result.exception()  # whatever it is, being cancelled goes before it
            raise
        finally:
            thread.join()  # it has nothing left to do
        await result


async def by_file_fast(options: TalkOptions, question: bytes, console: Console) -> None:
    """Plays mono s16 at 24 kHz as the user's voice and writes both sides, as fast as the engines allow.

    Raises AntiphonError: an engine that cannot be chosen or loaded, a file that cannot be written.
    """
    await _Run(options, question, console).to_its_end()
