"""The models of a server whose engines are hosted by workers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

import grpc

from antiphon.engines.base import Vad
from antiphon.errors import ConfigError, EngineError
from antiphon.transport.model_admin import ModelPlace, Residence
from antiphon.v1 import models_pb2 as pb
from antiphon.voices.channel import Connection
from antiphon.voices.fleet import LOAD_S, Fleet
from antiphon.voices.succession import Succession

GRACE_S = 10.0
"""What replies get to come to the end of a clause in a voice that is unloaded: one that is sent as it is heard holds
the voice for a long clause, and for what is made ahead of it."""

_ANSWER_S = 2.0
_LATER = (
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.ABORTED,
)
_STATES: dict[int, Residence] = {
    pb.MODEL_STATE_LOADING: "loading",
    pb.MODEL_STATE_RESIDENT: "resident",
    pb.MODEL_STATE_UNLOADING: "unloading",
    pb.MODEL_STATE_FAILED: "failed",
}


class FleetModels:
    """Implements ``ModelAdmin`` over the workers of all stages."""

    def __init__(
        self,
        fleets: Mapping[str, Fleet],
        vad: Vad,
        succession: Succession,
        brain_called: Callable[[str], str | None] = lambda name: None,
    ) -> None:
        """``brain_called`` says what the workers call the language model that clients know by a name."""
        self._fleets = fleets
        self._vad = vad
        self._succession = succession
        self._brain_called = brain_called
        self.tell: Callable[[], Awaitable[None]] = _nobody
        """Waited for when what is in memory has changed: others who ask the same workers want to know."""

    async def places(self) -> Sequence[ModelPlace]:
        """A worker that does not answer has no places."""
        here = ModelPlace(self._vad.name, "vad", "here", "resident", reason="the server's own process keeps it")
        return [here, *(place for place, _ in await self._found())]

    async def load(self, model: str) -> None:
        found = await self._called(model)
        model = found[0][0].name
        if any(place.state == "resident" for place, _ in found):
            return
        _, connection = next((entry for entry in found if entry[0].state == "loading"), found[0])
        await _carry_out(lambda: connection.stub.LoadModel(pb.LoadModelRequest(model=model), timeout=LOAD_S))
        await connection.ask()
        await self.tell()

    async def unload(self, model: str) -> None:
        found = await self._called(model)
        self._succession.leave(found[0][0].name)
        try:
            await asyncio.gather(*(_unload(place, connection) for place, connection in found))
        finally:  # some may have gone
            await self.tell()

    async def swap(self, old: str, new: str) -> None:
        gone = (await self._called(old))[0][0].name  # refused before anything is loaded
        await self.load(new)
        self._succession.appoint(gone, (await self._called(new))[0][0].name)
        await self.unload(gone)

    async def reload(self, model: str | None) -> None:
        connections = list(self._fleets["tts"].connections)
        name = ""
        if model is not None:
            # A pack is a voice of its family's model; a family may have come only with its first pack.
            name, _, _ = model.partition(":")
            with suppress(ConfigError):
                found = await self._called(model if await self._has(model) else name)
                name, connections = found[0][0].name, [connection for _, connection in found]
        answers = await asyncio.gather(*(_reload(connection, name) for connection in connections))
        await self.tell()
        if answers and all(isinstance(answer, ConfigError) for answer in answers):
            raise ConfigError(f"no worker of this server has {model!r}, and no voice pack of that family")
        told = dict.fromkeys(str(answer) for answer in answers if isinstance(answer, EngineError))
        if told:
            raise EngineError("\n".join(told))

    async def _has(self, model: str) -> bool:
        return any(place.name == model for place, _ in await self._found())

    async def _called(self, model: str) -> list[tuple[ModelPlace, Connection]]:
        """Where a model is, or could be, by its name, by what clients call it, or by its engine's alone. Raises
        ConfigError.
        """
        every = await self._found()
        names = [place.name for place, _ in every]
        full = model if model in names else self._brain_called(model)
        full = full or next((name for name in names if name.partition(":")[0] == model), None)
        found = [entry for entry in every if entry[0].name == full]
        if not found:
            there = ", ".join(dict.fromkeys(names)) or "none"
            raise ConfigError(f"no worker of this server has {model!r}; there is {there}")
        return found

    async def _found(self) -> list[tuple[ModelPlace, Connection]]:
        asked = [(stage, each) for stage, fleet in self._fleets.items() for each in fleet.connections]
        answers = await asyncio.gather(*(_models_of(connection) for _, connection in asked))
        return [
            (_place(stage, connection, model), connection)
            for (stage, connection), models in zip(asked, answers, strict=True)
            for model in models
        ]


async def _nobody() -> None:
    """Nobody wants to know."""


async def _unload(place: ModelPlace, connection: Connection) -> None:
    """Also where it is not in memory: nobody is to bring it there unasked."""
    if place.stage == "tts" and place.state == "resident":
        with suppress(EngineError):  # whoever still speaks with it then goes on in mid-word
            request = pb.UnloadModelRequest(model=place.name)
            await _carry_out(lambda: connection.stub.UnloadModel(request, timeout=GRACE_S))
            await connection.ask()
            return
    forced = pb.UnloadModelRequest(model=place.name, force=True)
    await _carry_out(lambda: connection.stub.UnloadModel(forced, timeout=LOAD_S))
    await connection.ask()


async def _reload(connection: Connection, model: str) -> ConfigError | EngineError | None:
    """What went wrong, if anything did: a ConfigError where there is no such model."""
    request = pb.ControlRequest(verb=pb.ControlRequest.RELOAD, model=model)
    try:
        await connection.stub.Control(request, timeout=LOAD_S)
    except grpc.aio.AioRpcError as error:
        message = error.details() or error.code().name
        return ConfigError(message) if error.code() is grpc.StatusCode.NOT_FOUND else EngineError(message)
    finally:
        await connection.ask(voices=True)
    return None


async def _models_of(connection: Connection) -> Sequence[pb.Model]:
    try:
        listed: Any = await connection.stub.ListModels(pb.ListModelsRequest(), timeout=_ANSWER_S)
    except grpc.aio.AioRpcError:
        return ()
    return tuple(listed.models)


def _place(stage: str, connection: Connection, model: pb.Model) -> ModelPlace:
    state = _STATES.get(model.state, "absent")
    return ModelPlace(
        model.name, stage, connection.address, state, model.leases, can_unload=state == "resident", reason=model.error
    )


async def _carry_out(call: Callable[[], Awaitable[Any]]) -> None:
    try:
        await call()
    except grpc.aio.AioRpcError as error:
        message = error.details() or error.code().name
        raise EngineError(message, retryable=error.code() in _LATER) from error
