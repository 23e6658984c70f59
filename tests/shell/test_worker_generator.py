from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.shell.tiny_llm import write_model
from tests.shell.worker_client import LIMIT_S, channel_to, hosting, status_of

from antiphon.engines.cached_brain import CachedBrain
from antiphon.engines.scripted import ScriptedBrain, count_to
from antiphon.v1 import generator_pb2 as pb
from antiphon.v1 import models_pb2 as models
from antiphon.v1.generator_pb2_grpc import GeneratorStub
from antiphon.worker.server import WorkerServer

Request = pb.GenerateRequest
FAST = "scripted:first_token_ms=0,token_ms=0"
SLOW = "scripted:first_token_ms=0,token_ms=60000"
FAILING = "scripted:first_token_ms=0,token_ms=0,fail_on=1,fail_after=2"


@pytest.fixture
async def server() -> AsyncIterator[WorkerServer]:
    async with hosting("llm", FAST, SLOW, FAILING) as server:
        yield server


@pytest.fixture
async def stub(server: WorkerServer) -> AsyncIterator[Any]:
    async with channel_to(server.address) as channel:
        yield GeneratorStub(channel)  # type: ignore[no-untyped-call]


def asking(text: str, model: str = "", **fields: Any) -> Request:
    messages = [pb.Message(role="user", text=text)]
    return Request(start=Request.Start(session="s", model=model, messages=messages, **fields))


async def answer(call: Any) -> list[pb.GenerateResponse]:
    messages = []
    while (message := await asyncio.wait_for(call.read(), LIMIT_S)) is not grpc.aio.EOF:
        messages.append(message)
    return messages


@pytest.mark.parametrize("half_close", [True, False])
async def test_an_answer_is_text_and_one_finish(stub: Any, half_close: bool) -> None:
    call = stub.Generate()
    await call.write(asking("count to 20"))
    if half_close:
        await call.done_writing()
    messages = await answer(call)
    assert "".join(message.text.text for message in messages) == count_to(20)
    kinds = [message.WhichOneof("message") for message in messages]
    assert kinds == ["text"] * 20 + ["finish"]
    assert (messages[-1].finish.reason, messages[-1].finish.output_tokens) == ("stop", 20)
    assert await status_of(call) is grpc.StatusCode.OK


async def test_tools_and_limits_reach_the_model(stub: Any) -> None:
    call = stub.Generate()
    tool = pb.Tool(name="weather", parameters='{"type": "object"}')
    await call.write(asking('call weather {"city": "Paris"}', tools=[tool]))
    messages = await answer(call)
    assert messages[0].tool_call.name == "weather"
    assert "".join(message.tool_call.arguments for message in messages) == '{"city": "Paris"}'
    assert messages[-1].finish.reason == "tool_calls"
    call = stub.Generate()
    await call.write(asking("count to 20", max_output_tokens=3))
    assert (await answer(call))[-1].finish.reason == "length"


async def test_nothing_is_read_ahead_by_who_cannot(stub: Any) -> None:
    call = stub.Generate()
    await call.write(asking("count to 20", only_read=True))
    (message,) = await answer(call)
    assert message == pb.GenerateResponse(finish=pb.GenerateResponse.Finish(reason="stop"))


async def test_a_conversation_is_remembered_until_its_end(tmp_path: Path) -> None:
    """By a model that keeps what it has read; reading ahead is an answer of one message."""
    name = f"transformers:{write_model(tmp_path / 'tiny')}#temperature=0"

    def request(session: str, text: str, **fields: Any) -> Request:
        messages = [pb.Message(role="user", text=text)]
        return Request(start=Request.Start(session=session, messages=messages, max_output_tokens=3, **fields))

    async def asked(stub: Any, *given: Any, **fields: Any) -> tuple[int, int, int]:
        call = stub.Generate()
        await call.write(request(*given, **fields))
        finish = (await answer(call))[-1].finish
        return finish.input_tokens, finish.cached_tokens, finish.output_tokens

    async with hosting("llm", name) as server, channel_to(server.address) as channel:
        stub: Any = GeneratorStub(channel)  # type: ignore[no-untyped-call]
        await stub.StartSession(models.StartSessionRequest(session="a", model=name))
        read, cached, written = await asked(stub, "a", "the weather in paris", only_read=True)
        assert (cached, written) == (0, 0)
        _, cached, written = await asked(stub, "a", "the weather in paris")
        assert (cached, written) == (read, 3)
        (engine,) = [info.engine for info in server.models.info()]
        assert isinstance(engine, CachedBrain)
        assert engine.count.written == 3
        await stub.EndSession(models.EndSessionRequest(session="a"))
        await asked(stub, "b", "tell me")
        assert engine._mind is not None
        assert [context.session for context in engine._mind.contexts._contexts] == [""]


async def test_a_failure_is_the_last_message(stub: Any) -> None:
    call = stub.Generate()
    await call.write(asking("count to 20", FAILING))
    messages = await answer(call)
    assert [message.WhichOneof("message") for message in messages] == ["text", "text", "error"]
    assert messages[-1].error.code == "INTERNAL"


async def test_leaving_stops_the_work(server: WorkerServer, stub: Any) -> None:
    call = stub.Generate()
    await call.write(asking("count to 20", SLOW))
    await asyncio.wait_for(call.read(), LIMIT_S)
    (engine,) = [info.engine for info in server.models.info() if info.status.name == SLOW]
    assert isinstance(engine, ScriptedBrain)
    assert engine.running == 1
    call.cancel()
    await stub.UnloadModel(models.UnloadModelRequest(model=SLOW))  # waits for those that hold it
    assert engine.running == 0


async def test_stop_unload_and_appends(stub: Any) -> None:
    call = stub.Generate()
    await call.write(asking("count to 20", SLOW))
    await call.read()
    await call.write(Request(append=Request.Append(messages=[pb.Message(role="user", text="and more")])))
    control = models.ControlRequest
    assert (await stub.Control(control(verb=control.STOP, session="s"))).segments == 1
    assert await status_of(call) is grpc.StatusCode.CANCELLED
    call = stub.Generate()
    await call.write(asking("count to 20", SLOW))
    await call.read()
    await stub.UnloadModel(models.UnloadModelRequest(model=SLOW, force=True))
    (message,) = await answer(call)
    assert (message.error.code, message.error.retryable) == ("ABORTED", True)


@pytest.mark.parametrize(
    "requests",
    [
        [Request(append=Request.Append())],
        [asking("hello", SLOW), asking("hello", SLOW)],
        [asking("hello", tools=[pb.Tool(name="x", parameters="{")])],
    ],
)
async def test_what_breaks_the_contract_ends_the_call(stub: Any, requests: list[Request]) -> None:
    call = stub.Generate()
    for request in requests:
        await call.write(request)
    assert await status_of(call) is grpc.StatusCode.INVALID_ARGUMENT
