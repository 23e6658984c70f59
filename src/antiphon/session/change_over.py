"""The change to another voice or language model in mid-conversation: it is made ready first, beside what goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from antiphon.core.settings import ReplySettings
from antiphon.core.speech import Voice
from antiphon.engines.optional import prepare_brain, prepare_voice
from antiphon.engines.suite import Suite
from antiphon.errors import EngineError

log = structlog.get_logger(__name__)


def voice_of(settings: ReplySettings) -> Voice:
    return Voice(settings.voice, settings.speed)


class ChangeOver:
    """One session's changes. A newer one takes the place of one that is under way."""

    def __init__(self, suite: Suite, speak_in: Callable[[Voice], None]) -> None:
        """``speak_in`` is called when another voice is ready."""
        self._suite = suite
        self._speak_in = speak_in
        self._under_way: dict[str, asyncio.Task[None]] = {}

    def begin(self, before: ReplySettings, after: ReplySettings, group: asyncio.TaskGroup) -> None:
        if voice_of(after) != voice_of(before):
            self._begin("voice", self._change_voice(voice_of(after)), group)
        if after.model != before.model:
            self._begin("brain", self._ready_brain(after.model), group)

    def _begin(self, what: str, work: Coroutine[Any, Any, None], group: asyncio.TaskGroup) -> None:
        if (former := self._under_way.get(what)) is not None:
            former.cancel()
        self._under_way[what] = group.create_task(work)

    async def _ready_brain(self, model: str) -> None:
        """Replies ask for it from now on, and are given by another until it is ready."""
        try:
            await prepare_brain(self._suite.brain, model)
        except EngineError as error:
            log.warning("a language model is not ready; another answers", model=model, reason=str(error))
        except Exception:
            log.exception("a language model could not be prepared", model=model)

    async def _change_voice(self, voice: Voice) -> None:
        """Replies that are being spoken change over when the voice is ready, and go on in the old one until then."""
        try:
            await prepare_voice(self._suite.synthesizer, voice)
        except EngineError as error:
            log.warning(
                "a voice is not ready; what is being said stays in the old one", voice=voice.name, reason=str(error)
            )
        except Exception:
            log.exception("a voice could not be prepared", voice=voice.name)
        else:
            self._speak_in(voice)

    def close(self) -> None:
        for task in self._under_way.values():
            task.cancel()
