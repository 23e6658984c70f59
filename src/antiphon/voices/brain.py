"""The language models of a fleet as one brain."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager

import orjson
import structlog

from antiphon.core.fleet import BUSY_RETRY_S, Request
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, Message, TextDelta, ToolCallDelta
from antiphon.errors import EngineError
from antiphon.v1 import generator_pb2 as pb
from antiphon.voices.fleet import Fleet
from antiphon.voices.offers import is_away
from antiphon.voices.readying import make_ready
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

    It stands for all models of the workers. One that is wanted and nowhere in memory is loaded, and meanwhile another
    answers; one that somebody unloaded comes back only when it is chosen again.
    """

    def __init__(
        self,
        fleet: Fleet,
        models: tuple[str, ...] = (),
        *,
        names: Mapping[str, str] | None = None,
        visit: Visit | None = None,
    ) -> None:
        """``names`` is what clients call the models, where that is not what the workers call them."""
        super().__init__(fleet, models, visit=visit)
        self._names = names or {}

    def of_session(self, session: str) -> FleetBrain:
        """The same for one conversation, which stays at one worker as long as it can: that has its context at hand."""
        return FleetBrain(self.fleet, self._models, names=self._names, visit=Visit(self.fleet, session))

    # Which models there are.

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(self._names.get(model, model) for model in self._known()) or (self.name,)

    def model_called(self, name: str) -> str | None:
        """What the workers call the model that clients know as ``name``; None where there is none such."""
        return next((model for model in self._known() if self._names.get(model, model) == name), None)

    def answering(self, model: str) -> str:
        found = self.fleet.look(self._request(model))
        answers = (found[1] or found[0].default_model) if found is not None else self.model_called(model)
        return self._names.get(answers, answers) if answers else self.models[0]

    async def prepare(self, model: str) -> None:
        called = self.model_called(model)
        if called is None:
            return  # the default answers, which is not ours to choose
        await make_ready(self.fleet, (called,), model)
        if self._visit is not None:
            self._visit.announce(Request("llm", (called,), affinity=self._visit.address))

    @contextmanager
    def attending(self, model: str = "") -> Iterator[None]:
        """Within the block its conversation, which wants ``model``, is known to the worker that serves it."""
        with super().attending():
            if self._visit is not None and (called := self.model_called(model)) is not None:
                self._visit.announce(Request("llm", (called,)))
            yield

    def _known(self) -> tuple[str, ...]:
        """As the workers call them: each worker's default first, the very first is the default."""
        if self._models or self._names:
            return self._models or tuple(self._names)
        found: dict[str, None] = {}
        for connection in self.fleet.connections:
            names = sorted(model.name for model in connection.models)
            found |= dict.fromkeys(filter(None, (connection.default_model, *names)))
        return tuple(found)

    def _request(self, wish: str, *, hearing: bool = False) -> Request:
        """For an answer by the model that clients know as ``wish``; any will do where there is none such, but one that
        hears where ``hearing``.
        """
        affinity = self._visit.address if self._visit is not None else None
        known, wanted, away = self._known(), self.model_called(wish), self._away()
        needs = frozenset(("hears",) if hearing else ())
        if hearing:
            known = tuple(model for model in known if self._takes_audio(model))
            wanted = wanted if wanted in known else None
        if not known or (wanted is None and not hearing and known[0] not in away):
            return Request("llm", self._models, needs=needs, affinity=affinity)
        first = wanted or known[0]
        others = [model for model in known if model not in away and model != first]
        if_resident = away if others or first not in away else frozenset[str]()
        return Request("llm", (first, *others), needs=needs, affinity=affinity, if_resident=if_resident)

    def _away(self) -> frozenset[str]:
        """The models that were unloaded, everywhere, and that nobody has asked for since."""
        listed = [model for connection in self.fleet.connections for model in connection.models]
        return frozenset(model.name for model in listed) - {model.name for model in listed if not is_away(model)}

    # Answers.

    def hears_as(self, model: str) -> bool:
        """Also while no worker with that model is there. What is said as audio goes to models that hear alone."""
        return self._takes_audio(self.model_called(model) or next(iter(self._known()), ""))

    def _takes_audio(self, called: str) -> bool:
        return any(called in worker.hearing for worker in self.fleet.workers)

    _unread_at: tuple[str, str] | None = None
    """The worker, and what was wished for, whose model does not read ahead."""

    async def read(self, request: BrainRequest) -> Finish:
        """What no worker reads ahead is read with the answer: that a worker is lost, or unable, is no failure."""
        visit = self._visit or Visit(self.fleet, uuid.uuid4().hex)
        if visit.address is not None and (visit.address, request.model) == self._unread_at:
            return Finish()
        wanted = self._request(request.model, hearing=_is_heard(request))
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
        self._unread_at = None if finish.input_tokens else (visit.address or "", request.model)
        return finish

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        visit = self._visit or Visit(self.fleet, uuid.uuid4().hex)
        loop = asyncio.get_running_loop()
        avoid: frozenset[str] = frozenset()
        for _ in range(MAX_LOSSES):
            wanted = self._request(request.model, hearing=_is_heard(request))
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


def _is_heard(request: BrainRequest) -> bool:
    return any(message.audio for message in request.messages)


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
        transcribe=request.transcribe,
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
        audio=message.audio or b"",
    )
