"""What must hold of a session that follows turn-taking whenever an event is done with."""

from __future__ import annotations

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.events import Event
from antiphon.core.settings import Answers, Detection
from antiphon.core.turns import Turns
from antiphon.sim.followed_turns import FollowedTurns, need


def check_answer(seen: FollowedTurns, event: Event, actions: list[Action]) -> None:
    """Whoever asks is answered."""
    if isinstance(event, on.ReplyRequested):
        answers = sum(
            isinstance(a, do.Refuse) or (isinstance(a, do.StartReply) and a.reply == event.reply) for a in actions
        )
        need(answers == 1, "a request for a reply starts it or is refused")
    if isinstance(event, on.CancelRequested):
        refused = any(isinstance(a, do.Refuse) for a in actions)
        still_live = event.reply is not None and (
            event.reply in seen.side or (seen.main is not None and seen.main.id == event.reply)
        )
        need(refused or not still_live, "a reply that the client cancels is over")
    if isinstance(event, on.BrainStops):
        prepared = None if seen.prepared is None else seen.prepared.id
        main = None if seen.main is None else seen.main.id
        need(event.reply not in (seen.wished, prepared, main), "a reply that its brain stops is over")


def check_nothing_left(seen: FollowedTurns) -> None:
    need(seen.turn is None, "every turn ends")
    need(seen.prepared is None, "no prepared reply outlives the session")
    need(seen.wished is None, "no wish outlives the session")
    need(seen.main is None and not seen.side, "every reply that started ends")
    need(seen.held is None, "nothing stays paused")


def check_state(seen: FollowedTurns, state: State) -> None:
    need((seen.held is not None) == (state is State.BARGED_IN), "a reply is held exactly while barged in")
    need(seen.held is None or seen.turn is not None, "a reply is held by the user's sound")
    sounding = state in (State.SPEAKING, State.BARGED_IN)
    need(not sounding or seen.main is not None, "who speaks has a reply")
    need(seen.main is None or state not in (State.IDLE, State.LISTENING), "a live reply is shown")
    need(state is not State.LISTENING or seen.turn is not None, "who listens has a turn")
    need(state is not State.IDLE or seen.turn is None, "an open turn is shown")
    need(seen.refused is None, "a second wish is refused")
    if seen.wished is not None:
        settings = seen.settings
        listens = settings.answers is Answers.LISTENING and settings.detection is not Detection.MANUAL
        need(listens and settings.create_response, "a wish is refused where the brain may not speak")
        need(seen.main is not None or seen.prepared is not None, "a wish waits for another reply alone")
    if seen.prepared is not None:
        open_turn = seen.turn is not None and seen.turn.id == seen.prepared.turn
        need(open_turn and not seen.prepared.void, "what is prepared is still an answer to the open turn")


def check_deadline(seen: FollowedTurns, event: Event, turns: Turns) -> None:
    deadline = turns.deadline()
    waits = seen.held is not None or (
        seen.turn is not None
        and not seen.speaking
        and seen.turn.revision > 0
        and seen.settings.detection is not Detection.MANUAL
    )
    may_idle = (
        seen.shown is State.IDLE
        and seen.settings.idle_timeout_ms is not None
        and seen.settings.detection is Detection.SERVER
    )
    need(deadline is not None or not waits, "what waits has a deadline")
    need(deadline is None or waits or may_idle, "only what waits has a deadline")
    if isinstance(event, on.Timeout) and deadline is not None:
        need(deadline > seen.now, "a deadline that was served moves on")
