"""What the replies of one session are spoken by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from antiphon.core.clauses import Clauses, ClauseSettings
from antiphon.core.settings import ReplySettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import Voice
from antiphon.core.voice_pace import VoicePace
from antiphon.engines.base import Synthesizer

_OPENING_WORDS = 10
"""A reply that begins with some words alone goes on in short clauses until so many were said."""


@dataclass(frozen=True, slots=True)
class SpeechSource:
    """``room_ahead`` is asked how much the server has room for at the moment."""

    synthesizer: Synthesizer
    room_ahead: Callable[[], Ahead]
    _paces: dict[Voice, VoicePace] = field(default_factory=dict)

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
