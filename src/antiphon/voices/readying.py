"""Has a worker bring a model into memory before it is needed."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from antiphon.core.fleet import Health
from antiphon.errors import EngineError
from antiphon.v1 import models_pb2
from antiphon.voices.fleet import LOAD_S, Fleet


async def make_ready(fleet: Fleet, models: Sequence[str], wanted: str) -> None:
    """Returns when a worker has one of ``models`` in memory and warm; at once where one has it already.

    ``wanted`` is what people call it. Raises EngineError.
    """
    able = [each for each in fleet.connections if each.worker.health is Health.SERVING]
    if any(model in each.worker.resident for each in able for model in models):
        return
    able.sort(key=lambda each: each.in_flight)
    offered = ((each, model) for each in able for model in models if model in each.worker.models)
    found = next(offered, None)
    if found is None:
        raise EngineError(
            f"no {fleet.stage} worker that serves has {wanted}", retryable=True, retry_after_s=fleet.patience_s
        )
    connection, model = found
    try:
        await connection.stub.LoadModel(models_pb2.LoadModelRequest(model=model), timeout=LOAD_S)
    except grpc.aio.AioRpcError as error:
        raise EngineError(f"{model} was not loaded: {error.details()}", retryable=True) from error
    await connection.ask()
