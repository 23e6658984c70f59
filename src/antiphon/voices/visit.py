"""One conversation at the workers of one stage: known where it is served, and taken leave of at its end."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

import grpc
import structlog

from antiphon.core.fleet import Request
from antiphon.v1 import models_pb2
from antiphon.voices.channel import ANSWER_S, Connection
from antiphon.voices.fleet import LOAD_S, Fleet
from antiphon.voices.lease import Lease

_ERRORS = (grpc.aio.AioRpcError, grpc.aio.UsageError)
"""The latter where the worker left the registry, and its channel was closed."""

log = structlog.get_logger(__name__)


class Visit:
    """Within ``with`` the conversation makes itself known; before and after it, and without it, it is served as well.

    Nothing waits for any of it, and what fails is only logged: a worker that never heard of a conversation serves it.
    """

    def __init__(self, fleet: Fleet, session: str) -> None:
        self.session = session
        self.address: str | None = None
        """The worker that serves it, or did so last."""
        self._fleet = fleet
        self._places: dict[Connection, _Place] = {}
        self._present = False

    def __enter__(self) -> Self:
        self._present = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._present = False
        for place in self._places.values():
            self._fleet.spawn(place.leave(), goodbye=True)
        self._places.clear()

    def announce(self, request: Request) -> None:
        """Tells whoever would serve such a request now, who has the model ready then."""
        found = self._fleet.look(request)
        if found is not None:
            connection, model = found
            self.address = connection.address
            self._be_at(connection, model)

    def served(self, lease: Lease) -> None:
        """It is served there."""
        self.address = lease.connection.address
        self._be_at(lease.connection, lease.model)

    def _be_at(self, connection: Connection, model: str) -> None:
        if not self._present:
            return
        place = self._places.get(connection)
        if place is None:
            place = self._places[connection] = _Place(self._fleet, connection, self.session)
            connection.arrived()
        place.want(model)


class _Place:
    """The conversation at one worker."""

    def __init__(self, fleet: Fleet, connection: Connection, session: str) -> None:
        self._fleet = fleet
        self._connection = connection
        self._session = session
        self._model = ""
        self._told: tuple[str, str] | None = None
        """The process and the model for which it was made known last."""
        self._telling: asyncio.Task[None] | None = None

    def want(self, model: str) -> None:
        self._model = model
        if self._telling is None and self._told != self._wanted:
            self._telling = self._fleet.spawn(self._tell())

    @property
    def _wanted(self) -> tuple[str, str]:
        return self._connection.worker.instance, self._model

    async def _tell(self) -> None:
        """One call after the other, so that the last one counts at the worker."""
        try:
            while self._told != self._wanted:
                self._told = self._wanted
                request = models_pb2.StartSessionRequest(session=self._session, model=self._model)
                await self._connection.stub.StartSession(request, timeout=LOAD_S)
        except _ERRORS as error:
            self._log("session_not_announced", error)
        finally:
            self._telling = None

    async def leave(self) -> None:
        """After what was begun, or the worker would hear of the end before the beginning."""
        self._connection.left()
        if self._telling is not None:
            await asyncio.wait([self._telling])
        try:
            request = models_pb2.EndSessionRequest(session=self._session)
            await self._connection.stub.EndSession(request, timeout=ANSWER_S)
        except _ERRORS as error:
            self._log("session_end_not_told", error)

    def _log(self, event: str, error: Exception) -> None:
        log.debug(event, session=self._session, address=self._connection.address, reason=str(error))
