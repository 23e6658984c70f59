"""Who speaks in one session: what is asked of the speaker model, and when.

A turn is looked at while it is spoken, each time some seconds of it are new, and once more at each pause. One look at a
time: the others wait. Names are given by ``core.who``, which knows the session's speakers; what a look says stands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from antiphon.audio import EAR_RATE_HZ, bytes_to_ms, ms_to_bytes
from antiphon.core.voice_spans import NamedSpan, VoiceSpans
from antiphon.core.who import Embedding, Who
from antiphon.engines.base import SPEAKER_WINDOW_MS, SpeakerModel
from antiphon.errors import EngineError

log = structlog.get_logger(__name__)

FIRST_LOOK_MS = 1_600
"""A turn is first looked at when it has so much audio, ..."""
LOOK_EVERY_MS = 2_400
"""... and again whenever it has so much more."""

_NEW_MS = 8_000
"""So much new audio one look takes; what was heard before fills the rest of its window."""

_SHORT_REST_MS = 1_000
"""Less than this at the end of a turn is rather whoever spoke before."""

_BACKLOG_MS = 60_000
"""A model that falls behind further than this leaves out what is oldest."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """How speakers are told apart. ``enrolled`` gives those known by name, as they are now."""

    model: SpeakerModel
    enrolled: Callable[[], Mapping[str, Embedding]]
    numbered: bool = True
    """Others get numbers; False leaves them unnamed."""


class TurnVoices:
    """Who speaks in one turn. Made by ``Identity.open``."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._spans = VoiceSpans()
        self._pcm = bytearray()
        self._from_ms = 0
        """Where the audio that is kept begins."""
        self._due_ms = FIRST_LOOK_MS
        self._asked: asyncio.Future[None] | None = None
        self._asked_ms = 0
        self._closed = False
        self.on_change: Callable[[], None] = _nothing
        """Called after each look that found another speaker than the one before."""

    @property
    def _fed_ms(self) -> int:
        return self._from_ms + int(bytes_to_ms(len(self._pcm), EAR_RATE_HZ))

    @property
    def spans(self) -> tuple[NamedSpan, ...]:
        return self._spans.spans

    @property
    def speaker(self) -> str | None:
        """Who spoke last, as far as that is known."""
        return self._spans.speaker

    @property
    def main_speaker(self) -> str | None:
        """Who spoke longest."""
        return self._spans.main_speaker

    def feed(self, pcm: bytes) -> None:
        """The turn's audio: mono s16 at 16 kHz."""
        self._pcm += pcm
        if self._fed_ms - self._spans.done_ms > _BACKLOG_MS:
            self._forget(self._fed_ms - _BACKLOG_MS // 2)
        if self._fed_ms >= self._due_ms:
            self._due_ms = self._fed_ms + LOOK_EVERY_MS
            self._identity.ask(self)

    def settle(self) -> asyncio.Future[None]:
        """Done when all audio so far was looked at. A newer call cancels an older one."""
        if self._asked is not None:
            self._asked.cancel()
        self._asked = asyncio.get_running_loop().create_future()
        self._asked_ms = self._fed_ms
        self._identity.ask(self)
        return self._asked

    def close(self) -> None:
        self._closed = True
        if self._asked is not None:
            self._asked.cancel()

    # For the identity's task.

    async def look(self, model: SpeakerModel, who: Who) -> None:
        """Looks at what is new, up to the end of it."""
        known = self.speaker
        try:
            while not self._closed and await self._look(model, who):
                pass
        except EngineError as error:
            log.warning("speakers cannot be told", error=str(error))
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(None)
        if not self._closed and self.speaker != known:
            self.on_change()

    async def _look(self, model: SpeakerModel, who: Who) -> bool:
        """False when there is nothing more to look at for now."""
        done_ms, fed_ms = self._spans.done_ms, self._fed_ms
        end_ms = min(fed_ms, done_ms + _NEW_MS)
        asked = self._asked is not None and not self._asked.done()
        if end_ms <= done_ms or (asked and done_ms >= self._asked_ms):
            return False
        from_ms = max(self._from_ms, end_ms - SPEAKER_WINDOW_MS)
        # A short rest is followed on by the segmentation alone, which takes a fraction of the time.
        short = asked and self.speaker is not None and end_ms - done_ms < _SHORT_REST_MS
        start, end = (ms_to_bytes(at_ms - self._from_ms, EAR_RATE_HZ) for at_ms in (from_ms, end_ms))
        new_from_ms = end_ms - from_ms if short else max(0, done_ms - from_ms)
        voices = await model.voices(bytes(self._pcm[start:end]), new_from_ms)
        last = asked or end_ms < fed_ms
        self._spans.take(voices, from_ms, end_ms, who, last=last)
        self._forget(self._spans.done_ms - SPEAKER_WINDOW_MS)
        return last

    def _forget(self, until_ms: int) -> None:
        """Drops the audio before that."""
        if until_ms > self._from_ms:
            del self._pcm[: ms_to_bytes(until_ms - self._from_ms, EAR_RATE_HZ)]
            self._from_ms = until_ms
            self._spans.done_ms = max(self._spans.done_ms, until_ms)


class Identity:
    """The speakers of one session. ``run`` is a task of the session; all else is called from its loop."""

    def __init__(self, speakers: Speakers) -> None:
        self._model = speakers.model
        self._who = Who(speakers.enrolled(), numbered=speakers.numbered)
        self._waiting: deque[TurnVoices] = deque()
        self._wake = asyncio.Event()

    def open(self) -> TurnVoices:
        """For the next turn."""
        return TurnVoices(self)

    def ask(self, turn: TurnVoices) -> None:
        """Has the turn looked at when its time comes."""
        if turn not in self._waiting:
            self._waiting.append(turn)
            self._wake.set()

    async def run(self) -> None:
        """Lives until it is cancelled."""
        while True:
            while self._waiting:
                await self._waiting.popleft().look(self._model, self._who)
            self._wake.clear()
            await self._wake.wait()


def _nothing() -> None:
    pass
