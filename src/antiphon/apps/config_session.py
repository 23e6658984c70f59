"""What a session begins with: the section ``session`` of the configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from antiphon.core.barge_in import BargeInPolicy
from antiphon.core.settings import DEFAULT_MAX_WORDS, Detection, SpeechSettings, TurnSettings

_TURN = TurnSettings()
_SPEECH = SpeechSettings()


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TurnDetection(Section):
    """Who decides that the user's turn is over, unless the client says otherwise."""

    type: Literal["server_vad", "semantic_vad", "manual"] = "server_vad"
    """A fixed silence, a silence whose length depends on the words, or the client's own commit."""
    threshold: float = Field(default=_TURN.threshold, ge=0, le=1)
    """The probability of speech from which a sound counts as speech."""
    prefix_padding_ms: int = Field(default=_TURN.prefix_padding_ms, ge=0, le=5_000)
    """How much audio before the speech belongs to the turn."""
    silence_duration_ms: int = Field(default=_TURN.silence_duration_ms, ge=0, le=10_000)
    """The silence that ends a turn, for `server_vad`."""
    idle_timeout_ms: int | None = Field(default=_TURN.idle_timeout_ms, ge=1_000, le=600_000)
    """After so much silence the agent speaks up by itself, for `server_vad`."""
    eagerness: Literal["low", "medium", "high", "auto"] = _TURN.eagerness
    """How soon to answer, for `semantic_vad`."""
    create_response: bool = _TURN.create_response
    """Answer at the end of each turn."""
    interrupt_response: bool = _TURN.interrupt_response
    """Let speech interrupt a reply."""
    prepare_after_ms: int = Field(default=_TURN.prepare_after_ms, ge=0, le=10_000)
    """How much of the end-of-turn silence must have passed before a reply is prepared."""
    wished_silence_ms: int = Field(default=_TURN.wished_silence_ms, ge=0, le=10_000)
    """The silence that ends a turn to which a listening model has something to say."""


class Speech(Section):
    """How the text of an answer is handed to the voice."""

    words_trigger_threshold: int = Field(default=_SPEECH.words_trigger_threshold, ge=1, le=8)
    """An answer begins with so many words, where the voice takes words."""
    word_start: Literal["auto", "always", "never"] = _SPEECH.word_start
    """Which voices take words: those that say so of themselves, all, or none, which begin with a clause."""
    piece_chars: int = Field(default=_SPEECH.piece_chars, ge=0, le=400)
    """Pieces grow up to so many characters while audio waits to be played; with 0 each clause is a piece."""
    clauses_at_once: int = Field(default=_SPEECH.clauses_at_once, ge=1, le=3)
    """So many clauses at most are spoken at a time, where the voice would be late otherwise."""


class Context(Section):
    """What the language model is given of a long conversation."""

    budget_tokens: int = Field(default=3000, ge=0, le=10_000_000)
    """About how many tokens of the conversation it is given; what is older stands in notes that it makes itself. The
    instructions and the functions come on top, and many local servers give a model no more than 4096 in all. 0 gives it
    everything."""
    listening_words: int = Field(default=DEFAULT_MAX_WORDS, ge=100, le=1_000_000)
    """How many words of the conversation a listening model keeps, of what it heard, thought and said; when there are
    more, the older half is forgotten. 3000 are some 4000 tokens."""


class SessionDefaults(Section):
    """What a session begins with. A client's own settings go before these."""

    voice: str | None = None
    """The voice that speaks, by its name or as `engine:voice`; the first that is offered when it is not set."""
    instructions: str = ""
    """What the language model is told to be."""
    max_output_tokens: PositiveInt | Literal["inf"] = 250
    """How long an answer may become, with what the model thinks before it; `inf` sets no limit."""
    turn_detection: TurnDetection = TurnDetection()
    barge_in: BargeInPolicy = BargeInPolicy()
    """What to do with a reply while the user makes a sound over it."""
    speech: Speech = Speech()

    def turn_settings(self) -> TurnSettings:
        """The turn-taking of these defaults as the core reads it."""
        fields = self.turn_detection.model_dump(exclude={"type"})
        return TurnSettings(detection=Detection(self.turn_detection.type), barge_in=self.barge_in, **fields)

    def speech_settings(self) -> SpeechSettings:
        return SpeechSettings(**self.speech.model_dump())
