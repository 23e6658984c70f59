"""The three stages: how an engine is made of a name, and how it is warmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import Any

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.base import Brain, Engine, Recognizer, Synthesizer
from antiphon.engines.capabilities import Capabilities, capabilities_of
from antiphon.engines.catalog import make_brain, make_recognizer
from antiphon.engines.torch_device import AUTO
from antiphon.engines.voicing import Voicing

WARM_UP_S = 0.3
"""So much is heard before a recognizer counts as resident."""
WARM_UP_TEXT = "Ready."
"""Is said before a voice does. What it learns of its loudness counts."""

_LANGUAGES = {"moonshine": ("en",)}
"""Of recognizers, which do not say themselves what they know."""


@dataclass(frozen=True, slots=True)
class Stage:
    """``make`` gives an engine that is not loaded; it raises ConfigError for a name that there is not."""

    name: str
    service: str
    """The gRPC service, as health checks call it."""
    make: Callable[[str], Awaitable[Any]]
    warm_up: Callable[[Any], Awaitable[None]]
    more: Callable[[Collection[str]], Awaitable[tuple[str, ...]]]
    """Given the models that there are, names those that have come to be there besides: engines of voice packs."""
    unread: Callable[[Collection[str], str], Awaitable[tuple[str, ...]]]
    """Given the models in memory, and the one that is meant or an empty name: what is wrong with packs of others."""


async def _warm_synthesizer(engine: Synthesizer) -> None:
    async def text() -> AsyncIterator[str]:
        yield WARM_UP_TEXT

    if not engine.voices:
        return
    async with aclosing(engine.speak(text(), Voice(engine.voices[0].name))) as chunks:
        async for _ in chunks:
            pass


async def _warm_recognizer(engine: Recognizer) -> None:
    with closing(engine.open(lambda _text: None)) as stream:
        stream.feed(bytes(int(WARM_UP_S * EAR_RATE_HZ) * 2))
        await stream.final()


async def _warm_brain(engine: Brain) -> None:
    """Loading is enough: a word from a model at some URL may cost money."""


async def _no_more(names: Collection[str], model: str = "") -> tuple[str, ...]:
    return ()


def tts_stage(voicing: Voicing) -> Stage:
    """Its voices as ``voicing`` has them."""

    async def make(name: str) -> Synthesizer:
        return voicing.one(name, await asyncio.to_thread(voicing.read))

    async def more(names: Collection[str]) -> tuple[str, ...]:
        return voicing.more(names, await asyncio.to_thread(voicing.read))

    async def unread(names: Collection[str], model: str) -> tuple[str, ...]:
        packs = await asyncio.to_thread(voicing.read)
        return voicing.unread(names, packs.of(model.partition(":")[0]) if model else packs)

    return Stage("tts", "antiphon.v1.Synthesizer", make, _warm_synthesizer, more, unread)


def asr_stage(device: str = AUTO) -> Stage:
    """Its engines on ``device``, if they can choose."""

    async def make(name: str) -> Recognizer:
        return make_recognizer(name, device)

    return Stage("asr", "antiphon.v1.Recognizer", make, _warm_recognizer, _no_more, _no_more)


def llm_stage(device: str = AUTO) -> Stage:
    """As ``asr_stage``."""

    async def make(name: str) -> Brain:
        """``URL#MODEL`` asks the server at that URL for that model."""
        name, _, model = name.partition("#")
        return await make_brain(name, model or None, device=device)

    return Stage("llm", "antiphon.v1.Generator", make, _warm_brain, _no_more, _no_more)


TTS = tts_stage(Voicing())
ASR = asr_stage()
LLM = llm_stage()
STAGES = {stage.name: stage for stage in (TTS, ASR, LLM)}


async def known_capabilities(stage: Stage, model: str) -> Capabilities:
    """What can be said of a model before it is loaded. Raises ConfigError for a name that there is not."""
    engine: Engine = await stage.make(model)
    try:
        known = capabilities_of(engine)
    finally:
        await engine.close()
    languages = known.languages or _LANGUAGES.get(model.partition(":")[0], ())
    return replace(known, languages=languages)
