"""The facts that turn-taking is decided by: who speaks, who is to answer, how far the answer has come.

``Floor`` has them all. What follows from them are its properties and times; what changes them are its moves, each of
which says what is to be done about it. Which move is made, and when, is decided in ``core.turns``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from antiphon.core import actions as do
from antiphon.core.actions import Action, State
from antiphon.core.barge_in import BargeInPolicy, Evidence
from antiphon.core.endpointing import silence_needed_ms
from antiphon.core.settings import Answers, Detection, TurnSettings
from antiphon.ids import IdSource, ReplyId, TurnId

_MS = 1000.0


def passed(time: float | None, now: float) -> bool:
    """Whether a time has come, with a microsecond's grace for the arithmetic of floats; None never comes."""
    return time is not None and now >= time - 1e-6


@dataclass(slots=True)
class Turn:
    """The user's turn that is being heard. It is not committed yet."""

    id: TurnId
    started_ms: int
    text: str | None = None
    """The words so far."""
    revision: int = 0
    """Counts the pauses: a final that was asked for at an earlier one is out of date."""
    paused_ms: int | None = None
    """Media time at which the user fell silent; None while speaking."""
    paused_at: float = 0.0
    """The same on the clock."""
    final_revision: int = 0
    """The pause whose final ``text`` is."""
    lost: bool = False
    """The recognizer failed: what it says is not known."""
    announced: bool = False
    """The client knows of it."""

    @property
    def quiet(self) -> bool:
        return self.paused_ms is not None

    @property
    def final(self) -> bool:
        """``text`` is the recognizer's last word on the turn as it stands."""
        return self.quiet and self.final_revision == self.revision

    def answerable(self, settings: TurnSettings) -> bool:
        """An answer could begin: its words are there, or the brain hears it and nobody says that there are none."""
        heard = settings.hears_audio and (self.text is None or not self.final)
        return self.quiet and (heard or (self.final and bool(self.text)))

    def ends_at(self, settings: TurnSettings) -> float | None:
        """When the silence will have lasted long enough; None while speaking, and where the client decides."""
        if not self.quiet or settings.detection is Detection.MANUAL:
            return None
        return self.paused_at + silence_needed_ms(settings, self.text) / _MS


class Phase(Enum):
    """How far the reply has come: being made or made, silent or audible."""

    MAKING = auto()
    MADE = auto()
    SOUNDING = auto()
    ENDING = auto()


@dataclass(slots=True)
class Reply:
    id: ReplyId
    phase: Phase = Phase.MAKING
    held_at: float | None = None
    """Since when its playout is paused."""

    @property
    def audible(self) -> bool:
        return self.phase in (Phase.SOUNDING, Phase.ENDING)

    def evidence(self, turn: Turn, now: float) -> Evidence:
        """What is known of the sound that has paused it."""
        return Evidence(
            speaking=not turn.quiet,
            held_ms=0.0 if self.held_at is None else _ms_between(self.held_at, now),
            quiet_ms=_ms_between(turn.paused_at, now) if turn.quiet else 0.0,
            text=turn.text,
            final=turn.final,
        )

    def judged_at(self, turn: Turn, policy: BargeInPolicy, now: float) -> float | None:
        """When time alone may change the verdict on the sound; None if it is not paused."""
        if self.held_at is None:
            return None
        if turn.quiet:
            return turn.paused_at + policy.resume_after_ms / _MS
        held_at = self.held_at
        times = [held_at + ms / _MS for ms in (policy.cancel_after_ms, policy.hold_backchannel_ms)]
        return min((time for time in times if not passed(time, now)), default=None)


@dataclass(slots=True)
class Owed:
    """A committed turn that has no reply yet: its words are still to come, or somebody has the floor."""

    revision: int
    heard: bool
    """No more of its words will come."""


