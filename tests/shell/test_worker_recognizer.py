from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import grpc.aio
import pytest
from tests.shell.worker_client import LIMIT_S, channel_to, hosting, status_of

from antiphon.audio import EAR_RATE_HZ
from antiphon.engines.tone_code import encode
from antiphon.v1 import models_pb2 as models
from antiphon.v1 import recognizer_pb2 as pb
from antiphon.v1.recognizer_pb2_grpc import RecognizerStub

Request = pb.RecognizeRequest
TEXT = "good morning to you "


@pytest.fixture
async def stub() -> AsyncIterator[Any]:
    names = ("scripted", "scripted:fail_on=2")
    async with hosting("asr", *names, preload=("scripted",)) as server, channel_to(server.address) as channel:
        yield RecognizerStub(channel)  # type: ignore[no-untyped-call]


class Turn:
    def __init__(self, stub: Any) -> None:
        self.call = stub.Recognize()

    async def start(self, model: str = "") -> None:
        await self.call.write(Request(start=Request.Start(session="s", model=model)))

    async def hear(self, text: str) -> None:
        pcm = encode(text, EAR_RATE_HZ)
        for start in range(0, len(pcm), 640):
            await self.call.write(Request(audio=Request.Audio(pcm=pcm[start : start + 640])))

    async def finalize(self, revision: int) -> None:
        await self.call.write(Request(finalize=Request.Finalize(revision=revision)))

    async def read(self) -> pb.RecognizeResponse:
        message = await asyncio.wait_for(self.call.read(), LIMIT_S)
        assert isinstance(message, pb.RecognizeResponse), message
        return message

    async def final(self) -> tuple[list[str], pb.RecognizeResponse]:
        """The partials before the next message that is none, and that one."""
        partials: list[str] = []
        while (message := await self.read()).WhichOneof("message") == "partial":
            partials.append(message.partial.text)
        return partials, message


async def test_partials_and_finals(stub: Any) -> None:
    turn = Turn(stub)
    await turn.start()
    await turn.hear(TEXT)
    await turn.finalize(1)
    partials, message = await turn.final()
    assert partials
    assert TEXT.startswith(partials[-1])
    assert (message.final.revision, message.final.text) == (1, TEXT.strip())
    await turn.hear("my friend ")
    await turn.finalize(2)
    _, message = await turn.final()
    assert (message.final.revision, message.final.text) == (2, TEXT + "my friend")
    await turn.call.done_writing()
    assert await status_of(turn.call) is grpc.StatusCode.OK


async def test_the_final_asked_for_last_comes_after_the_client_closed_its_side(stub: Any) -> None:
    turn = Turn(stub)
    await turn.start()
    await turn.hear(TEXT)
    await turn.finalize(1)
    await turn.call.done_writing()
    _, message = await turn.final()
    assert message.final.text == TEXT.strip()
    assert await status_of(turn.call) is grpc.StatusCode.OK


async def test_a_newer_final_makes_an_older_one_worthless(stub: Any) -> None:
    turn = Turn(stub)
    await turn.start()
    await turn.hear(TEXT)
    for revision in range(1, 6):
        await turn.finalize(revision)
    await turn.call.done_writing()
    revisions = []
    while (message := await asyncio.wait_for(turn.call.read(), LIMIT_S)) is not grpc.aio.EOF:
        if message.WhichOneof("message") == "final":
            revisions.append(message.final.revision)
    assert revisions[-1] == 5
    assert revisions == sorted(revisions)


async def test_a_final_that_fails_is_told_and_the_turn_goes_on(stub: Any) -> None:
    turn = Turn(stub)
    await turn.start("scripted:fail_on=2")  # the first final warms it
    await turn.hear(TEXT)
    await turn.finalize(1)
    _, message = await turn.final()
    assert (message.error.revision, message.error.code) == (1, "INTERNAL")
    await turn.finalize(2)
    _, message = await turn.final()
    assert message.final.text == TEXT.strip()
    turn.call.cancel()


async def test_stop_and_unload_end_the_turn(stub: Any) -> None:
    turn = Turn(stub)
    await turn.start()
    await turn.hear(TEXT)
    await turn.read()
    control = models.ControlRequest
    assert (await stub.Control(control(verb=control.STOP, session="s"))).segments == 1
    assert await status_of(turn.call) is grpc.StatusCode.CANCELLED
    turn = Turn(stub)
    await turn.start()
    await turn.hear(TEXT)
    await turn.read()
    await stub.UnloadModel(models.UnloadModelRequest(model="scripted", force=True))
    _, message = await turn.final()
    assert (message.error.code, message.error.retryable) == ("ABORTED", True)
    assert await status_of(turn.call) is grpc.StatusCode.OK


@pytest.mark.parametrize(
    "requests",
    [
        [Request(audio=Request.Audio(pcm=b"xx"))],
        [Request(start=Request.Start()), Request(audio=Request.Audio(pcm=b"x"))],
        [Request(start=Request.Start()), Request(start=Request.Start())],
    ],
)
async def test_what_breaks_the_contract_ends_the_call(stub: Any, requests: list[Request]) -> None:
    turn = Turn(stub)
    for request in requests:
        await turn.call.write(request)
    assert await status_of(turn.call) is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_unknown_model_is_not_found(stub: Any) -> None:
    turn = Turn(stub)
    await turn.start("nobody")
    assert (await turn.read()).error.code == "NOT_FOUND"
