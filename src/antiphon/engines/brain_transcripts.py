"""Transcripts by the brain itself, where it hears: no second model, and no words before the turn is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from antiphon.audio import EAR_RATE_HZ
from antiphon.core.conversation import HEARD_TURN_S
from antiphon.core.speech import BrainRequest, Message, TextDelta
from antiphon.engines.base import Brain, Transcript
from antiphon.engines.optional import hears_audio
from antiphon.engines.whole_turns import WholeTurn
from antiphon.errors import ConfigError, EngineError

NAME = "brain"

LATER_S = 1.0
"""So long after it was asked for a transcript is begun: until then the model is needed for the answer's first words."""

MAX_TOKENS = 1000
"""Twice what people say in a minute."""

_MOST_BYTES = HEARD_TURN_S * EAR_RATE_HZ * 2


class BrainRecognizer:
    """The Recognizer over a brain that somebody else loads and closes. It gives no partials."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain

    @property
    def name(self) -> str:
        return NAME

    @property
    def description(self) -> str:
        return f"{self._brain.name} writes down what it has heard"

    async def load(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def open(self, on_partial: Callable[[str], None], language: str | None = None) -> WholeTurn:
        async def recognize(pcm: bytes, _final: bool) -> Transcript:
            await asyncio.sleep(LATER_S)
            return Transcript(await self._written(pcm))

        return WholeTurn(recognize, on_partial, None, NAME)

    async def _written(self, pcm: bytes) -> str:
        if not hears_audio(self._brain):
            raise EngineError(_deaf(self._brain))
        said = Message("user", audio=pcm[-_MOST_BYTES:])
        request = BrainRequest((said,), max_output_tokens=MAX_TOKENS, transcribe=True)
        async with aclosing(self._brain.respond(request)) as deltas:
            return "".join([delta.text async for delta in deltas if isinstance(delta, TextDelta)]).strip()


def check_hears(brain: Brain) -> None:
    """Raises ConfigError."""
    if not hears_audio(brain):
        raise ConfigError(_deaf(brain))


def _deaf(brain: Brain) -> str:
    return (
        f"--asr {NAME}: {brain.name} takes no audio; name a recognizer, or a language model that hears, such as "
        "voxtral:MODEL or openai-audio:MODEL"
    )
