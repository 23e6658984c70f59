"""Turn-taking: who has the floor. The one decider of a conversation.

``Turns.handle`` takes one event and the time, and returns actions; ``deadline`` is the one time at which it wants to be
woken. What an event may do in which state is ``TABLE``; what follows from the facts then known is ``Turns._settle``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.barge_in import Verdict, judge
from antiphon.core.endpointing import silence_needed_ms
from antiphon.core.events import Event
from antiphon.core.floor import Owed, Phase, Reply, Turn, passed
from antiphon.core.settings import Answers, Detection, TurnSettings
from antiphon.errors import IllegalEventError
from antiphon.ids import IdSource, ReplyId, TurnId

ALREADY_ACTIVE = (
    "conversation_already_has_active_response",
    "Conversation already has an active response in progress. Wait until it is done.",
)
NOT_ACTIVE = ("response_cancel_not_active", "Cancellation failed: no active response found")
"""Codes and messages that clients match to the letter."""

_MS = 1000.0


class Turns:
    """The turn-taking of one conversation. Pure: it is told the time, in monotonic seconds that never go back.

    ``handle`` raises IllegalEventError for an event that cannot happen in the state, which is a defect of the caller.
    Events that name a turn or a reply which is gone are stragglers, and ignored.
    """

    def __init__(self, settings: TurnSettings, ids: IdSource) -> None:
        self._settings = settings
        self._ids = ids
        self._turn: Turn | None = None
        self._prepared: ReplyId | None = None
        self._wished: ReplyId | None = None
        """What a listening brain wants to say as soon as there is room for it."""
        self._owed: dict[TurnId, Owed] = {}
        self._reply: Reply | None = None
        self._side: dict[ReplyId, None] = {}
        self._last_reply: ReplyId | None = None
        self._idle_since: float | None = None
        self._closed = False
        self._shown = State.IDLE
        self._now = 0.0
        self._out: list[Action] = []

    @property
    def state(self) -> State:
        """The public state, which follows from the facts."""
        if self._reply is not None:
            if self._reply.held_at is not None:
                return State.BARGED_IN
            return State.SPEAKING if self._reply.audible else State.THINKING
        if self._turn is not None:
            return State.LISTENING
        return State.THINKING if self._owed else State.IDLE

    def handle(self, event: Event, now: float) -> list[Action]:
        """Takes one event at time ``now`` (s), returns what to do, in order."""
        if self._closed:
            raise IllegalEventError(f"{type(event).__name__} after the session was closed")
        handler = TABLE[type(event)].get(self.state)
        if handler is None:
            raise IllegalEventError(f"{type(event).__name__} cannot happen while {self.state.value}")
        self._now = now
        self._out = []
        handler(self, event)
        self._settle()
        if self.state is not self._shown:
            self._shown = self.state
            self._emit(do.ShowState(self._shown))
        return self._out

    def deadline(self) -> float | None:
        """When to send ``Timeout``, in s; None if nothing is awaited. May lie in the past."""
        times = [self._turn_ends_at(), self._idle_at()]
        if (turn := self._turn) is not None:
            if self._reply is not None:
                times.append(self._reply.judged_at(turn, self._settings.barge_in, self._now))
            if self._may_prepare():
                times.append(turn.prepared_at(self._settings))
        return min((time for time in times if time is not None), default=None)

    def _emit(self, action: Action) -> None:
        self._out.append(action)

    # What the user does.

    def _user_begins(self, event: on.SpeechStarted) -> None:
        """If a reply is owed, it answers this turn too, once it is over."""
        self._open_turn(event)
        self._announce()

    def _user_goes_on(self, event: on.SpeechStarted) -> None:
        turn = self._turn
        if turn is None:
            return  # the client's settings or its commit came between the two edges
        if turn.paused_ms is None:
            self._discard()  # as before; a listening brain may have prepared something in mid-speech
            return
        long_enough = event.at_ms - turn.paused_ms >= silence_needed_ms(self._settings, turn.text)
        if long_enough and self.state is State.LISTENING:
            self._end_turn()  # in media time it was over; audio that comes in one piece outruns the clock
            self._user_speaks_over(event)
        else:
            self._go_on(turn)

    def _user_speaks_over(self, event: on.SpeechStarted) -> None:
        """Over a reply that is being made or played."""
        reply = self._reply
        if self._turn is not None:
            self._user_goes_on(event)
        elif reply is None or not self._settings.interrupt_response:
            self._user_begins(event)
        elif self._settings.paced:
            self._open_turn(event)
            reply.held_at = self._now
            self._emit(do.PausePlayout(reply.id))
        else:
            self._open_turn(event)
            self._take_floor(reply)

    def _open_turn(self, event: on.SpeechStarted) -> None:
        self._turn = Turn(self._ids.turn(), event.at_ms)
        self._emit(do.OpenTurn(self._turn.id, event.at_ms))

    def _go_on(self, turn: Turn) -> None:
        """The pause was not the end of the turn: what was prepared in it is void."""
        turn.paused_ms = None
        self._discard()

    def _speech_paused(self, event: on.SpeechPaused) -> None:
        turn = self._turn
        if turn is None or turn.paused_ms is not None:
            return  # the turn was committed or cleared in mid-speech
        turn.paused_ms = event.at_ms
        turn.paused_at = self._now - max(0, event.position_ms - event.at_ms) / _MS
        turn.revision += 1
        self._emit(do.Transcribe(turn.id, turn.revision))

    def _partial_heard(self, event: on.PartialHeard) -> None:
        turn = self._turn
        if turn is not None and turn.id == event.turn and not turn.final:
            turn.text = event.text

    def _final_heard(self, event: on.FinalHeard) -> None:
        owed, turn = self._owed.get(event.turn), self._turn
        heard = event.text is None and self._settings.hears_audio  # by the brain, whatever ails the recognizer
        if owed is not None and owed.revision == event.revision:
            if event.text or heard:
                owed.heard = True
            else:
                del self._owed[event.turn]  # a sound without words needs no answer
        elif turn is not None and turn.quiet and (turn.id, turn.revision) == (event.turn, event.revision):
            turn.text, turn.final_revision = turn.text if heard else event.text or "", event.revision

    def _announce(self) -> None:
        if self._turn is not None and not self._turn.announced:
            self._turn.announced = True
            self._emit(do.TellSpeechStarted(self._turn.id, self._turn.started_ms))

    def _buffer_committed(self, event: on.BufferCommitted) -> None:
        """The client ends the turn itself. A commit never starts a reply."""
        if self._turn is None:
            self._turn = Turn(self._ids.turn(), event.start_ms)
            self._emit(do.OpenTurn(self._turn.id, event.start_ms))
        if self._reply is not None and self._reply.held_at is not None:
            self._take_floor(self._reply)
        turn = self._turn
        if not turn.final:
            turn.revision += 1
            self._emit(do.Transcribe(turn.id, turn.revision))
        self._commit(turn, event.position_ms if turn.paused_ms is None else turn.paused_ms)
        self._discard()

    def _buffer_cleared(self, event: on.BufferCleared) -> None:
        self._drop_turn()

    def _drop_turn(self) -> None:
        """The sound was no turn, or the client took it back."""
        turn, self._turn = self._turn, None
        if turn is None:
            return
        self._discard()
        if turn.announced:
            self._emit(do.TellSpeechStopped(turn.id, turn.started_ms if turn.paused_ms is None else turn.paused_ms))
        self._emit(do.DropTurn(turn.id))
        if self._reply is not None and self._reply.held_at is not None:
            self._reply.held_at = None
            self._emit(do.ResumePlayout(self._reply.id))

    # What becomes of replies.

    def _reply_requested(self, event: on.ReplyRequested) -> None:
        if event.side:
            self._side[event.reply] = None
            self._emit(do.StartReply(event.reply, side=True))
            return
        reply = self._reply
        if reply is not None and (self._settings.paced or reply.phase is not Phase.ENDING):
            self._emit(do.Refuse(*ALREADY_ACTIVE, event.client_event_id))
            return
        self._discard()
        self._refuse_wish()
        self._start(event.reply)

    def _cancel_requested(self, event: on.CancelRequested) -> None:
        reply = self._reply
        if event.reply is not None and event.reply in self._side:
            del self._side[event.reply]
            self._emit(do.CancelReply(event.reply, do.CancelReason.CLIENT_CANCELLED))
        elif (
            reply is not None
            and event.reply in (None, reply.id)
            and (self._settings.paced or reply.phase is not Phase.ENDING)
        ):
            self._reply_over()
            self._refuse_wish()
            self._emit(do.CancelReply(reply.id, do.CancelReason.CLIENT_CANCELLED))
        elif event.reply is None and self._owed:
            self._owed.clear()  # the reply that was about to begin does not
        else:
            self._emit(do.Refuse(*NOT_ACTIVE, event.client_event_id))

    def _reply_audible(self, event: on.ReplyAudible) -> None:
        reply = self._reply
        if reply is not None and reply.id == event.reply:
            reply.phase = Phase.SOUNDING if reply.phase is Phase.MAKING else Phase.ENDING

    def _reply_made(self, event: on.ReplyMade) -> None:
        reply = self._reply
        if event.reply in self._side:
            del self._side[event.reply]
        elif reply is not None and reply.id == event.reply:
            if not event.audible:
                self._reply_over()
            else:
                reply.phase = Phase.ENDING if reply.audible else Phase.MADE

    def _playout_drained(self, event: on.PlayoutDrained) -> None:
        if self._reply is not None and self._reply.id == event.reply:
            self._reply_over()

    def _reply_over(self) -> None:
        reply, self._reply = self._reply, None
        self._idle_since = self._now
        if reply is not None and reply.held_at is not None:
            self._announce()  # whoever made the sound has the floor now

    def _start(self, reply: ReplyId, *, prepared: bool = False) -> None:
        self._reply = Reply(reply)
        self._last_reply = reply
        self._owed.clear()
        self._emit(do.StartReply(reply, prepared=prepared))

    def _discard(self) -> None:
        prepared, self._prepared = self._prepared, None
        if prepared is not None:
            self._emit(do.DiscardReply(prepared))

    # What a listening brain wants.

    def _brain_speaks(self, event: on.BrainSpeaks) -> None:
        if self._wished is not None or not self._brain_may_speak():
            self._emit(do.DiscardReply(event.reply))
        else:
            self._wished = event.reply

    def _brain_may_speak(self) -> bool:
        settings = self._settings
        listens = settings.answers is Answers.LISTENING and settings.detection is not Detection.MANUAL
        return listens and settings.create_response

    def _brain_stops(self, event: on.BrainStops) -> None:
        reply = self._reply
        if event.reply == self._prepared:
            self._discard()
        elif event.reply == self._wished:
            self._refuse_wish()
        elif reply is not None and event.reply == reply.id:
            self._reply_over()
            self._emit(do.CancelReply(reply.id, do.CancelReason.BRAIN_STOPPED))

    def _refuse_wish(self) -> None:
        wished, self._wished = self._wished, None
        if wished is not None:
            self._emit(do.DiscardReply(wished))

    def _grant_wish(self) -> None:
        """The wish is met at once where the floor is free, and prepared while the user has it."""
        wished = self._wished
        if wished is None or self._reply is not None:
            return
        if self._turn is None:
            self._wished = None
            self._start(wished)
        elif self._prepared is None:
            self._wished, self._prepared = None, wished
            self._emit(do.PrepareReply(wished, self._turn.id))

    # The session.

    def _configured(self, event: on.Configured) -> None:
        if event.settings.answers is not self._settings.answers:
            self._discard()
        self._settings = event.settings
        if not self._brain_may_speak():
            self._refuse_wish()
        reply = self._reply
        if reply is not None and reply.held_at is not None and not event.settings.interrupt_response:
            reply.held_at = None
            self._emit(do.ResumePlayout(reply.id))
            self._announce()

    def _timeout(self, event: on.Timeout) -> None:
        if not passed(self._idle_at(), self._now):
            return
        length_ms = self._settings.idle_timeout_ms or 0
        turn = self._ids.turn()
        self._emit(do.TellTimeout(turn, max(0, event.position_ms - length_ms), event.position_ms))
        self._emit(do.OpenTurn(turn, event.position_ms))
        self._emit(do.Transcribe(turn, 1))
        self._emit(do.CommitTurn(turn, event.position_ms))
        self._start(self._ids.reply())

    def _close(self, event: on.Closed) -> None:
        self._closed = True
        self._discard()
        self._refuse_wish()
        turn, self._turn = self._turn, None
        reply, self._reply = self._reply, None
        self._owed.clear()
        for side in self._side:
            self._emit(do.CancelReply(side, do.CancelReason.CLOSED))
        self._side.clear()
        if reply is not None:
            self._emit(do.CancelReply(reply.id, do.CancelReason.CLOSED))
        if turn is not None:
            self._emit(do.DropTurn(turn.id))

    # What follows from the facts.

    def _settle(self) -> None:
        """Decides all that is due now."""
        if self.state is State.BARGED_IN:
            self._judge()
        self._grant_wish()
        if passed(self._turn_ends_at(), self._now):
            self._end_turn()
            self._grant_wish()
        turn = self._turn
        if turn is not None and self._may_prepare() and passed(turn.prepared_at(self._settings), self._now):
            self._prepared = self._ids.reply()
            self._emit(do.PrepareReply(self._prepared, turn.id))
        if self._owed and self._floor_is_free() and all(owed.heard for owed in self._owed.values()):
            self._start(self._ids.reply())
        if self.state is not State.IDLE:
            self._idle_since = None
        elif self._idle_since is None and self._last_reply is not None:
            self._idle_since = self._now  # a sound that was no turn has interrupted the silence

    def _floor_is_free(self) -> bool:
        return self._reply is None and self._turn is None

    def _judge(self) -> None:
        """Holds, resumes or cancels the reply that the user's sound has paused."""
        reply, turn = self._reply, self._turn
        assert reply is not None and reply.held_at is not None and turn is not None
        verdict = judge(reply.evidence(turn, self._now), self._settings.barge_in)
        if verdict is Verdict.CANCEL:
            self._take_floor(reply)
        elif verdict is Verdict.RESUME:
            self._drop_turn()

    def _take_floor(self, reply: Reply) -> None:
        self._announce()
        self._emit(do.CancelReply(reply.id, do.CancelReason.TURN_DETECTED))
        self._reply = None
        self._refuse_wish()

    def _turn_ends_at(self) -> float | None:
        """When the user's silence will have been long enough."""
        turn = self._turn
        if turn is None or self.state is State.BARGED_IN:
            return None
        ends_at = turn.ends_at(self._settings)
        if ends_at is not None and turn.final and self._prepared is not None and self._brain_may_speak():
            ends_at = min(ends_at, turn.paused_at + self._settings.wished_silence_ms / _MS)
        return ends_at

    def _may_prepare(self) -> bool:
        turn = self._turn
        return (
            self._prepared is None
            and self._settings.answers is Answers.TURN
            and self.state is State.LISTENING
            and turn is not None
            and turn.answerable(self._settings)
            and self._settings.create_response
            and self._settings.detection is not Detection.MANUAL
        )

    def _end_turn(self) -> None:
        """The user's silence was long enough."""
        turn, prepared = self._turn, self._prepared
        assert turn is not None and turn.paused_ms is not None
        self._commit(turn, turn.paused_ms)
        listens = self._settings.answers is Answers.LISTENING
        if not self._settings.create_response:
            self._discard()
        elif listens and not turn.final:
            self._discard()  # there may be words that the brain does not know yet
        elif turn.final and not turn.answerable(self._settings) and not listens:
            self._discard()  # a brain that listens may have something to say to what was before
        elif prepared is not None:
            self._prepared = None
            self._start(prepared, prepared=True)
        elif listens:
            pass  # the brain has nothing to say, or not yet
        else:
            self._owed[turn.id] = Owed(turn.revision, heard=turn.answerable(self._settings))

    def _commit(self, turn: Turn, end_ms: int) -> None:
        self._turn = None
        if turn.announced:
            self._emit(do.TellSpeechStopped(turn.id, end_ms))
        self._emit(do.CommitTurn(turn.id, end_ms))

    def _idle_at(self) -> float | None:
        settings = self._settings
        if self._idle_since is None or settings.idle_timeout_ms is None or settings.detection is not Detection.SERVER:
            return None
        return self._idle_since + settings.idle_timeout_ms / _MS


