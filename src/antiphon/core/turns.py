"""Turn-taking: who has the floor. The one decider of a conversation.

``Turns.handle`` takes one event and the time, and returns actions; ``deadline`` is the one time at which it wants to be
woken. What an event may do in which state is ``TABLE``; what follows from the facts then known is decided
in ``core.due``. The facts, and the moves that change them, are ``core.floor``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.due import end_turn, settle
from antiphon.core.endpointing import silence_needed_ms
from antiphon.core.events import Event
from antiphon.core.floor import Floor, Phase, passed
from antiphon.core.settings import TurnSettings
from antiphon.errors import IllegalEventError
from antiphon.ids import IdSource

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
        self._floor = Floor(settings, ids)
        self._shown = State.IDLE
        self._closed = False

    @property
    def state(self) -> State:
        """The public state, which follows from the facts."""
        return self._floor.state

    def handle(self, event: Event, now: float) -> list[Action]:
        """Takes one event at time ``now`` (s), returns what to do, in order."""
        floor = self._floor
        if self._closed:
            raise IllegalEventError(f"{type(event).__name__} after the session was closed")
        handler = TABLE[type(event)].get(floor.state)
        if handler is None:
            raise IllegalEventError(f"{type(event).__name__} cannot happen while {floor.state.value}")
        self._closed = isinstance(event, on.Closed)
        floor.now, floor.actions = now, []
        handler(floor, event)
        settle(floor)
        if floor.state is not self._shown:
            self._shown = floor.state
            floor.emit(do.ShowState(self._shown))
        return floor.actions

    def deadline(self) -> float | None:
        """When to send ``Timeout``, in s; None if nothing is awaited. May lie in the past."""
        return self._floor.deadline()


# What the user does.


def _user_begins(floor: Floor, event: on.SpeechStarted) -> None:
    """If a reply is owed, it answers this turn too, once it is over."""
    floor.open_turn(event.at_ms)
    floor.announce()


def _user_goes_on(floor: Floor, event: on.SpeechStarted) -> None:
    turn, settings = floor.turn, floor.settings
    if turn is None:
        return  # the client's settings or its commit came between the two edges
    silence_ms = 0 if turn.paused_ms is None else event.at_ms - turn.paused_ms
    if turn.quiet and floor.state is State.LISTENING and silence_ms >= silence_needed_ms(settings, turn.text):
        end_turn(floor)  # in media time it was over; audio that comes in one piece outruns the clock
        _user_speaks_over(floor, event)
    else:
        turn.paused_ms = None  # that was not the end of the turn,
        floor.discard()  # and what was prepared in it is void


def _user_speaks_over(floor: Floor, event: on.SpeechStarted) -> None:
    """Over a reply that is being made or played."""
    reply, settings = floor.reply, floor.settings
    if floor.turn is not None:
        _user_goes_on(floor, event)
    elif reply is None or not settings.interrupt_response:
        _user_begins(floor, event)
    else:
        floor.open_turn(event.at_ms)
        if settings.paced:
            floor.hold(reply)
        else:
            floor.give_way(reply)


def _speech_paused(floor: Floor, event: on.SpeechPaused) -> None:
    turn = floor.turn
    if turn is None or turn.quiet:
        return  # the turn was committed or cleared in mid-speech
    turn.paused_ms = event.at_ms
    turn.paused_at = floor.now - max(0, event.position_ms - event.at_ms) / _MS
    floor.ask_for_final(turn)


def _partial_heard(floor: Floor, event: on.PartialHeard) -> None:
    turn = floor.turn
    if turn is not None and turn.id == event.turn and not turn.final:
        turn.text = event.text


def _final_heard(floor: Floor, event: on.FinalHeard) -> None:
    owed, turn = floor.owed.get(event.turn), floor.turn
    heard = event.text is None and floor.settings.hears_audio  # by the brain, whatever ails the recognizer
    if owed is not None and owed.revision == event.revision:
        if event.text == "":
            del floor.owed[event.turn]  # a sound without words needs no answer
        else:
            owed.heard = True  # as far as it will be: an answer to words that nobody knows tells so
    elif turn is not None and turn.quiet and (turn.id, turn.revision) == (event.turn, event.revision):
        turn.text, turn.final_revision = turn.text if heard else event.text or "", event.revision
        turn.lost = event.text is None and not heard


def _buffer_committed(floor: Floor, event: on.BufferCommitted) -> None:
    """The client ends the turn itself. A commit never starts a reply."""
    turn = floor.turn or floor.open_turn(event.start_ms)
    if (reply := floor.held) is not None:
        floor.give_way(reply)
    if not turn.final:
        floor.ask_for_final(turn)
    floor.commit(turn, event.position_ms if turn.paused_ms is None else turn.paused_ms)
    floor.discard()


def _buffer_cleared(floor: Floor, event: on.BufferCleared) -> None:
    floor.drop_turn()


# What becomes of replies.


def _reply_requested(floor: Floor, event: on.ReplyRequested) -> None:
    if event.side:
        floor.side[event.reply] = None
        floor.emit(do.StartReply(event.reply, side=True))
    elif floor.live_for_client is not None:
        floor.emit(do.Refuse(*ALREADY_ACTIVE, event.client_event_id))
    else:
        floor.discard()
        floor.refuse_wish()
        floor.start(event.reply)


def _cancel_requested(floor: Floor, event: on.CancelRequested) -> None:
    reply = floor.live_for_client
    if event.reply is not None and event.reply in floor.side:
        del floor.side[event.reply]
        floor.emit(do.CancelReply(event.reply, do.CancelReason.CLIENT_CANCELLED))
    elif reply is not None and event.reply in (None, reply.id):
        floor.end_reply()
        floor.refuse_wish()
        floor.emit(do.CancelReply(reply.id, do.CancelReason.CLIENT_CANCELLED))
    elif event.reply is None and floor.owed:
        floor.owed.clear()  # the reply that was about to begin does not
    else:
        floor.emit(do.Refuse(*NOT_ACTIVE, event.client_event_id))


def _reply_audible(floor: Floor, event: on.ReplyAudible) -> None:
    reply = floor.reply
    if reply is not None and reply.id == event.reply:
        reply.phase = Phase.SOUNDING if reply.phase is Phase.MAKING else Phase.ENDING


def _reply_made(floor: Floor, event: on.ReplyMade) -> None:
    reply = floor.reply
    if event.reply in floor.side:
        del floor.side[event.reply]
    elif reply is not None and reply.id == event.reply:
        if not event.audible:
            floor.end_reply()
        else:
            reply.phase = Phase.ENDING if reply.audible else Phase.MADE


def _playout_drained(floor: Floor, event: on.PlayoutDrained) -> None:
    if floor.reply is not None and floor.reply.id == event.reply:
        floor.end_reply()


# What a listening brain wants.


def _brain_speaks(floor: Floor, event: on.BrainSpeaks) -> None:
    if floor.wished is not None or not floor.brain_may_speak:
        floor.emit(do.DiscardReply(event.reply))
    else:
        floor.wished = event.reply


def _brain_stops(floor: Floor, event: on.BrainStops) -> None:
    reply = floor.reply
    if event.reply == floor.prepared:
        floor.discard()
    elif event.reply == floor.wished:
        floor.refuse_wish()
    elif reply is not None and event.reply == reply.id:
        floor.end_reply()
        floor.emit(do.CancelReply(reply.id, do.CancelReason.BRAIN_STOPPED))


# The session.


def _configured(floor: Floor, event: on.Configured) -> None:
    if event.settings.answers is not floor.settings.answers:
        floor.discard()
    floor.settings = event.settings
    if not floor.brain_may_speak:
        floor.refuse_wish()
    if floor.held is not None and not event.settings.interrupt_response:
        floor.resume()
        floor.announce()


def _timeout(floor: Floor, event: on.Timeout) -> None:
    if not passed(floor.idle_at(), floor.now):
        return
    length_ms = floor.settings.idle_timeout_ms or 0
    turn = floor.ids.turn()
    floor.emit(do.TellTimeout(turn, max(0, event.position_ms - length_ms), event.position_ms))
    floor.emit(do.OpenTurn(turn, event.position_ms))
    floor.emit(do.Transcribe(turn, 1))
    floor.emit(do.CommitTurn(turn, event.position_ms))
    floor.start(floor.ids.reply())


def _close(floor: Floor, event: on.Closed) -> None:
    floor.discard()
    floor.refuse_wish()
    floor.owed.clear()
    live = [*floor.side, *([] if floor.reply is None else [floor.reply.id])]
    floor.side.clear()
    floor.reply = None
    for reply in live:
        floor.emit(do.CancelReply(reply, do.CancelReason.CLOSED))
    if floor.turn is not None:
        floor.emit(do.DropTurn(floor.turn.id))
        floor.turn = None


def _ignore(floor: Floor, event: Event) -> None:
    """A straggler: what it tells of is gone."""


Handler = Callable[[Floor, Any], None]


def _always(handler: Handler) -> dict[State, Handler]:
    return dict.fromkeys(State, handler)


TABLE: dict[type[Event], dict[State, Handler]] = {
    on.SpeechStarted: {
        State.IDLE: _user_begins,
        State.LISTENING: _user_goes_on,
        State.THINKING: _user_speaks_over,
        State.SPEAKING: _user_speaks_over,
        State.BARGED_IN: _user_goes_on,
    },
    on.SpeechPaused: _always(_speech_paused),
    on.PartialHeard: _always(_partial_heard) | {State.IDLE: _ignore},
    on.FinalHeard: _always(_final_heard) | {State.IDLE: _ignore},
    on.BufferCommitted: _always(_buffer_committed),
    on.BufferCleared: _always(_buffer_cleared),
    on.ReplyRequested: _always(_reply_requested),
    on.CancelRequested: _always(_cancel_requested),
    on.ReplyAudible: {
        State.IDLE: _ignore,
        State.LISTENING: _ignore,
        State.THINKING: _reply_audible,
        State.SPEAKING: _ignore,
        State.BARGED_IN: _reply_audible,  # it left in the same moment as the user's sound came
    },
    on.ReplyMade: _always(_reply_made),
    on.PlayoutDrained: _always(_playout_drained),
    on.BrainSpeaks: _always(_brain_speaks),
    on.BrainStops: _always(_brain_stops),
    on.Configured: _always(_configured),
    on.Timeout: _always(_timeout),
    on.Closed: _always(_close),
}
"""What each event does in each state. A state without a row cannot see the event."""
