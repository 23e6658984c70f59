"""What a session would have become by carrying out the actions of turn-taking, as ``TurnRules`` follows it."""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.core.actions import State
from antiphon.core.settings import TurnSettings
from antiphon.ids import ReplyId, TurnId


class RuleBrokenError(AssertionError):
    """A rule of turn-taking does not hold."""


@dataclass(slots=True)
class OpenedTurn:
    """A turn between its OpenTurn and its CommitTurn or DropTurn."""

    id: TurnId
    at_ms: int
    revision: int = 0
    """Of the last Transcribe."""
    answered: int = 0
    """The revision of the last final that came."""
    text: str | None = None
    told: bool = False
    """The client heard that it began, and not yet that it ended."""


@dataclass(slots=True)
class LiveReply:
    id: ReplyId
    side: bool = False
    audible: bool = False
    made: bool = False


@dataclass(slots=True)
class Prepared:
    id: ReplyId
    turn: TurnId
    void: bool = False
    """The user went on after it was prepared: it may only be discarded."""
    confirmed: bool = False
    """Its turn was committed; if a listening brain has prepared it, with all its words known."""


def need(holds: bool, rule: str) -> None:
    if not holds:
        raise RuleBrokenError(rule)


@dataclass(slots=True)
class FollowedTurns:
    """The facts of one session."""

    settings: TurnSettings
    turn: OpenedTurn | None = None
    speaking: bool = False
    """As the edges in the events have it."""
    prepared: Prepared | None = None
    main: LiveReply | None = None
    side: dict[ReplyId, LiveReply] = field(default_factory=dict)
    wished: ReplyId | None = None
    """What a listening brain wants to say, and nothing was done about yet."""
    refused: ReplyId | None = None
    """What it wanted to say beyond that."""
    held: ReplyId | None = None
    """The reply whose playout is paused."""
    over: set[ReplyId] = field(default_factory=set)
    """Replies that have had their end."""
    turns_over: set[TurnId] = field(default_factory=set)
    unanswered: set[tuple[TurnId, int]] = field(default_factory=set)
    """Finals that were asked for and did not come yet."""
    closed: bool = False
    shown: State = State.IDLE
    now: float = 0.0
