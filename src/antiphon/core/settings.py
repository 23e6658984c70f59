"""What a session is set to: plain values that the core can read. Built by the transports from their wire forms."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

from antiphon.core.barge_in import BargeInPolicy


class Detection(Enum):
    """Who decides that the user's turn has ended."""

    MANUAL = "manual"
    """The client, by a commit."""
    SERVER = "server_vad"
    """A fixed silence."""
    SEMANTIC = "semantic_vad"
    """A silence whose length depends on whether the words sound complete."""


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
    speech: SpeechSettings = field(default_factory=SpeechSettings)


@dataclass(frozen=True, slots=True)
class SessionSettings:
    turn: TurnSettings = field(default_factory=TurnSettings)
    reply: ReplySettings = field(default_factory=ReplySettings)
    transcription: bool = False
    """Tell the client what the recognizer heard."""
    language: str | None = None
    agent: str = ""
    """Which of the server's agents serves the session; none where it is empty."""
