"""What a server has in memory, and how that changes: ``/v1/antiphon/models`` over whoever keeps the models."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

import orjson
import structlog
from aiohttp import web

from antiphon.errors import ConfigError, EngineError, ProtocolError
from antiphon.transport.realtime import fields
from antiphon.transport.realtime.fields import Json
from antiphon.transport.responses import error_response, json_response

PATH = "/v1/antiphon/models"

Residence = Literal["absent", "loading", "resident", "unloading", "failed"]

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A model at one place: a worker, or the server's own process."""

    name: str
    """``engine:model``, as a user writes it."""
    stage: str
    """``vad``, ``asr``, ``llm`` or ``tts``."""
    where: str
    """The worker's address; ``here`` for the server's own process."""
    state: Residence
    in_use: int | None = None
    """How many sessions or requests hold it in memory; None where that is not counted."""
    can_unload: bool = False
    reason: str = ""
    """Why it failed, or why it cannot be unloaded."""


class ModelAdmin(Protocol):
    """Keeps the models of a server, or speaks for those that do."""

    async def places(self) -> Sequence[ModelPlace]:
        """Every model at every place where it could be, resident or not."""
        ...

    async def load(self, model: str) -> None:
        """Returns when ``model`` is in memory and warm somewhere; at once when it is already.

        Raises ConfigError for a model that nobody has, and EngineError, retryable when it may go better later.
        """
        ...

    async def unload(self, model: str) -> None:
        """Returns when ``model`` is in no memory. What speaks with it goes on with another voice.

        Raises as ``load`` does; EngineError that is not retryable where it must stay.
        """
        ...

    async def swap(self, old: str, new: str) -> None:
        """Loads ``new``, then unloads ``old``: at no time is there neither. Raises as both do."""
        ...

    async def reload(self, model: str | None) -> None:
        """Has voice packs read again from disk, of all voices or of ``model``'s (a pack's own name will do).

        Packs that are new, changed or gone count from the next sentence. Raises ConfigError for what nobody has, and
        EngineError with a line for each pack that cannot be used: it stays as it was, and all others are done.
        """
        ...


class ModelRoutes:
    def __init__(self, admin: ModelAdmin) -> None:
        self._admin = admin

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(PATH, self.listed),
            web.post(f"{PATH}/load", self.load),
            web.post(f"{PATH}/unload", self.unload),
            web.post(f"{PATH}/swap", self.swap),
            web.post(f"{PATH}/reload", self.reload),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        data = [asdict(place) for place in await self._admin.places()]
        return json_response({"object": "list", "data": data})

    async def load(self, request: web.Request) -> web.Response:
        model = fields.text(await _body(request), "model")
        return await self._change(request, lambda: self._admin.load(model))

    async def unload(self, request: web.Request) -> web.Response:
        model = fields.text(await _body(request), "model")
        return await self._change(request, lambda: self._admin.unload(model))

    async def swap(self, request: web.Request) -> web.Response:
        body = await _body(request)
        old, new = fields.text(body, "from"), fields.text(body, "to")
        return await self._change(request, lambda: self._admin.swap(old, new))

    async def reload(self, request: web.Request) -> web.Response:
        body = await _body(request) if request.can_read_body else {}
        model = fields.text(body, "model") if "model" in body else None
        return await self._change(request, lambda: self._admin.reload(model))

    async def _change(self, request: web.Request, work: Callable[[], Awaitable[None]]) -> web.Response:
        """Does it and answers with what is in memory then."""
        try:
            await work()
        except ConfigError as error:
            return error_response(404, str(error), "model_not_found", param="model")
        except EngineError as error:
            if not error.retryable:
                return error_response(409, str(error), "model_stays_as_it_is")
            headers = {"Retry-After": str(math.ceil(error.retry_after_s or 1.0))}
            return error_response(503, str(error), "models_busy", headers=headers)
        _log.info("models changed", by=request.path)
        return await self.listed(request)


async def _body(request: web.Request) -> Json:
    try:
        return fields.mapping(orjson.loads(await request.read()), "body")
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"The body is not valid JSON: {error}", code="invalid_json") from None
