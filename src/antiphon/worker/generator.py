"""The Generator service: one call is one answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import orjson

from antiphon.core.settings import Tool
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta, ToolCallDelta
from antiphon.core.speech import Message as ContextMessage
from antiphon.engines.base import Brain
from antiphon.engines.optional import brain_of_session, read_ahead
from antiphon.v1 import generator_pb2 as pb
from antiphon.v1.generator_pb2_grpc import GeneratorServicer
from antiphon.worker.host import Host, HostedService, end_tasks, last_write, told
from antiphon.worker.outbox import Parcel
from antiphon.worker.refusals import UNLOADED, BadRequestError, Failure, StoppedError
from antiphon.worker.single import SingleWork

AHEAD_DELTAS = 64
"""Deltas that may wait for a slow reader."""

Message = pb.GenerateResponse
Send = Callable[[Message], Awaitable[None]]


class GeneratorService(HostedService[Brain], GeneratorServicer):
    async def Generate(self, request_iterator: AsyncIterator[pb.GenerateRequest], context: Any) -> None:  # noqa: N802
        await self.serve(AnswerStream(self._host), request_iterator, context)


class AnswerStream(SingleWork[Message]):
    """Made for one call, used once. The client may close its side after the start; the answer goes on."""

    def __init__(self, host: Host[Brain]) -> None:
        super().__init__(AHEAD_DELTAS)
        self._host = host
        self._only_read = False

    async def run(self, requests: AsyncIterator[pb.GenerateRequest], send: Send) -> None:
        """Serves the call to its end. Raises BadRequestError and StoppedError."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        if first.WhichOneof("message") != "start":
            raise BadRequestError("an answer begins with its start")
        self.session = first.start.session
        self._only_read = first.start.only_read
        request = _request(first.start)
        writing = asyncio.create_task(self._write(send))
        answering = asyncio.create_task(self._answer(first.start.model, request))
        reading = asyncio.create_task(self._read_on(requests))
        stopped = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([writing, reading, stopped], return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()
                await asyncio.wait([writing, stopped], return_when=asyncio.FIRST_COMPLETED)
            if stopped.done():
                raise StoppedError("the answer was stopped")
            await writing
        except (BadRequestError, StoppedError):
            self.outbox.discard()
            await last_write(writing)
            raise
        finally:
            await end_tasks(writing, answering, reading, stopped)

    async def _write(self, send: Send) -> None:
        while (parcel := await self.outbox.next()) is not None:
            await send(parcel.message)
            if parcel.last:
                return

    async def _read_on(self, requests: AsyncIterator[pb.GenerateRequest]) -> None:
        """What is appended to the context. No brain behind the Protocol takes it in while it answers."""
        async for request in requests:
            if request.WhichOneof("message") != "append":
                raise BadRequestError("after its start, an answer takes appends alone")

    async def _answer(self, model: str, request: BrainRequest) -> None:
        try:
            lease = await self._host.lease(model, self.session, on_revoked=self._lose)
            try:
                with lease.using() as engine:
                    await self._respond(engine, request)
            finally:
                lease.end()
        except Exception as error:
            self._fail(told(error, session=self.session, model=model))

    async def _respond(self, engine: Brain, request: BrainRequest) -> None:
        brain = brain_of_session(engine, self._host.sessions.known(self.session))
        if self._only_read:
            self.outbox.put(Parcel(_message(await read_ahead(brain, request)), last=True))
            return
        async with aclosing(brain.respond(request)) as deltas:
            async for delta in deltas:
                await self.outbox.room()
                self.outbox.put(Parcel(_message(delta), last=isinstance(delta, Finish)))

    def _fail(self, failure: Failure) -> None:
        self.outbox.put(Parcel(_error(failure), last=True))

    def _lose(self) -> None:
        """Somebody takes the model away."""
        self.outbox.put_urgent(Parcel(_error(UNLOADED), last=True))


def _error(failure: Failure) -> Message:
    return Message(error=Message.Error(code=failure.code.name, message=failure.message, retryable=failure.retryable))


def _request(start: pb.GenerateRequest.Start) -> BrainRequest:
    try:
        tools = tuple(
            Tool(tool.name, tool.description, orjson.loads(tool.parameters) if tool.parameters else {})
            for tool in start.tools
        )
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"a tool's parameters are no JSON: {error}") from error
    return BrainRequest(
        messages=tuple(map(_context_message, start.messages)),
        tools=tools,
        tool_choice=start.tool_choice or "auto",
        max_output_tokens=start.max_output_tokens or None,
        transcribe=start.transcribe,
    )


def _context_message(message: pb.Message) -> ContextMessage:
    return ContextMessage(
        role=message.role,
        text=message.text,
        call_id=message.call_id or None,
        name=message.name or None,
        arguments=message.arguments or None,
        images=tuple(message.images),
        audio=message.audio or None,
    )


def _message(delta: BrainDelta) -> Message:
    match delta:
        case TextDelta(text):
            return Message(text=Message.TextDelta(text=text))
        case ToolCallDelta(call_id, name, arguments):
            return Message(tool_call=Message.ToolCallDelta(call_id=call_id, name=name, arguments=arguments))
        case Finish(reason, input_tokens, output_tokens, cached_tokens):
            return Message(
                finish=Message.Finish(
                    reason=reason,
                    input_tokens=input_tokens,
                    output_tokens=output_tokens,
                    cached_tokens=cached_tokens,
                )
            )
