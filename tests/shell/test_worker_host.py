"""Sessions and models, asked for over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.shell.worker_client import channel_to, hosting

from antiphon.v1 import models_pb2 as pb
from antiphon.v1.synthesizer_pb2_grpc import SynthesizerStub
from antiphon.worker.server import WorkerServer


@pytest.fixture
async def server() -> AsyncIterator[WorkerServer]:
    async with hosting("tts", "scripted", "pico", cap=1, min_residency_s=0) as server:
        yield server


@pytest.fixture
async def stub(server: WorkerServer) -> AsyncIterator[Any]:
    async with channel_to(server.address) as channel:
        yield SynthesizerStub(channel)  # type: ignore[no-untyped-call]


async def models(stub: Any) -> dict[str, pb.Model]:
    return {model.name: model for model in (await stub.ListModels(pb.ListModelsRequest())).models}


async def test_a_session_keeps_its_model_near_until_its_end(server: WorkerServer, stub: Any) -> None:
    for _ in range(2):  # the second changes nothing
        assert (await stub.StartSession(pb.StartSessionRequest(session="s"))).model == "scripted"
    assert (await models(stub))["scripted"].leases == 1
    assert (await stub.GetCapabilities(pb.GetCapabilitiesRequest())).sessions == 1
    await stub.EndSession(pb.EndSessionRequest(session="s"))
    await stub.EndSession(pb.EndSessionRequest(session="unknown"))
    assert (await models(stub))["scripted"].leases == len(server.host.sessions) == 0


async def test_a_model_that_a_session_only_keeps_near_makes_room(stub: Any) -> None:
    await stub.StartSession(pb.StartSessionRequest(session="s"))
    loaded = await stub.LoadModel(pb.LoadModelRequest(model="pico"))
    assert loaded.model.state == pb.MODEL_STATE_RESIDENT
    assert loaded.model.load_s > 0
    listed = await models(stub)
    assert (listed["scripted"].state, listed["scripted"].preload) == (pb.MODEL_STATE_ABSENT, True)
    assert "de-DE" in [voice.name for voice in listed["pico"].voices]
    assert [voice.name for voice in listed["scripted"].voices] == ["alpha", "beta"]


async def test_an_unload_makes_room_for_the_preloaded_model(stub: Any) -> None:
    await stub.LoadModel(pb.LoadModelRequest(model="pico"))
    unloaded = await stub.UnloadModel(pb.UnloadModelRequest(model="pico"))
    assert unloaded.model.state == pb.MODEL_STATE_ABSENT
    await stub.StartSession(pb.StartSessionRequest(session="s"))
    assert (await models(stub))["scripted"].state == pb.MODEL_STATE_RESIDENT


async def test_reload_is_for_all(server: WorkerServer, stub: Any) -> None:
    before = server.models.hosted("scripted").engine
    assert (await stub.Control(pb.ControlRequest(verb=pb.ControlRequest.RELOAD))).segments == 1
    assert server.models.hosted("scripted").engine is not before


@pytest.mark.parametrize(
    ("method", "request_", "code"),
    [
        ("LoadModel", pb.LoadModelRequest(model="nobody"), grpc.StatusCode.NOT_FOUND),
        ("UnloadModel", pb.UnloadModelRequest(model="nobody"), grpc.StatusCode.NOT_FOUND),
        ("StartSession", pb.StartSessionRequest(session="s", model="nobody"), grpc.StatusCode.NOT_FOUND),
        ("StartSession", pb.StartSessionRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        ("Control", pb.ControlRequest(session="s"), grpc.StatusCode.INVALID_ARGUMENT),
        ("Control", pb.ControlRequest(verb=pb.ControlRequest.STOP), grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_what_is_refused(stub: Any, method: str, request_: Any, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await getattr(stub, method)(request_)
    assert refused.value.code() is code


async def test_a_model_that_cannot_be_loaded() -> None:
    broken = "http://127.0.0.1:9/v1#nobody-listens"
    async with hosting("llm", "scripted", broken) as server, channel_to(server.address) as channel:
        from antiphon.v1.generator_pb2_grpc import GeneratorStub

        stub = GeneratorStub(channel)  # type: ignore[no-untyped-call]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.LoadModel(pb.LoadModelRequest(model=broken))
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        model = (await models(stub))[broken]
        assert model.state == pb.MODEL_STATE_FAILED
        assert model.error
