"""The recognition of one turn of the user, from its first sample to its transcript."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import structlog

from antiphon.audio import EAR_RATE_HZ, bytes_to_ms, ms_to_bytes
from antiphon.core.captions import Captions
from antiphon.core.conversation import HEARD_TURN_S
from antiphon.core.events import FinalHeard, PartialHeard
from antiphon.core.segments import Segment, one_segment
from antiphon.core.text import words_of
from antiphon.core.voice_spans import NamedSpan
from antiphon.engines.base import HeardWord, Recognizer, Transcript
from antiphon.errors import EngineError
from antiphon.ids import TurnId
from antiphon.session.identity import TurnVoices
from antiphon.session.parts import parts_of, share_out

log = structlog.get_logger(__name__)

KEPT_BYTES = 16 * EAR_RATE_HZ * 2
"""Of a turn's audio so much is kept for the client that retrieves the item: 16 s, 1 MiB on the wire."""

LEAD_MS = 100
"""Recognizers want so much quiet before the first word; where a turn begins with speech, it is put there."""

SPEAKER_WAIT_S = 1.0
"""A final waits so long for who said it; then it goes by what was known before."""

CERTAIN_WORDS = 2
"""So many words that were heard are not taken back by a final that has none: the recognizer is unsure of them, but it
was no noise, and a person whose question was heard expects an answer. Guesses at noise have one word (compare
``core.barge_in``)."""

CERTAIN_MS = 1000
"""Of a turn so long, one word is enough: with what is kept before and after it, that is some 600 ms of speech. A cough
is shorter. Measured with the smallest Moonshine and a short question that it understands badly, "How old are you?":
of 640 finals 39 had no words, of which two had never had any."""

_HEARD_BYTES = HEARD_TURN_S * EAR_RATE_HZ * 2

Post = Callable[[PartialHeard | FinalHeard], None]


class Utterance:
    """Audio goes in by ``feed``; words come out as events.

    It may begin before its turn has a name (a client that commits by itself names it at the commit): its words are
    posted from ``name`` on. ``voices`` tells who speaks, where that is wanted.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        language: str | None,
        post: Post,
        voices: TurnVoices | None = None,
        *,
        heard: bool = False,
    ) -> None:
        """``heard``: its audio is for the brain, too, so the end of it is kept and not the beginning."""
        self._recognizer = recognizer
        self._language = language
        self._heard = heard
        self._stream = recognizer.open(self._on_partial, language)
        self._post = post
        self._voices = voices
        if voices is not None:
            voices.on_change = self._tell_partial
        self._partial = ""
        """The newest guess that no final has overtaken."""
        self._words = ""
        """The last words heard, in a guess or a final."""
        self._finals: set[asyncio.Task[None]] = set()
        self._length_bytes = 0
        self._lead_ms = 0
        self.turn: TurnId | None = None
        self.pcm = bytearray()
        self.captions = Captions()
        self.last_revision = 0
        """The newest final that was asked for."""
        self.answered_revision = -1
        self.answer: str | None = None
        """The final of ``answered_revision``; None when the recognizer failed."""
        self.segments: tuple[Segment, ...] = ()
        """The same by who said it."""

    @property
    def audio_ms(self) -> float:
        return bytes_to_ms(self._length_bytes, EAR_RATE_HZ)

    def name(self, turn: TurnId) -> None:
        self.turn = turn

    def lead_in(self) -> None:
        """Puts silence before the first audio, for the recognizer alone."""
        self._lead_ms = LEAD_MS
        self._stream.feed(bytes(ms_to_bytes(LEAD_MS, EAR_RATE_HZ)))

    def feed(self, pcm: bytes) -> None:
        self._length_bytes += len(pcm)
        if self._heard or len(self.pcm) < KEPT_BYTES:
            self.pcm += pcm
        if len(self.pcm) > _HEARD_BYTES + KEPT_BYTES:
            del self.pcm[:-_HEARD_BYTES]
        self._stream.feed(pcm)
        if self._voices is not None:
            self._voices.feed(pcm)

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
        segments: tuple[Segment, ...] = ()
        speaker: str | None = None
        looked = None if self._voices is None else self._voices.settle()
        try:
            transcript = self._kept(await self._stream.final())
            text = transcript.text.strip()
            segments, speaker = await self._by_speaker(transcript, looked)
        except EngineError as error:
            log.warning("recognizer failed", turn=self.turn, error=str(error))
            text = None
        self._partial = ""
        self.answered_revision, self.answer, self.segments = revision, text, segments
        if self.turn is not None:
            self._post(FinalHeard(self.turn, revision, text, speaker))

    def _kept(self, transcript: Transcript) -> Transcript:
        """The final, or what was heard before where it has no words at all."""
        needed = CERTAIN_WORDS if self.audio_ms < CERTAIN_MS else 1
        if not transcript.text.strip() and len(words_of(self._words)) >= needed:
            log.info("a final without words does not count", turn=self.turn)
            return replace(transcript, text=self._words)
        self._words = transcript.text.strip()
        return transcript

    async def _by_speaker(
        self, transcript: Transcript, looked: asyncio.Future[None] | None
    ) -> tuple[tuple[Segment, ...], str | None]:
        """The words by who said them, and who said most of it."""
        text, words = transcript.text.strip(), self._timed(transcript)
        if self._voices is None or looked is None:
            spans = [NamedSpan(word.start_ms, word.end_ms, word.speaker) for word in words if word.speaker]
            main = transcript.speaker
        else:
            await asyncio.wait([looked], timeout=SPEAKER_WAIT_S)
            spans = list(self._voices.spans)
            main = self._voices.main_speaker
        parts = parts_of(spans) if looked is not None else spans
        if text and len({part.speaker for part in parts}) > 1:
            pcm = bytes(self.pcm)
            return await share_out(self._recognizer, self._language, text, words, parts, pcm), main
        return one_segment(text, spans, main, round(self.audio_ms)), main

    def _timed(self, transcript: Transcript) -> tuple[HeardWord, ...]:
        """The words by the turn's own time."""
        return tuple(
            HeardWord(
                word.text,
                max(0, word.start_ms - self._lead_ms),
                max(0, word.end_ms - self._lead_ms),
                word.speaker,
            )
            for word in transcript.words
        )

    def _on_partial(self, text: str) -> None:
        self._partial = text
        self._words = text or self._words
        self._tell_partial()

    def _tell_partial(self) -> None:
        if self.turn is not None and self._partial:
            speaker = None if self._voices is None else self._voices.speaker
            self._post(PartialHeard(self.turn, self._partial, speaker))

    def close(self) -> None:
        for task in self._finals:
            task.cancel()
        self._stream.close()
        if self._voices is not None:
            self._voices.close()
