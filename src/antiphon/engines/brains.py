"""Several brains as one, of which each request names the one that answers."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import structlog

from antiphon.core.speech import BrainDelta, BrainRequest, Finish
from antiphon.engines.base import Brain, Remembering, brain_of_session, read_ahead
from antiphon.errors import EngineError

_log = structlog.get_logger(__name__)


def brain_names(brains: Mapping[str, Brain]) -> dict[str, str]:
    """What clients call each of ``brains``, which have the names that they were given on the command line.

    It is the brain's own name; where several have the same, the given one.
    """
    count = Counter(brain.name for brain in brains.values())
    return {given: brain.name if count[brain.name] == 1 else given for given, brain in brains.items()}


class MultiBrain:
    """Brains in this process, of which the first is the default.

    One that cannot be loaded is no reason not to begin, unless it is the default: it is tried again when it is wanted.
    A brain that is not ready is stood in for by the default.
    """

    def __init__(self, brains: Mapping[str, Brain]) -> None:
        """``brains`` by the names that they were given, at least one."""
        self._brains = dict(brains)
        self._given = next(iter(brains))
        self._session = ""
        self._ready: set[str] = set()
        self._loading: dict[str, asyncio.Lock] = {given: asyncio.Lock() for given in brains}
        self._reasons: dict[str, str] = {}

    @property
    def name(self) -> str:
        return self.models[0]

    @property
    def description(self) -> str:
        return f"{self._brains[self._given].description}; to choose from: {', '.join(self.models)}"

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(brain_names(self._brains).values())

    async def load(self) -> None:
        results = await asyncio.gather(*map(self._load, self._brains), return_exceptions=True)
        for given, result in zip(self._brains, results, strict=True):
            if isinstance(result, EngineError) and given != self._given:
                _log.warning("language_model_not_loaded", model=given, reason=str(result))
            elif isinstance(result, BaseException):
                raise result

    async def close(self) -> None:
        for brain in self._brains.values():
            await brain.close()

    def answering(self, model: str) -> str:
        return brain_names(self._brains)[self._answering(model)]

    async def prepare(self, model: str) -> None:
        await self._load(self._called(model))

    def is_ready(self, model: str) -> bool:
        return self._called(model) in self._ready

    def is_loading(self, model: str) -> bool:
        return self._loading[self._called(model)].locked()

    def reason(self, model: str) -> str:
        """Why it could not be loaded, if it could not."""
        return self._reasons.get(self._called(model), "")

    async def read(self, request: BrainRequest) -> Finish:
        return await read_ahead(self._at_work(request), request)

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        async with aclosing(self._at_work(request).respond(request)) as deltas:
            async for delta in deltas:
                yield delta

    def of_session(self, session: str) -> MultiBrain:
        """The same brains, for one conversation."""
        own = copy.copy(self)
        own._session = session
        return own

    def leave(self) -> None:
        self.forget(self._session)

    def forget(self, session: str) -> None:
        for brain in self._brains.values():
            if isinstance(brain, Remembering):
                brain.forget(session)

    def _at_work(self, request: BrainRequest) -> Brain:
        return brain_of_session(self._brains[self._answering(request.model)], self._session)

    def _called(self, model: str) -> str:
        """The given name of ``model``; the default's where there is none such."""
        return next((given for given, name in brain_names(self._brains).items() if name == model), self._given)

    def _answering(self, model: str) -> str:
        given = self._called(model)
        return given if given in self._ready else self._given

    async def _load(self, given: str) -> None:
        async with self._loading[given]:
            if given in self._ready:
                return
            try:
                await self._brains[given].load()
            except EngineError as error:
                self._reasons[given] = str(error)
                raise
            self._reasons.pop(given, None)
            self._ready.add(given)