Handler = Callable[[Turns, Any], None]


def _ignore(turns: Turns, event: Event) -> None:
    """A straggler: what it tells of is gone."""


def _always(handler: Handler) -> dict[State, Handler]:
    return dict.fromkeys(State, handler)


TABLE: dict[type[Event], dict[State, Handler]] = {
    on.SpeechStarted: {
        State.IDLE: Turns._user_begins,
        State.LISTENING: Turns._user_goes_on,
        State.THINKING: Turns._user_speaks_over,
        State.SPEAKING: Turns._user_speaks_over,
        State.BARGED_IN: Turns._user_goes_on,
    },
    on.SpeechPaused: _always(Turns._speech_paused),
    on.PartialHeard: _always(Turns._partial_heard) | {State.IDLE: _ignore},
    on.FinalHeard: _always(Turns._final_heard) | {State.IDLE: _ignore},
    on.BufferCommitted: _always(Turns._buffer_committed),
    on.BufferCleared: _always(Turns._buffer_cleared),
    on.ReplyRequested: _always(Turns._reply_requested),
    on.CancelRequested: _always(Turns._cancel_requested),
    on.ReplyAudible: {
        State.IDLE: _ignore,
        State.LISTENING: _ignore,
        State.THINKING: Turns._reply_audible,
        State.SPEAKING: _ignore,
        State.BARGED_IN: Turns._reply_audible,  # it left in the same moment as the user's sound came
    },
    on.ReplyMade: _always(Turns._reply_made),
    on.PlayoutDrained: _always(Turns._playout_drained),
    on.BrainSpeaks: _always(Turns._brain_speaks),
    on.BrainStops: _always(Turns._brain_stops),
    on.Configured: _always(Turns._configured),
    on.Timeout: _always(Turns._timeout),
    on.Closed: _always(Turns._close),
}
"""What each event does in each state. A state without a row cannot see the event."""
