"""What ``core.turns`` asks for. Frozen values, applied in order by the session's one loop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from antiphon.ids import ReplyId, TurnId


class State(Enum):
    """The public state of a conversation."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    BARGED_IN = "barged_in"


class CancelReason(Enum):
    TURN_DETECTED = "turn_detected"
    """The user took the floor."""
    CLIENT_CANCELLED = "client_cancelled"
    BRAIN_STOPPED = "brain_stopped"
    """A listening brain has stopped itself."""
    CLOSED = "closed"
    """The session ended under it."""


@dataclass(frozen=True, slots=True)
class ShowState:
    state: State


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Begin to recognize the user's audio from ``at_ms`` on, as one turn."""

    turn: TurnId
    at_ms: int


@dataclass(frozen=True, slots=True)
class TellSpeechStarted:
    turn: TurnId
    at_ms: int


@dataclass(frozen=True, slots=True)
class TellSpeechStopped:
    turn: TurnId
    at_ms: int


@dataclass(frozen=True, slots=True)
class Transcribe:
    """Ask the recognizer for its final of the turn so far. It answers with ``FinalHeard(turn, revision)``."""

    turn: TurnId
    revision: int


@dataclass(frozen=True, slots=True)
class DropTurn:
    """The sound was not a turn: forget its audio and its words."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class CommitTurn:
    """The turn is over and becomes an item of the conversation."""

    turn: TurnId
    end_ms: int


@dataclass(frozen=True, slots=True)
class TellTimeout:
    """Nobody spoke for ``idle_timeout_ms`` after the last reply."""

    turn: TurnId
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class PrepareReply:
    """Work ahead: make a reply to the turn as heard so far. Nothing of it may be heard, shown or done yet.

    A listening brain may have it made while the user speaks.
    """

    reply: ReplyId
    turn: TurnId


@dataclass(frozen=True, slots=True)
class DiscardReply:
    """Throw away whole a reply that was prepared, or that a listening brain wanted to give."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class StartReply:
    """Answer now. ``prepared``: the reply was prepared under this id and its work is let out."""

    reply: ReplyId
    prepared: bool = False
    side: bool = False


@dataclass(frozen=True, slots=True)
class PausePlayout:
    """Send no further frame of the reply, and keep its work going."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class ResumePlayout:
    """Go on from the sample at which it was paused."""

    reply: ReplyId


@dataclass(frozen=True, slots=True)
class CancelReply:
    """End the reply now; the conversation keeps what was heard of it.

    It may be made and told already, and only its playout be left to stop.
    """

    reply: ReplyId
    reason: CancelReason


@dataclass(frozen=True, slots=True)
class Refuse:
    """Tell the client that what it asked for cannot be done in this state."""

    code: str
    message: str
    client_event_id: str | None = None


Action = (
    ShowState
    | OpenTurn
    | TellSpeechStarted
    | TellSpeechStopped
    | Transcribe
    | DropTurn
    | CommitTurn
    | TellTimeout
    | PrepareReply
    | DiscardReply
    | StartReply
    | PausePlayout
    | ResumePlayout
    | CancelReply
    | Refuse
)
