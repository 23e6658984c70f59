"""What can happen to a conversation. Frozen values; the only way in to ``core.turns``.

``*_ms`` fields count media time: milliseconds of the user's audio since the session began.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from antiphon.core.settings import TurnSettings
from antiphon.ids import ReplyId, TurnId


class Outcome(Enum):
    """How the making of a reply ended."""

    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    """It reached ``max_output_tokens``."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The VAD's edge from silence to speech."""

    at_ms: int
    """Where the speech began."""
    position_ms: int
    """How much audio had been heard when the edge was seen."""


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """The VAD's edge from speech to silence. Whether the turn is over is not its business."""

    at_ms: int
    """Where the speech ended."""
    position_ms: int


@dataclass(frozen=True, slots=True)
class PartialHeard:
    """The recognizer's guess while the user speaks."""

    turn: TurnId
    text: str
    speaker: str | None = None
    """Who speaks now, as far as that is known."""


@dataclass(frozen=True, slots=True)
class FinalHeard:
    """The recognizer's last word on all audio up to revision ``revision`` of the turn.

    ``text`` is None when it failed.
    """

    turn: TurnId
    revision: int
    text: str | None
    speaker: str | None = None
    """Who said it: of several, the one who spoke longest."""


@dataclass(frozen=True, slots=True)
class BufferCommitted:
    """The client says that the user's turn is over. The audio that is not committed yet spans the two times."""

    start_ms: int
    position_ms: int


@dataclass(frozen=True, slots=True)
class BufferCleared:
    """The client takes back the audio that is not committed yet."""


@dataclass(frozen=True, slots=True)
class ReplyRequested:
    """The client asks for a reply. ``side`` ones stand outside the conversation and may run beside another."""

    reply: ReplyId
    side: bool = False
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """The client cancels a reply: the one named, else the current one."""

    reply: ReplyId | None = None
    client_event_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReplyAudible:
    """The first sample of the reply has left."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class ReplyMade:
    """Nothing more will be produced for the reply; what it has may still be playing."""

    reply: ReplyId
    outcome: Outcome
    audible: bool
    """It has, or had, something to play."""


@dataclass(frozen=True, slots=True)
class PlayoutDrained:
    """The last sample of a reply that is made has been played."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class BrainSpeaks:
    """A listening brain has something to say, as a reply of this name."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class BrainStops:
    """It takes that back, however far it has come."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class Configured:
    """The settings of turn-taking, from now on."""

    settings: TurnSettings


@dataclass(frozen=True, slots=True)
class Timeout:
    """The deadline has come."""

    position_ms: int = 0
    """How much audio had been heard by then."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The session is over. Nothing may follow."""


Event = (
    SpeechStarted
    | SpeechPaused
    | PartialHeard
    | FinalHeard
    | BufferCommitted
    | BufferCleared
    | ReplyRequested
    | CancelRequested
    | ReplyAudible
    | ReplyMade
    | PlayoutDrained
    | BrainSpeaks
    | BrainStops
    | Configured
    | Timeout
    | Closed
)
