"""The language models of a fleet as one brain."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator

import orjson
import structlog

from antiphon.core.fleet import BUSY_RETRY_S, Request
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.errors import EngineError
from antiphon.v1 import generator_pb2 as pb
from antiphon.voices.stage_engine import StageEngine
from antiphon.voices.visit import Visit
from antiphon.voices.worker_call import NOT_HERE, LostError, WorkerCall

log = structlog.get_logger(__name__)

GOODBYE_S = 0.5
"""How long the end of a call may take after its last delta."""

MAX_LOSSES = 4
"""After so many workers that were lost before their first word the answer fails."""


class FleetBrain(StageEngine):
    """The Brain over the workers of the stage ``llm``.

    An answer whose worker fails before the first delta begins anew elsewhere. After it the error is told: another
    model, or the same one, would not go on with the same words.
    """

    def of_session(self, session: str) -> FleetBrain:
        """The same for one conversation, which stays at one worker as long as it can: that has its context at hand."""
        return FleetBrain(self.fleet, self._models, visit=Visit(self.fleet, session))

    _unread_at: str | None = None
    """The worker whose model does not read ahead."""

    async def read(self, request: BrainRequest) -> Finish:
        """What no worker reads ahead is read with the answer: that a worker is lost, or unable, is no failure."""
        visit = self._visit or Visit(self.fleet, uuid.uuid4().hex)
        if visit.address is not None and visit.address == self._unread_at:
            return Finish()
        wanted = Request("llm", self._models, affinity=visit.address)
        lease = await self.fleet.acquire_but(wanted, frozenset(), patience_s=self.fleet.patience_s)
        call: _Call = WorkerCall(self.fleet, lease, "Generate")
        call.send(_start(request, visit.session, lease.model, only_read=True))
        visit.served(lease)
        finish = Finish()
        try:
            delta = _delta(await call.read())
            if isinstance(delta, Finish):  # else it began to answer, and knows no reading ahead
                finish = delta
        except LostError as error:
            log.debug("reading_ahead_lost_worker", address=lease.worker.address, reason=str(error))
        finally:
            self.fleet.spawn(call.close(GOODBYE_S if finish.input_tokens else 0.0))
        self._unread_at = None if finish.input_tokens else visit.address
        return finish

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        visit = self._visit or Visit(self.fleet, uuid.uuid4().hex)
        loop = asyncio.get_running_loop()
        avoid: frozenset[str] = frozenset()
        for _ in range(MAX_LOSSES):
            wanted = Request("llm", self._models, affinity=visit.address)
            lease = await self.fleet.acquire_but(wanted, avoid, patience_s=self.fleet.patience_s)
            call: _Call = WorkerCall(self.fleet, lease, "Generate")
            call.send(_start(request, visit.session, lease.model))
            visit.served(lease)
            began = finished = False
            asked_at = loop.time()
            try:
                while not finished:
                    delta = _delta(await call.read())
                    if not began:
                        lease.connection.answered((loop.time() - asked_at) * 1000)
                    began, finished = True, isinstance(delta, Finish)
                    yield delta
                return
            except LostError as error:
                log.warning("answer_lost_worker", address=lease.worker.address, reason=str(error))
                if error.refused:
                    avoid |= {lease.worker.instance}
                else:
                    lease.connection.failed(lease.worker.instance)
                if began:
                    raise EngineError(f"the llm worker was lost in mid-answer: {error}", retryable=True) from error
            finally:
                self.fleet.spawn(call.close(GOODBYE_S if finished else 0.0))
        reason = f"{MAX_LOSSES} llm workers were lost in a row: see the log"
        raise EngineError(reason, retryable=True, retry_after_s=BUSY_RETRY_S)


_Call = WorkerCall[pb.GenerateRequest, pb.GenerateResponse]


def _delta(response: pb.GenerateResponse) -> BrainDelta:
    """Raises EngineError, and LostError for a failure that another worker may not have."""
    match response.WhichOneof("message"):
        case "text":
            return TextDelta(response.text.text)
        case "tool_call":
            call = response.tool_call
            return ToolCallDelta(call.call_id, call.name, call.arguments)
        case "finish":
            finish = response.finish
            return Finish(finish.reason, finish.input_tokens, finish.output_tokens, finish.cached_tokens)
        case _:
            error = response.error
            if error.retryable or error.code == NOT_HERE:
                raise LostError(f"{error.code}: {error.message}", refused=True)
            raise EngineError(error.message or error.code)


def _start(request: BrainRequest, session: str, model: str, *, only_read: bool = False) -> pb.GenerateRequest:
    start = pb.GenerateRequest.Start(
        session=session,
        model=model,
        messages=[_message(message) for message in request.messages],
        tools=[
            pb.Tool(name=tool.name, description=tool.description, parameters=orjson.dumps(tool.parameters).decode())
            for tool in request.tools
        ],
        tool_choice=request.tool_choice,
        max_output_tokens=request.max_output_tokens or 0,
        only_read=only_read,
    )
    return pb.GenerateRequest(start=start)


def _message(message: Message) -> pb.Message:
    return pb.Message(
        role=message.role,
        text=message.text,
        call_id=message.call_id or "",
        name=message.name or "",
        arguments=message.arguments or "",
        images=message.images,
    )