@dataclass(slots=True)
class Floor:
    """The facts of one conversation at ``now`` (monotonic s), and the actions that the moves have asked for so far."""

    settings: TurnSettings
    ids: IdSource
    now: float = 0.0
    turn: Turn | None = None
    reply: Reply | None = None
    prepared: ReplyId | None = None
    wished: ReplyId | None = None
    """What a listening brain wants to say as soon as there is room for it."""
    owed: dict[TurnId, Owed] = field(default_factory=dict)
    side: dict[ReplyId, None] = field(default_factory=dict)
    last_reply: ReplyId | None = None
    idle_since: float | None = None
    actions: list[Action] = field(default_factory=list)

    # What follows from the facts.

    @property
    def state(self) -> State:
        """The public state."""
        if self.held is not None:
            return State.BARGED_IN
        if self.reply is not None:
            return State.SPEAKING if self.reply.audible else State.THINKING
        if self.turn is not None:
            return State.LISTENING
        return State.THINKING if self.owed else State.IDLE

    @property
    def held(self) -> Reply | None:
        """The reply whose playout the user's sound has paused."""
        return self.reply if self.reply is not None and self.reply.held_at is not None else None

    @property
    def live_for_client(self) -> Reply | None:
        """The reply that the client takes for live: one that was sent in a burst is over when it is made."""
        reply = self.reply
        return reply if reply is not None and (self.settings.paced or reply.phase is not Phase.ENDING) else None

    @property
    def brain_may_speak(self) -> bool:
        """By itself, without a turn that asks for it."""
        settings = self.settings
        listens = settings.answers is Answers.LISTENING and settings.detection is not Detection.MANUAL
        return listens and settings.create_response

    def turn_ends_at(self) -> float | None:
        """When the user's silence will have been long enough."""
        turn = self.turn
        if turn is None or self.held is not None:
            return None
        ends_at = turn.ends_at(self.settings)
        if ends_at is not None and turn.final and self.prepared is not None and self.brain_may_speak:
            ends_at = min(ends_at, turn.paused_at + self.settings.wished_silence_ms / _MS)
        return ends_at

    def prepares_at(self) -> float | None:
        """When so much of the silence has passed that a reply is worth preparing; None if none may be."""
        turn, settings = self.turn, self.settings
        if turn is None or self.reply is not None or self.prepared is not None or not turn.answerable(settings):
            return None
        if settings.answers is not Answers.TURN or not settings.create_response:
            return None
        return None if settings.detection is Detection.MANUAL else turn.paused_at + settings.prepare_after_ms / _MS

    def idle_at(self) -> float | None:
        """When nobody will have spoken for so long that the agent does."""
        settings = self.settings
        if self.idle_since is None or settings.idle_timeout_ms is None or settings.detection is not Detection.SERVER:
            return None
        return self.idle_since + settings.idle_timeout_ms / _MS

    def deadline(self) -> float | None:
        """When time alone will change something; None if nothing is awaited. May lie in the past."""
        times = [self.turn_ends_at(), self.prepares_at(), self.idle_at()]
        if self.reply is not None and self.turn is not None:
            times.append(self.reply.judged_at(self.turn, self.settings.barge_in, self.now))
        return min((time for time in times if time is not None), default=None)

    # The moves.

    def emit(self, action: Action) -> None:
        self.actions.append(action)

    def open_turn(self, at_ms: int) -> Turn:
        self.turn = Turn(self.ids.turn(), at_ms)
        self.emit(do.OpenTurn(self.turn.id, at_ms))
        return self.turn

    def announce(self) -> None:
        """Tells the client of the turn, once."""
        if self.turn is not None and not self.turn.announced:
            self.turn.announced = True
            self.emit(do.TellSpeechStarted(self.turn.id, self.turn.started_ms))

    def ask_for_final(self, turn: Turn) -> None:
        turn.revision += 1
        self.emit(do.Transcribe(turn.id, turn.revision))

    def commit(self, turn: Turn, end_ms: int) -> None:
        self.turn = None
        if turn.announced:
            self.emit(do.TellSpeechStopped(turn.id, end_ms))
        self.emit(do.CommitTurn(turn.id, end_ms))

    def drop_turn(self) -> None:
        """The sound was no turn, or the client took it back."""
        turn, self.turn = self.turn, None
        if turn is None:
            return
        self.discard()
        if turn.announced:
            self.emit(do.TellSpeechStopped(turn.id, turn.started_ms if turn.paused_ms is None else turn.paused_ms))
        self.emit(do.DropTurn(turn.id))
        self.resume()

    def start(self, reply: ReplyId, *, prepared: bool = False) -> None:
        self.reply = Reply(reply)
        self.last_reply = reply
        self.owed.clear()
        self.emit(do.StartReply(reply, prepared=prepared))

    def hold(self, reply: Reply) -> None:
        reply.held_at = self.now
        self.emit(do.PausePlayout(reply.id))

    def resume(self) -> None:
        """Lets the reply that is held go on."""
        if (reply := self.held) is not None:
            reply.held_at = None
            self.emit(do.ResumePlayout(reply.id))

    def give_way(self, reply: Reply) -> None:
        """The user has taken the floor from it."""
        self.announce()
        self.emit(do.CancelReply(reply.id, do.CancelReason.TURN_DETECTED))
        self.reply = None
        self.refuse_wish()

    def end_reply(self) -> None:
        held, self.reply = self.held, None
        if held is not None:
            self.announce()  # whoever made the sound has the floor now

    def discard(self) -> None:
        """What was prepared is void."""
        prepared, self.prepared = self.prepared, None
        if prepared is not None:
            self.emit(do.DiscardReply(prepared))

    def refuse_wish(self) -> None:
        wished, self.wished = self.wished, None
        if wished is not None:
            self.emit(do.DiscardReply(wished))


def _ms_between(start: float, now: float) -> float:
    return round((now - start) * _MS, 3)
