"""What is due in turn-taking by the facts as they stand, whatever event made them so."""

from __future__ import annotations

from antiphon.core import actions as do
from antiphon.core.actions import State
from antiphon.core.barge_in import Verdict, judge
from antiphon.core.floor import Floor, Owed, passed
from antiphon.core.settings import Answers


def settle(floor: Floor) -> None:
    """Decides all that is due now."""
    if floor.held is not None:
        _judge(floor)
    _grant_wish(floor)
    if passed(floor.turn_ends_at(), floor.now):
        end_turn(floor)
        _grant_wish(floor)
    turn = floor.turn
    if turn is not None and passed(floor.prepares_at(), floor.now):
        floor.prepared = floor.ids.reply()
        floor.emit(do.PrepareReply(floor.prepared, turn.id))
    free = floor.reply is None and floor.turn is None
    if floor.owed and free and all(owed.heard for owed in floor.owed.values()):
        floor.start(floor.ids.reply())
    if floor.state is not State.IDLE:
        floor.idle_since = None
    elif floor.idle_since is None and floor.last_reply is not None:
        floor.idle_since = floor.now  # the reply is over, or a sound that was no turn has interrupted the silence


def _judge(floor: Floor) -> None:
    """Holds, resumes or cancels the reply that the user's sound has paused."""
    reply, turn = floor.held, floor.turn
    assert reply is not None and turn is not None
    verdict = judge(reply.evidence(turn, floor.now), floor.settings.barge_in)
    if verdict is Verdict.CANCEL:
        floor.give_way(reply)
    elif verdict is Verdict.RESUME:
        floor.drop_turn()


def _grant_wish(floor: Floor) -> None:
    """The wish is met at once where the floor is free, and prepared while the user has it."""
    wished = floor.wished
    if wished is None or floor.reply is not None:
        return
    if floor.turn is None:
        floor.wished = None
        floor.start(wished)
    elif floor.prepared is None:
        floor.wished, floor.prepared = None, wished
        floor.emit(do.PrepareReply(wished, floor.turn.id))


def end_turn(floor: Floor) -> None:
    """The user's silence was long enough."""
    turn, prepared, settings = floor.turn, floor.prepared, floor.settings
    assert turn is not None and turn.paused_ms is not None
    floor.commit(turn, turn.paused_ms)
    listens = settings.answers is Answers.LISTENING
    if not settings.create_response:
        floor.discard()
    elif listens and not turn.final:
        floor.discard()  # there may be words that the brain does not know yet
    elif turn.final and not (turn.answerable(settings) or turn.lost) and not listens:
        floor.discard()  # a brain that listens may have something to say to what was before
    elif prepared is not None:
        floor.prepared = None
        floor.start(prepared, prepared=True)
    elif not listens:  # else the brain has nothing to say, or not yet
        floor.owed[turn.id] = Owed(turn.revision, heard=turn.answerable(settings) or (turn.final and turn.lost))
