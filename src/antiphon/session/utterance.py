"""The recognition of one turn of the user, from its first sample to its transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from antiphon.audio import EAR_RATE_HZ, bytes_to_ms, ms_to_bytes
from antiphon.core.captions import Captions
from antiphon.core.conversation import HEARD_TURN_S
from antiphon.core.events import FinalHeard, PartialHeard
from antiphon.engines.base import Recognizer
from antiphon.errors import EngineError
from antiphon.ids import TurnId

log = structlog.get_logger(__name__)

KEPT_BYTES = 16 * EAR_RATE_HZ * 2
"""Of a turn's audio so much is kept for the client that retrieves the item: 16 s, 1 MiB on the wire."""

LEAD_MS = 100
"""Recognizers want so much quiet before the first word; where a turn begins with speech, it is put there."""

_HEARD_BYTES = HEARD_TURN_S * EAR_RATE_HZ * 2

Post = Callable[[PartialHeard | FinalHeard], None]


class Utterance:
    """Audio goes in by ``feed``; words come out as events.

    It may begin before its turn has a name (a client that commits by itself names it at the commit): its words are
    posted from ``name`` on.
    """

    def __init__(self, recognizer: Recognizer, language: str | None, post: Post, *, heard: bool = False) -> None:
        """``heard``: its audio is for the brain, too, so the end of it is kept and not the beginning."""
        self._heard = heard
        self._stream = recognizer.open(self._on_partial, language)
        self._post = post
        self._finals: set[asyncio.Task[None]] = set()
        self._length_bytes = 0
        self.turn: TurnId | None = None
        self.pcm = bytearray()
        self.captions = Captions()
        self.last_revision = 0
        """The newest final that was asked for."""
        self.answered_revision = -1
        self.answer: str | None = None
        """The final of ``answered_revision``; None when the recognizer failed."""

    @property
    def audio_ms(self) -> float:
        return bytes_to_ms(self._length_bytes, EAR_RATE_HZ)

    def name(self, turn: TurnId) -> None:
        self.turn = turn

    def lead_in(self) -> None:
        """Puts silence before the first audio, for the recognizer alone."""
        self._stream.feed(bytes(ms_to_bytes(LEAD_MS, EAR_RATE_HZ)))

    def feed(self, pcm: bytes) -> None:
        self._length_bytes += len(pcm)
        if self._heard or len(self.pcm) < KEPT_BYTES:
            self.pcm += pcm
        if len(self.pcm) > _HEARD_BYTES + KEPT_BYTES:
            del self.pcm[:-_HEARD_BYTES]
        self._stream.feed(pcm)

    def transcribe(self, revision: int, group: asyncio.TaskGroup) -> None:
        """Asks for the final of all audio so far. An older question that is still open is withdrawn."""
        for task in self._finals:
            task.cancel()
        self.last_revision = revision
        task = group.create_task(self._final(revision))
        self._finals.add(task)
        task.add_done_callback(self._finals.discard)

    async def _final(self, revision: int) -> None:
        text: str | None
        try:
            text = (await self._stream.final()).text.strip()
        except EngineError as error:
            log.warning("recognizer failed", turn=self.turn, error=str(error))
            text = None
        self.answered_revision, self.answer = revision, text
        if self.turn is not None:
            self._post(FinalHeard(self.turn, revision, text))

    def _on_partial(self, text: str) -> None:
        if self.turn is not None and text:
            self._post(PartialHeard(self.turn, text))

    def close(self) -> None:
        for task in self._finals:
            task.cancel()
        self._stream.close()
