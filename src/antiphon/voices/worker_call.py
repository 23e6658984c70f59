"""One bidirectional call to a worker, as its client has it, whatever the stage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Generic, TypeVar

import grpc

from antiphon.errors import AntiphonError
from antiphon.voices.fleet import Fleet
from antiphon.voices.lease import Lease

Asked = TypeVar("Asked")
Answered = TypeVar("Answered")

_EOF: Any = grpc.aio.EOF  # pyright: ignore[reportAttributeAccessIssue]  # it is there, but not declared

_REFUSALS = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.ABORTED,
)

NOT_HERE = "NOT_FOUND"
"""The code in the message of a worker that does not have the model: another one may."""

SENT_AWAY = "ABORTED"
"""The same of one that had it until somebody unloaded it."""


class LostError(AntiphonError):
    """The worker is gone, or refuses the call. ``refused``: it is alive, and busy or unable."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class WorkerCall(Generic[Asked, Answered]):
    """It holds the lease until ``close`` is over."""

    def __init__(self, fleet: Fleet, lease: Lease, method: str) -> None:
        self.lease = lease
        self._outgoing: asyncio.Queue[Asked | None] = asyncio.Queue()
        self._incoming: asyncio.Queue[Answered | LostError] = asyncio.Queue()
        self._silenced = False
        lease.__enter__()
        self._call: Any = getattr(lease.connection.stub, method)(self._requests())
        lease.watch(self)
        self._receiving = fleet.spawn(self._receive())

    async def _requests(self) -> AsyncIterator[Asked]:
        while (request := await self._outgoing.get()) is not None:
            yield request

    def send(self, request: Asked) -> None:
        self._outgoing.put_nowait(request)

    async def _receive(self) -> None:
        """Reads the call to its end, in a task of its own: a read that is cancelled would take the call with it."""
        reason = LostError("the call was given up")
        try:
            while (response := await self._call.read()) is not _EOF:
                self._incoming.put_nowait(response)
            reason = _lost(await self._call.code(), await self._call.details())
        except grpc.aio.AioRpcError as error:
            reason = _lost(error.code(), error.details())
        except asyncio.CancelledError:
            if not self._silenced:
                raise
            reason = LostError("it fell silent")
        finally:
            self._incoming.put_nowait(reason)

    async def read(self) -> Answered:
        """What comes next. Raises LostError, also where the call has come to its end."""
        response = await self._incoming.get()
        if isinstance(response, LostError):
            raise response
        return response

    def cancel(self) -> bool:
        """The worker fell silent: who reads is told so."""
        self._silenced = True
        return bool(self._call.cancel())

    async def close(self, goodbye_s: float) -> None:
        """Closes our side, gives the worker so long to close its own, and gives the place back."""
        try:
            self._outgoing.put_nowait(None)
            await asyncio.wait([self._receiving], timeout=goodbye_s)
        finally:
            self._silenced = True
            self._call.cancel()
            self.lease.__exit__(None, None, None)


def _lost(code: grpc.StatusCode, details: str | None) -> LostError:
    return LostError(f"{code.name}: {details or 'the stream ended'}", refused=code in _REFUSALS)
