"""The three stages: how an engine is made of a name, and how it is warmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from antiphon.audio import EAR_RATE_HZ, MOUTH_RATE_HZ
from antiphon.core.speech import Voice
from antiphon.engines.base import Brain, Engine, Recognizer, Synthesizer
from antiphon.engines.capabilities import Capabilities, capabilities_of
from antiphon.engines.catalog import make_brain, make_one_synthesizer, make_recognizer
from antiphon.engines.torch_device import AUTO, check_device

WARM_UP_S = 0.3
"""So much speech is made, or heard, before a model counts as resident."""
WARM_UP_TEXT = "Ready."

_LANGUAGES = {"moonshine": ("en",)}
"""Of recognizers, which do not say themselves what they know."""


@dataclass(frozen=True, slots=True)
class Stage:
    """``make`` gives an engine that is not loaded; it raises ConfigError for a name that there is not.

    It takes the name, and as ``device`` where engines that can choose run.
    """

    name: str
    service: str
    """The gRPC service, as health checks call it."""
    make: Callable[..., Awaitable[Any]]
    warm_up: Callable[[Any], Awaitable[None]]


async def _warm_synthesizer(engine: Synthesizer) -> None:
    async def text() -> AsyncIterator[str]:
        yield WARM_UP_TEXT

    wanted_bytes = int(WARM_UP_S * MOUTH_RATE_HZ) * 2
    async with aclosing(engine.speak(text(), Voice(engine.voices[0].name))) as chunks:
        async for chunk in chunks:
            wanted_bytes -= len(chunk.pcm)
            if wanted_bytes <= 0:
                break


async def _warm_recognizer(engine: Recognizer) -> None:
    with closing(engine.open(lambda _text: None)) as stream:
        stream.feed(bytes(int(WARM_UP_S * EAR_RATE_HZ) * 2))
        await stream.final()


async def _warm_brain(engine: Brain) -> None:
    """Loading is enough: a word from a model at some URL may cost money."""


async def _make_synthesizer(name: str, device: str = AUTO) -> Synthesizer:
    return make_one_synthesizer(name, device)


async def _make_recognizer(name: str, device: str = AUTO) -> Recognizer:
    return make_recognizer(name, device)


async def _make_brain(name: str, device: str = AUTO) -> Brain:
    """``URL#MODEL`` asks the server at that URL for that model."""
    name, _, model = name.partition("#")
    return await make_brain(name, model or None)


TTS = Stage("tts", "antiphon.v1.Synthesizer", _make_synthesizer, _warm_synthesizer)
ASR = Stage("asr", "antiphon.v1.Recognizer", _make_recognizer, _warm_recognizer)
LLM = Stage("llm", "antiphon.v1.Generator", _make_brain, _warm_brain)
STAGES = {stage.name: stage for stage in (TTS, ASR, LLM)}


def on_device(stage: Stage, device: str) -> Stage:
    """The same stage, whose engines run on ``device`` if they can choose. Raises ConfigError."""
    return replace(stage, make=partial(stage.make, device=check_device(device)))


async def known_capabilities(stage: Stage, model: str) -> Capabilities:
    """What can be said of a model before it is loaded. Raises ConfigError for a name that there is not."""
    engine: Engine = await stage.make(model)
    try:
        known = capabilities_of(engine)
    finally:
        await engine.close()
    languages = known.languages or _LANGUAGES.get(model.partition(":")[0], ())
    return replace(known, languages=languages)
