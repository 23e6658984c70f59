"""What a session is set to: plain values that the core can read. Built by the transports from their wire forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from antiphon.core.barge_in import BargeInPolicy
from antiphon.core.waitk import DEFAULT_K, DEFAULT_LEAD_WORDS

DEFAULT_MAX_WORDS = 3000
"""Of a listening brain's context: some 4000 tokens."""


class Detection(Enum):
    """Who decides that the user's turn has ended."""

    MANUAL = "manual"
    """The client, by a commit."""
    SERVER = "server_vad"
    """A fixed silence."""
    SEMANTIC = "semantic_vad"
    """A silence whose length depends on whether the words sound complete."""


class Answers(Enum):
    """What brings a reply about."""

    TURN = "turn"
    """The end of the user's turn."""
    LISTENING = "listening"
    """The brain, which reads the words as they come, and speaks when it wants to."""


@dataclass(frozen=True, slots=True)
class TurnSettings:
    """All that turn-taking depends on."""

    detection: Detection = Detection.SERVER
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 200
    idle_timeout_ms: int | None = None
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    create_response: bool = True
    interrupt_response: bool = True
    paced: bool = False
    """The server sends frames on its own clock, so a reply can be held and resumed from the exact sample."""
    prepare_after_ms: int = 100
    """How much of the end-of-turn silence must have passed before a reply is prepared."""
    hears_audio: bool = False
    """The brain takes what the user said as audio, so an answer waits for no words. The session knows it by itself."""
    barge_in: BargeInPolicy = field(default_factory=BargeInPolicy)
    answers: Answers = Answers.TURN
    wished_silence_ms: int = 200
    """So much silence ends the turn when a listening brain, which knows all its words, has something to say."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the client offers. ``parameters`` is a JSON Schema object."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """How the text of replies is handed to the voice."""

    words_trigger_threshold: int = 2
    """After so many words the first piece is handed over, where the voice takes words (``VoiceInfo.takes_words``)."""
    word_start: Literal["auto", "always", "never"] = "auto"
    """``always``: any voice is taken to take words; ``never``: none. Else a reply begins with its first clause."""
    piece_chars: int = 140
    """Pieces grow up to so many characters while audio waits to be played; with 0 each clause is a piece."""
    clauses_at_once: int = 3
    """So many clauses at most are spoken at a time, where the voice would be late otherwise."""


@dataclass(frozen=True, slots=True)
class ReplySettings:
    """All that one reply depends on. A response's own overrides are merged in by the transport."""

    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    """``auto``, ``none``, ``required``, or the name of the one function to call as ``function:NAME``."""
    audio: bool = True
    """Speak the reply; otherwise it is text."""
    voice: str = "default"
    speed: float = 1.0
    max_output_tokens: int | None = None
    model: str = ""
    """Which of several language models answers, by the name that clients know; empty for the default."""
    whole_context: bool = False
    """Give it the whole conversation, however long that is."""
    speech: SpeechSettings = field(default_factory=SpeechSettings)


@dataclass(frozen=True, slots=True)
class ListeningSettings:
    """How a brain listens, where ``TurnSettings.answers`` says that it does."""

    wait_k: int = DEFAULT_K
    """It may write its first word when it has read so many, and each further one a word later."""
    lead_words: int = DEFAULT_LEAD_WORDS
    """While the user speaks it writes no more than so many words on end."""
    speak_tool: bool = False
    """Only what it says by the tool ``speak`` is public; otherwise all that it writes."""
    thoughts: bool = False
    """The client is shown what is private."""
    max_words: int = DEFAULT_MAX_WORDS
    """The longest context; when there is more the older half is forgotten."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    turn: TurnSettings = field(default_factory=TurnSettings)
    reply: ReplySettings = field(default_factory=ReplySettings)
    listening: ListeningSettings = field(default_factory=ListeningSettings)
    transcription: bool = False
    """Tell the client what the recognizer heard."""
    language: str | None = None
    agent: str = ""
    """Which of the server's agents serves the session; none where it is empty."""
