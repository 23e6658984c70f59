"""The models of a server that hosts its engines itself: what is in memory stays there to the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from antiphon.engines.brains import MultiBrain
from antiphon.engines.optional import models_of, prepare_brain
from antiphon.engines.suite import Suite
from antiphon.engines.voices import MultiSynthesizer
from antiphon.engines.voicing import Voicing
from antiphon.errors import ConfigError, EngineError
from antiphon.transport.model_admin import ModelPlace

HERE = "here"

_STAYS = "it is hosted by the server's own process, which keeps its engines while it runs; workers can change theirs"


class LocalModels:
    """Implements ``ModelAdmin``: tells what there is, and refuses what cannot be."""

    def __init__(self, suite: Suite, voicing: Voicing | None = None) -> None:
        """``voicing`` is what was made of the voices, with their packs."""
        self._suite = suite
        self._voicing = voicing or Voicing()

    async def places(self) -> Sequence[ModelPlace]:
        return [self._place(stage, name) for stage, name in self._names()]

    def _place(self, stage: str, name: str) -> ModelPlace:
        brain = self._suite.brain
        if stage != "llm" or not isinstance(brain, MultiBrain) or brain.is_ready(name):
            return ModelPlace(name, stage, HERE, "resident", reason=_STAYS)
        if brain.is_loading(name):
            return ModelPlace(name, stage, HERE, "loading")
        reason = brain.reason(name)
        return ModelPlace(name, stage, HERE, "failed" if reason else "absent", reason=reason)

    def _names(self) -> list[tuple[str, str]]:
        suite = self._suite
        voice = suite.synthesizer
        voices = voice.engines if isinstance(voice, MultiSynthesizer) else (voice,)
        named = [("vad", suite.vad.name), ("asr", suite.recognizer.name)]
        named += [("llm", name) for name in models_of(suite.brain)]
        return [*named, *(("tts", engine.name) for engine in voices)]

    def _find(self, model: str) -> str | None:
        """A model by its name, or its engine's alone."""
        names = [name for _, name in self._names()]
        return next((name for name in names if model in (name, name.partition(":")[0])), None)

    async def load(self, model: str) -> None:
        found = self._find(model)
        if found is None:
            raise ConfigError(
                f"{model!r} is not among the engines of this server: start it with that engine, or with workers"
            )
        if found in models_of(self._suite.brain):
            await prepare_brain(self._suite.brain, found)

    async def unload(self, model: str) -> None:
        if self._find(model) is None:
            raise ConfigError(f"{model!r} is not in this server's memory")
        raise EngineError(f"{model} cannot be unloaded: {_STAYS}")

    async def reload(self, model: str | None) -> None:
        voices = self._suite.synthesizer
        if not isinstance(voices, MultiSynthesizer):
            raise EngineError(f"{voices.name} has no voice packs")
        packs = await asyncio.to_thread(self._voicing.read)
        for name in self._voicing.more([engine.name for engine in voices.engines], packs):
            await voices.add(self._voicing.one(name, packs, for_packs_alone=True))
        family = None if model is None else model.partition(":")[0]
        names = [engine.name for engine in voices.engines]
        told = list(self._voicing.unread(names, packs if family is None else packs.of(family)))
        try:
            known = await voices.reload(family)
        except EngineError as error:
            known = True
            told.append(str(error))
        if told:
            raise EngineError("\n".join(told))
        if not known and model is not None:
            raise ConfigError(f"{model!r} is no voice pack of this server, nor an engine that takes any")

    async def swap(self, old: str, new: str) -> None:
        await self.load(new)
        await self.unload(old)
