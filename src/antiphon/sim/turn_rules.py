"""The rules that turn-taking keeps, checked on every step from outside: from events and actions alone.

``TurnRules`` is what a session would have become by carrying out the actions: which turn is open, which replies are
prepared, live, held or over. An action that makes no sense there, or a state that the actions do not add up to, breaks
a rule. Property tests feed it with thousands of conversations, and a replay with a recorded one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.endpointing import silence_needed_ms
from antiphon.core.events import Event
from antiphon.core.settings import Answers, Detection, TurnSettings
from antiphon.core.turns import Turns
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


def _need(holds: bool, rule: str) -> None:
    if not holds:
        raise RuleBrokenError(rule)


@dataclass(slots=True)
class TurnRules:
    """Follows one ``Turns``. ``before`` is called ahead of each event, ``after`` with what came of it."""

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
    _now: float = 0.0

    def before(self, event: Event, now: float) -> None:
        """Notes what the event itself changes."""
        _need(now >= self._now, "time never goes back")
        _need(not self.closed, "nothing follows the close")
        self._now = now
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
                _need(reply not in self.over and reply not in self.side, "a wish has a name of its own")
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
        _need(self.shown is turns.state, f"the shown state is {self.shown.value}, the true one {turns.state.value}")
        if not self.closed:
            self._check_deadline(event, turns)

    def follow(self, event: Event, actions: list[Action]) -> None:
        """The same for those who see events and actions alone."""
        for action in actions:
            self._apply(action, event)
        self._check_answer(event, actions)
        if self.closed:
            self._check_nothing_left()
        else:
            self._check_state(self.shown)

    # One action.

    def _apply(self, action: Action, event: Event) -> None:
        match action:
            case do.ShowState(state):
                _need(state is not self.shown, "a state is shown when it changes")
                self.shown = state
            case do.OpenTurn() | do.TellSpeechStarted() | do.TellSpeechStopped() | do.Transcribe():
                self._apply_to_turn(action)
            case do.CommitTurn(turn, end_ms):
                self._end_turn(turn)
                opened = self.turn
                assert opened is not None
                _need(end_ms >= opened.at_ms, "a turn ends after it began")
                _need(opened.revision > 0, "a turn that is committed was given to the recognizer")
                if self.prepared is not None:
                    known = opened.answered == opened.revision
                    self.prepared.confirmed = known or self.settings.answers is Answers.TURN
                    self.prepared.void = self.prepared.void and not self._was_over(event, end_ms)
                self.turn = None
            case do.DropTurn(turn):
                self._end_turn(turn)
                self.turn = None
            case do.TellTimeout(turn, start_ms, end_ms):
                _need(isinstance(event, on.Timeout), "only time can run out")
                _need(turn not in self.turns_over and 0 <= start_ms <= end_ms, "a timeout has a turn of its own")
            case do.Refuse():
                asked = isinstance(event, on.ReplyRequested | on.CancelRequested)
                _need(asked, "only a client's request can be refused")
            case _:
                self._apply_to_reply(action)

    def _was_over(self, event: Event, end_ms: int) -> bool:
        """In media time the turn had ended before the user spoke again."""
        if not isinstance(event, on.SpeechStarted) or self.turn is None:
            return False
        return event.at_ms - end_ms >= silence_needed_ms(self.settings, self.turn.text)

    def _apply_to_turn(self, action: do.OpenTurn | do.TellSpeechStarted | do.TellSpeechStopped | do.Transcribe) -> None:
        if isinstance(action, do.OpenTurn):
            _need(self.turn is None, "one turn is open at a time")
            _need(action.turn not in self.turns_over, "a turn opens once")
            self.turn = OpenedTurn(action.turn, action.at_ms)
            return
        turn = self.turn
        _need(turn is not None and turn.id == action.turn, f"{type(action).__name__} is for the open turn")
        assert turn is not None
        match action:
            case do.TellSpeechStarted():
                _need(not turn.told, "a start of speech is told once")
                turn.told = True
            case do.TellSpeechStopped():
                _need(turn.told, "an end of speech is told after its start")
                turn.told = False
            case do.Transcribe(_, revision):
                _need(revision > turn.revision, "revisions count up")
                turn.revision = revision
                self.unanswered.add((turn.id, revision))

    def _end_turn(self, turn: TurnId) -> None:
        _need(self.turn is not None and self.turn.id == turn, "the turn that ends is the open one")
        assert self.turn is not None
        _need(self.closed or not self.turn.told, "the end of a told turn is told")
        self.turns_over.add(turn)

    def _apply_to_reply(self, action: Action) -> None:
        match action:
            case do.PrepareReply(reply, turn):
                _need(self.prepared is None, "one reply is prepared at a time")
                opened = self.turn
                _need(opened is not None and opened.id == turn, "a reply is prepared to the open turn")
                assert opened is not None
                if self.wished == reply:
                    self.wished = None
                else:
                    _need(self.settings.answers is Answers.TURN, "who listens says itself what is to be prepared")
                    _need(not self.speaking, "no reply is prepared while the user speaks")
                    known = opened.answered == opened.revision
                    if self.settings.hears_audio:
                        _need(not known or opened.text != "", "a reply is prepared to a sound that may have words")
                    else:
                        _need(known and bool(opened.text), "a reply is prepared to known words")
                _need(self.main is None, "no reply is prepared beside another")
                _need(reply not in self.over, "an id is used once")
                self.prepared = Prepared(reply, turn)
            case do.DiscardReply(reply):
                self._discard(reply)
            case do.StartReply(reply, prepared, side):
                self._start(reply, prepared, side)
            case do.PausePlayout(reply):
                _need(self.main is not None and self.main.id == reply, "only the live reply is paused")
                _need(self.held is None, "a reply is paused once")
                _need(self.settings.paced, "only paced audio can be paused")
                self.held = reply
            case do.ResumePlayout(reply):
                _need(self.held == reply, "only a paused reply is resumed")
                self.held = None
            case do.CancelReply(reply):
                if reply in self.side:
                    del self.side[reply]
                    self.over.add(reply)
                else:
                    _need(self.main is not None and self.main.id == reply, "only a live reply is cancelled")
                    self._end_main()

    def _discard(self, reply: ReplyId) -> None:
        prepared = self.prepared is not None and self.prepared.id == reply
        _need(prepared or reply in (self.wished, self.refused), "only a prepared reply is discarded, or a wish")
        self.over.add(reply)
        if prepared:
            self.prepared = None
        elif reply == self.refused:
            self.refused = None
        else:
            self.wished = None

    def _start(self, reply: ReplyId, prepared: bool, side: bool) -> None:
        _need(reply not in self.over and reply not in self.side, "a reply starts once")
        if self.wished == reply:
            self.wished = None
        if side:
            self.side[reply] = LiveReply(reply, side=True)
            return
        if self.main is not None:
            # Sent in one burst and told as done, the old one plays on at the client, whose speaker it is.
            told = not self.settings.paced and self.main.made and self.main.audible
            _need(told, "one reply is live at a time")
            self._end_main()
        if prepared:
            ready = self.prepared
            _need(ready is not None and ready.id == reply, "what starts as prepared was prepared")
            assert ready is not None
            _need(not ready.void, "a prepared reply starts only if the user said no more")
            _need(ready.confirmed, "a prepared reply starts only if all words of the user are known")
            _need(ready.turn in self.turns_over, "a prepared reply starts after its turn is committed")
            self.prepared = None
        self.main = LiveReply(reply)

    # What the actions add up to.

    def _check_answer(self, event: Event, actions: list[Action]) -> None:
        """Whoever asks is answered."""
        if isinstance(event, on.ReplyRequested):
            answers = sum(
                isinstance(a, do.Refuse) or (isinstance(a, do.StartReply) and a.reply == event.reply) for a in actions
            )
            _need(answers == 1, "a request for a reply starts it or is refused")
        if isinstance(event, on.CancelRequested):
            refused = any(isinstance(a, do.Refuse) for a in actions)
            still_live = event.reply is not None and (
                event.reply in self.side or (self.main is not None and self.main.id == event.reply)
            )
            _need(refused or not still_live, "a reply that the client cancels is over")
        if isinstance(event, on.BrainStops):
            prepared = None if self.prepared is None else self.prepared.id
            main = None if self.main is None else self.main.id
            _need(event.reply not in (self.wished, prepared, main), "a reply that its brain stops is over")

    def _check_nothing_left(self) -> None:
        _need(self.turn is None, "every turn ends")
        _need(self.prepared is None, "no prepared reply outlives the session")
        _need(self.wished is None, "no wish outlives the session")
        _need(self.main is None and not self.side, "every reply that started ends")
        _need(self.held is None, "nothing stays paused")

    def _check_state(self, state: State) -> None:
        _need((self.held is not None) == (state is State.BARGED_IN), "a reply is held exactly while barged in")
        _need(self.held is None or self.turn is not None, "a reply is held by the user's sound")
        sounding = state in (State.SPEAKING, State.BARGED_IN)
        _need(not sounding or self.main is not None, "who speaks has a reply")
        _need(self.main is None or state not in (State.IDLE, State.LISTENING), "a live reply is shown")
        _need(state is not State.LISTENING or self.turn is not None, "who listens has a turn")
        _need(state is not State.IDLE or self.turn is None, "an open turn is shown")
        _need(self.refused is None, "a second wish is refused")
        if self.wished is not None:
            settings = self.settings
            listens = settings.answers is Answers.LISTENING and settings.detection is not Detection.MANUAL
            _need(listens and settings.create_response, "a wish is refused where the brain may not speak")
            _need(self.main is not None or self.prepared is not None, "a wish waits for another reply alone")
        if self.prepared is not None:
            open_turn = self.turn is not None and self.turn.id == self.prepared.turn
            _need(open_turn and not self.prepared.void, "what is prepared is still an answer to the open turn")

    def _check_deadline(self, event: Event, turns: Turns) -> None:
        deadline = turns.deadline()
        waits = self.held is not None or (
            self.turn is not None
            and not self.speaking
            and self.turn.revision > 0
            and self.settings.detection is not Detection.MANUAL
        )
        may_idle = (
            self.shown is State.IDLE
            and self.settings.idle_timeout_ms is not None
            and self.settings.detection is Detection.SERVER
        )
        _need(deadline is not None or not waits, "what waits has a deadline")
        _need(deadline is None or waits or may_idle, "only what waits has a deadline")
        if isinstance(event, on.Timeout) and deadline is not None:
            _need(deadline > self._now, "a deadline that was served moves on")
