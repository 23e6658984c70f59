"""What the replies of one session are spoken by: its synthesizer, and what is remembered of what was said before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core.clauses import Clauses, ClauseSettings
from antiphon.core.settings import ReplySettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import AudioChunk, Voice
from antiphon.core.speech_memory import SpeechMemory, key_of
from antiphon.core.voice_pace import VoicePace
from antiphon.engines.base import Synthesizer

_OPENING_WORDS = 10
"""A reply that begins with some words alone goes on in short clauses until so many were said."""


@dataclass(frozen=True, slots=True)
class SpeechSource:
    """``room_ahead`` is asked how much the server has room for at the moment. ``fixed``: all that it says is known
    beforehand, as a greeting is.
    """

    synthesizer: Synthesizer
    room_ahead: Callable[[], Ahead]
    memory: SpeechMemory
    fixed: bool = False
    _paces: dict[Voice, VoicePace] = field(default_factory=dict)

    def for_fixed_texts(self) -> SpeechSource:
        return replace(self, fixed=True)

    def pace(self, voice: Voice) -> VoicePace:
        """How quickly the voice is, as far as this session knows it."""
        return self._paces.setdefault(voice, VoicePace())

    def clauses(self, settings: ReplySettings) -> Clauses:
        """Cuts a text as its voice wants it: figures and symbols are read in its language, and it may take words."""
        voices, speech = self.synthesizer.voices, settings.speech
        voice = next((voice for voice in voices if voice.name == settings.voice), voices[0])
        if speech.word_start == "never" or (speech.word_start == "auto" and not voice.takes_words):
            return Clauses(language=voice.language)
        words = speech.words_trigger_threshold
        limits = ClauseSettings(first_min_words=min(words, 2), first_max_words=words, opening_words=_OPENING_WORDS)
        return Clauses(limits, voice.language)

    async def speak(self, text: AsyncIterator[str], voice: Voice, *, opening: bool) -> AsyncGenerator[AudioChunk]:
        """As ``Synthesizer.speak``; what is remembered comes from memory, bit by bit as it was.

        ``opening``: the first piece begins a reply. Of all others only fixed ones are remembered.
        """
        segment, piece = 0, await anext(text, None)
        while piece is not None:
            key = self._key(piece, voice) if opening or self.fixed else None
            opening = False
            if key is not None and (known := self.memory.find(key)) is not None:
                for chunk in known:
                    yield replace(chunk, segment=segment)
                segment, piece = segment + 1, await anext(text, None)
                continue
            run = _Run(self, piece, key, text, voice)
            async with aclosing(run.chunks()) as chunks:
                async for chunk in chunks:
                    yield replace(chunk, segment=segment + chunk.segment)
            segment, piece = segment + run.pieces, run.next_piece

    def _key(self, piece: str, voice: Voice) -> bytes | None:
        """None for a voice that is not there: another one speaks in its place."""
        info = next((info for info in self.synthesizer.voices if info.name == voice.name), None)
        return None if info is None else key_of(voice.name, info.version, voice.speed, piece)


class _Run:
    """Pieces that are not known, one after the other, up to one that is."""

    def __init__(
        self, source: SpeechSource, piece: str, key: bytes | None, more: AsyncIterator[str], voice: Voice
    ) -> None:
        self.pieces = 0
        self.next_piece: str | None = None
        """The one that is known."""
        self._source = source
        self._piece, self._key = piece, key
        self._more = more
        self._voice = voice
        self._loop = asyncio.get_running_loop()
        self._handed_at = 0.0
        self._keeping: dict[int, tuple[bytes, list[AudioChunk]]] = {}

    async def _text(self) -> AsyncGenerator[str]:
        piece: str | None = self._piece
        key = self._key
        while piece is not None:
            if key is not None and self._source.memory.is_worth_keeping(key, fixed=self._source.fixed):
                self._keeping[self.pieces] = (key, [])
            self.pieces += 1
            self._handed_at = self._loop.time()
            yield piece
            piece = await anext(self._more, None)
            key = self._source._key(piece, self._voice) if piece is not None and self._source.fixed else None
            if key is not None and self._source.memory.find(key) is not None:
                self.next_piece = piece
                return

    async def chunks(self) -> AsyncGenerator[AudioChunk]:
        pace = self._source.pace(self._voice)
        pace.start_over()
        asked_at = self._loop.time()
        async with (
            aclosing(self._text()) as text,
            aclosing(self._source.synthesizer.speak(text, self._voice)) as chunks,
        ):
            async for chunk in chunks:
                waited_s = self._loop.time() - max(asked_at, self._handed_at)
                pace.took(waited_s, len(chunk.pcm) / 2 / MOUTH_RATE_HZ, last=chunk.last)
                self._keep(chunk)
                yield chunk
                asked_at = self._loop.time()

    def _keep(self, chunk: AudioChunk) -> None:
        if chunk.segment not in self._keeping:
            return
        key, kept = self._keeping[chunk.segment]
        kept.append(replace(chunk, segment=0))
        if chunk.last:
            self._source.memory.keep(key, tuple(kept))
            del self._keeping[chunk.segment]
