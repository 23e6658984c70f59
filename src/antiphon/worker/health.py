"""The standard health service (grpc.health.v1), for any number of watchers at once.

That of grpcio-health-checking (1.81) forgets all who watch when one of them leaves, and its watches hold up the end of
the server until the clients end them.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


class HealthService(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Belongs to one event loop."""

    def __init__(self, *services: str) -> None:
        """``services`` do not serve at first."""
        self._status = health_pb2.HealthCheckResponse.NOT_SERVING
        self._services = frozenset(services)
        self._change = asyncio.Event()
        self._ending = False

    def serve(self) -> None:
        self._set(health_pb2.HealthCheckResponse.SERVING)

    def stop_serving(self) -> None:
        self._set(health_pb2.HealthCheckResponse.NOT_SERVING)

    def end_watches(self) -> None:
        self._ending = True
        self._tell()

    def _set(self, status: Any) -> None:
        self._status = status
        self._tell()

    def _tell(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=self._status)

    async def Watch(self, request: health_pb2.HealthCheckRequest, context: Any) -> None:  # noqa: N802
        """Each change, beginning with the status as it is, until the client has heard enough or the server ends."""
        told: int | None = None
        while True:
            change, ending = self._change, self._ending
            status = self._status
            if request.service not in self._services:
                status = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            if status != told:
                await context.write(health_pb2.HealthCheckResponse(status=status))
                told = status
            if ending:
                return
            await change.wait()
