"""The rules that turn-taking keeps, checked on every step from outside: from events and actions alone.

``TurnRules`` is what a session would have become by carrying out the actions: which turn is open, which replies are
prepared, live, held or over. An action that makes no sense there, or a state that the actions do not add up to, breaks
a rule. Property tests feed it with thousands of conversations, and a replay with a recorded one.
"""

from __future__ import annotations

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action
from antiphon.core.endpointing import silence_needed_ms
from antiphon.core.events import Event
from antiphon.core.settings import Answers
from antiphon.core.turns import Turns
from antiphon.ids import ReplyId, TurnId
from antiphon.sim.followed_turns import FollowedTurns, LiveReply, OpenedTurn, Prepared, need
from antiphon.sim.turn_checks import check_answer, check_deadline, check_nothing_left, check_state


class TurnRules(FollowedTurns):
    """Follows one ``Turns``. ``before`` is called ahead of each event, ``after`` with what came of it."""

    __slots__ = ()

    def before(self, event: Event, now: float) -> None:
        """Notes what the event itself changes."""
        need(now >= self.now, "time never goes back")
        need(not self.closed, "nothing follows the close")
        self.now = now
        match event:
            case on.SpeechStarted():
                self.speaking = True
                if self.prepared is not None:
                    self.prepared.void = True
            case on.SpeechPaused():
                self.speaking = False
            case on.FinalHeard(turn, revision, text):
                self.unanswered.discard((turn, revision))
                if self.turn is not None and self.turn.id == turn:
                    self.turn.answered, self.turn.text = revision, text
            case on.ReplyAudible(reply):
                if self.main is not None and self.main.id == reply:
                    self.main.audible = True
            case on.ReplyMade(reply, _, audible):
                self._made(reply, audible)
            case on.PlayoutDrained(reply):
                if self.main is not None and self.main.id == reply:
                    self._end_main()
            case on.BrainSpeaks(reply):
                need(reply not in self.over and reply not in self.side, "a wish has a name of its own")
                if self.wished is None:
                    self.wished = reply
                else:
                    self.refused = reply
            case on.Configured(settings):
                self.settings = settings
            case on.Closed():
                self.closed = True

    def _made(self, reply: ReplyId, audible: bool) -> None:
        if self.side.pop(reply, None) is not None:
            self.over.add(reply)
        elif self.main is not None and self.main.id == reply:
            self.main.made = True
            if not audible:
                self._end_main()

    def _end_main(self) -> None:
        assert self.main is not None
        self.over.add(self.main.id)
        if self.held == self.main.id:
            self.held = None
        self.main = None

    def after(self, event: Event, actions: list[Action], turns: Turns) -> None:
        """Carries out the actions, and checks each of them, what they add up to, and the table's own view of it."""
        self.follow(event, actions)
        need(self.shown is turns.state, f"the shown state is {self.shown.value}, the true one {turns.state.value}")
        if not self.closed:
            check_deadline(self, event, turns)

    def follow(self, event: Event, actions: list[Action]) -> None:
        """The same for those who see events and actions alone."""
        for action in actions:
            self._apply(action, event)
        check_answer(self, event, actions)
        if self.closed:
            check_nothing_left(self)
        else:
            check_state(self, self.shown)

    # One action.

    def _apply(self, action: Action, event: Event) -> None:
        match action:
            case do.ShowState(state):
                need(state is not self.shown, "a state is shown when it changes")
                self.shown = state
            case do.OpenTurn() | do.TellSpeechStarted() | do.TellSpeechStopped() | do.Transcribe():
                self._apply_to_turn(action)
            case do.CommitTurn(turn, end_ms):
                self._end_turn(turn)
                opened = self.turn
                assert opened is not None
                need(end_ms >= opened.at_ms, "a turn ends after it began")
                need(opened.revision > 0, "a turn that is committed was given to the recognizer")
                if self.prepared is not None:
                    known = opened.answered == opened.revision
                    self.prepared.confirmed = known or self.settings.answers is Answers.TURN
                    self.prepared.void = self.prepared.void and not self._was_over(event, end_ms)
                self.turn = None
            case do.DropTurn(turn):
                self._end_turn(turn)
                self.turn = None
            case do.TellTimeout(turn, start_ms, end_ms):
                need(isinstance(event, on.Timeout), "only time can run out")
                need(turn not in self.turns_over and 0 <= start_ms <= end_ms, "a timeout has a turn of its own")
            case do.Refuse():
                asked = isinstance(event, on.ReplyRequested | on.CancelRequested)
                need(asked, "only a client's request can be refused")
            case _:
                self._apply_to_reply(action)

    def _was_over(self, event: Event, end_ms: int) -> bool:
        """In media time the turn had ended before the user spoke again."""
        if not isinstance(event, on.SpeechStarted) or self.turn is None:
            return False
        return event.at_ms - end_ms >= silence_needed_ms(self.settings, self.turn.text)

    def _apply_to_turn(self, action: do.OpenTurn | do.TellSpeechStarted | do.TellSpeechStopped | do.Transcribe) -> None:
        if isinstance(action, do.OpenTurn):
            need(self.turn is None, "one turn is open at a time")
            need(action.turn not in self.turns_over, "a turn opens once")
            self.turn = OpenedTurn(action.turn, action.at_ms)
            return
        turn = self.turn
        need(turn is not None and turn.id == action.turn, f"{type(action).__name__} is for the open turn")
        assert turn is not None
        match action:
            case do.TellSpeechStarted():
                need(not turn.told, "a start of speech is told once")
                turn.told = True
            case do.TellSpeechStopped():
                need(turn.told, "an end of speech is told after its start")
                turn.told = False
            case do.Transcribe(_, revision):
                need(revision > turn.revision, "revisions count up")
                turn.revision = revision
                self.unanswered.add((turn.id, revision))

    def _end_turn(self, turn: TurnId) -> None:
        need(self.turn is not None and self.turn.id == turn, "the turn that ends is the open one")
        assert self.turn is not None
        need(self.closed or not self.turn.told, "the end of a told turn is told")
        self.turns_over.add(turn)

    def _apply_to_reply(self, action: Action) -> None:
        match action:
            case do.PrepareReply(reply, turn):
                need(self.prepared is None, "one reply is prepared at a time")
                opened = self.turn
                need(opened is not None and opened.id == turn, "a reply is prepared to the open turn")
                assert opened is not None
                if self.wished == reply:
                    self.wished = None
                else:
                    need(self.settings.answers is Answers.TURN, "who listens says itself what is to be prepared")
                    need(not self.speaking, "no reply is prepared while the user speaks")
                    known = opened.answered == opened.revision
                    if self.settings.hears_audio:
                        need(not known or opened.text != "", "a reply is prepared to a sound that may have words")
                    else:
                        need(known and bool(opened.text), "a reply is prepared to known words")
                need(self.main is None, "no reply is prepared beside another")
                need(reply not in self.over, "an id is used once")
                self.prepared = Prepared(reply, turn)
            case do.DiscardReply(reply):
                self._discard(reply)
            case do.StartReply(reply, prepared, side):
                self._start(reply, prepared, side)
            case do.PausePlayout(reply):
                need(self.main is not None and self.main.id == reply, "only the live reply is paused")
                need(self.held is None, "a reply is paused once")
                need(self.settings.paced, "only paced audio can be paused")
                self.held = reply
            case do.ResumePlayout(reply):
                need(self.held == reply, "only a paused reply is resumed")
                self.held = None
            case do.CancelReply(reply):
                if reply in self.side:
                    del self.side[reply]
                    self.over.add(reply)
                else:
                    need(self.main is not None and self.main.id == reply, "only a live reply is cancelled")
                    self._end_main()

    def _discard(self, reply: ReplyId) -> None:
        prepared = self.prepared is not None and self.prepared.id == reply
        need(prepared or reply in (self.wished, self.refused), "only a prepared reply is discarded, or a wish")
        self.over.add(reply)
        if prepared:
            self.prepared = None
        elif reply == self.refused:
            self.refused = None
        else:
            self.wished = None

    def _start(self, reply: ReplyId, prepared: bool, side: bool) -> None:
        need(reply not in self.over and reply not in self.side, "a reply starts once")
        if self.wished == reply:
            self.wished = None
        if side:
            self.side[reply] = LiveReply(reply, side=True)
            return
        if self.main is not None:
            # Sent in one burst and told as done, the old one plays on at the client, whose speaker it is.
            told = not self.settings.paced and self.main.made and self.main.audible
            need(told, "one reply is live at a time")
            self._end_main()
        if prepared:
            ready = self.prepared
            need(ready is not None and ready.id == reply, "what starts as prepared was prepared")
            assert ready is not None
            need(not ready.void, "a prepared reply starts only if the user said no more")
            need(ready.confirmed, "a prepared reply starts only if all words of the user are known")
            need(ready.turn in self.turns_over, "a prepared reply starts after its turn is committed")
            self.prepared = None
        self.main = LiveReply(reply)
