"""The health service: everybody who watches hears of each change, whoever else comes and goes."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tests.shell.worker_client import LIMIT_S, channel_to, hosting

EOF: Any = grpc.aio.EOF  # pyright: ignore[reportAttributeAccessIssue]  # it is there, but not declared
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def told(watch: Any) -> Any:
    message = await asyncio.wait_for(watch.read(), LIMIT_S)
    return message if message is EOF else message.status


async def test_who_stays_hears_it_after_another_has_left() -> None:
    async with hosting("tts", "scripted") as worker, channel_to(worker.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        leaves, stays = (stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(2))
        assert [await told(leaves), await told(stays)] == [SERVING, SERVING]
        leaves.cancel()
        # The worker knows of the cancel when it answers what was asked after it on the same connection.
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING
        draining = asyncio.create_task(worker.drain(LIMIT_S))
        assert await told(stays) == NOT_SERVING
        assert await told(stays) is EOF
        await draining


async def test_a_service_has_a_name() -> None:
    async with hosting("tts", "scripted") as worker, channel_to(worker.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service, status in (("antiphon.v1.Synthesizer", SERVING), ("antiphon.v1.Nobody", UNKNOWN)):
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=service))
            assert await told(watch) == status
            watch.cancel()
