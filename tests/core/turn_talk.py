"""A turn table with a clock, to talk with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from antiphon.core import actions as do
from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.events import Event
from antiphon.core.settings import TurnSettings
from antiphon.core.turns import Turns
from antiphon.ids import IdSource, ReplyId, TurnId
from antiphon.sim.turn_rules import TurnRules

PACED = TurnSettings(paced=True)
BURST = TurnSettings(paced=False)
HEARING = TurnSettings(paced=True, hears_audio=True)


class Talk:
    """A turn table with a clock. Media time is the clock's; edges are seen ``LATE_MS`` after they were."""

    LATE_MS = 60

    def __init__(self, settings: TurnSettings = PACED) -> None:
        self.turns = Turns(settings, IdSource(1))
        self.rules = TurnRules(settings)
        self.now_ms = 0
        self.last: list[Action] = []

    def send(self, event: Event) -> list[Action]:
        self.rules.before(event, self.now_ms / 1000)
        self.last = self.turns.handle(event, self.now_ms / 1000)
        self.rules.after(event, self.last, self.turns)
        return self.last

    def wait(self, ms: int) -> list[Action]:
        """Time passes; deadlines are served. Returns all that was done."""
        end_ms, done = self.now_ms + ms, []
        while (deadline := self.turns.deadline()) is not None and deadline * 1000 <= end_ms + 0.001:
            self.now_ms = max(self.now_ms, round(deadline * 1000))
            done += self.send(on.Timeout(self.now_ms))
        self.now_ms = end_ms
        return done

    def speech(self) -> list[Action]:
        return self.send(on.SpeechStarted(max(0, self.now_ms - self.LATE_MS), self.now_ms))

    def silence(self) -> list[Action]:
        return self.send(on.SpeechPaused(self.now_ms - self.LATE_MS, self.now_ms))

    def partial(self, text: str) -> list[Action]:
        return self.send(on.PartialHeard(self.turn, text))

    def final(self, text: str | None, turn: TurnId | None = None) -> list[Action]:
        """The recognizer answers the newest question it was asked, of the named turn or of any."""
        asked = [each for each in self.rules.unanswered if turn is None or each[0] == turn]
        return self.send(on.FinalHeard(*max(asked, key=lambda each: each[1]), text))

    def says(self, text: str, *, for_ms: int = 600) -> list[Action]:
        """A whole utterance up to the recognizer's final."""
        self.speech()
        self.wait(for_ms)
        self.silence()
        return self.final(text)

    def asks(self, text: str = "what is it") -> ReplyId:
        """A whole turn, up to the start of its reply."""
        self.says(text)
        done = self.wait(1000)
        started: do.StartReply = the(done, do.StartReply)
        return started.reply

    def speaks(self) -> ReplyId:
        """A whole turn, up to the agent's voice."""
        reply = self.asks()
        self.send(on.ReplyAudible(reply))
        return reply

    @property
    def turn(self) -> TurnId:
        assert self.rules.turn is not None
        return self.rules.turn.id

    @property
    def state(self) -> State:
        return self.turns.state


def the(actions: Sequence[Action], kind: type[Any]) -> Any:
    """The one action of its kind."""
    found = [action for action in actions if isinstance(action, kind)]
    assert len(found) == 1, actions
    return found[0]


def kinds(actions: Sequence[Action]) -> list[str]:
    return [type(action).__name__ for action in actions if not isinstance(action, do.ShowState)]
