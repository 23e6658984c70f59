"""Several brains as one, of which each request names the one that answers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

import structlog

from antiphon.core.speech import BrainDelta, BrainRequest, Finish
from antiphon.engines.base import Brain
from antiphon.engines.brain_around import BrainAround
from antiphon.engines.optional import Leaving, Remembering, brain_of_session, hears_audio, read_ahead
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

    def hears_as(self, model: str) -> bool:
        return hears_audio(self._brains[self._called(model)])

    def is_ready(self, model: str) -> bool:
        return self._called(model) in self._ready

    def is_loading(self, model: str) -> bool:
        return self._loading[self._called(model)].locked()

    def reason(self, model: str) -> str:
        """Why it could not be loaded, if it could not."""
        return self._reasons.get(self._called(model), "")

    def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        return self.chosen(request.model).respond(request)

    async def read(self, request: BrainRequest) -> Finish:
        """As ``Attentive.read``, where the one that would answer reads ahead."""
        return await read_ahead(self.chosen(request.model), request)

    def of_session(self, session: str) -> SessionBrains:
        return SessionBrains(self, session)

    def forget(self, session: str) -> None:
        for brain in self._brains.values():
            if isinstance(brain, Remembering):
                brain.forget(session)

    def chosen(self, model: str) -> Brain:
        """The one that would answer now where ``model`` is wanted."""
        return self._brains[self._answering(model)]

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


class SessionBrains(BrainAround):
    """The brains of a ``MultiBrain`` for one conversation: each keeps what it has read of it."""

    def __init__(self, brains: MultiBrain, session: str) -> None:
        super().__init__(brains)
        self._owner = brains
        self._session = session
        self._own: dict[Brain, Brain] = {}
        """Of those that have answered or read."""

    def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        return self._chosen(request.model).respond(request)

    async def read(self, request: BrainRequest) -> Finish:
        return await read_ahead(self._chosen(request.model), request)

    def leave(self) -> None:
        for brain in self._own.values():
            if isinstance(brain, Leaving):
                brain.leave()
        self._owner.forget(self._session)

    def _chosen(self, model: str) -> Brain:
        brain = self._owner.chosen(model)
        if brain not in self._own:
            self._own[brain] = brain_of_session(brain, self._session)
        return self._own[brain]
