"""A shell that does anything a shell could do to ``Turns``, as a Hypothesis state machine.

It sends every event, late and stale ones too, in any order in which a real session could: edges of a gate that may have
been reset, finals of turns that are gone, clients that commit, clear, cancel and ask whenever they like. ``TurnRules``
checks each step; at the end the session is left in peace, must come to rest, and is closed.
"""

from __future__ import annotations

from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from antiphon.core import events as on
from antiphon.core.actions import Action, State
from antiphon.core.events import Event, Outcome
from antiphon.core.settings import Answers, Detection, TurnSettings
from antiphon.ids import IdSource, ItemId, ReplyId, TurnId
from antiphon.sim.followed_turns import LiveReply
from antiphon.sim.turn_rules import TurnRules

TEXTS = st.sampled_from(["", "yeah", "uh-huh okay", "no wait", "tell me a story.", "and then", "is it late?", None])
STALE = "stale"


def _settings(paced: bool) -> st.SearchStrategy[TurnSettings]:
    return st.builds(
        TurnSettings,
        detection=st.sampled_from([Detection.SERVER, Detection.SERVER, Detection.SEMANTIC, Detection.MANUAL]),
        silence_duration_ms=st.sampled_from([200, 500]),
        idle_timeout_ms=st.sampled_from([None, 1000]),
        eagerness=st.sampled_from(["low", "high", "auto"]),
        create_response=st.sampled_from([True, True, True, False]),
        interrupt_response=st.sampled_from([True, True, True, False]),
        prepare_after_ms=st.sampled_from([0, 120, 400]),
        answers=st.sampled_from([Answers.TURN, Answers.LISTENING]),
        wished_silence_ms=st.sampled_from([60, 300]),
        paced=st.just(paced),
        hears_audio=st.sampled_from([False, False, True]),
    )


class TurnsMachine(RuleBasedStateMachine):
    """``turns_class`` is what is tested; mutants are put in its place."""

    turns_class: Any = None

    @initialize(data=st.data(), paced=st.booleans(), abrupt=st.booleans())
    def begin(self, data: st.DataObject, paced: bool, abrupt: bool) -> None:
        self.abrupt = abrupt
        self.paced = paced
        self.now = 100.0
        self.media_ms = 0
        settings = data.draw(_settings(paced))
        self.turns = self.turns_class(settings, IdSource(1))
        self.seen = TurnRules(settings)
        self.requests = 0
        self.wishes = 0
        self.uncommitted_ms = 0

    def send(self, event: Event) -> list[Action]:
        self.seen.before(event, self.now)
        actions: list[Action] = self.turns.handle(event, self.now)
        note(f"{self.now:.3f} {event} -> {actions}")
        self.seen.after(event, actions, self.turns)
        return actions

    # Time.

    def pass_time(self, ms: int) -> None:
        """Time passes; the deadline is served when it comes, as a session does."""
        end = self.now + ms / 1000
        while (deadline := self.turns.deadline()) is not None and deadline <= end:
            self.media_ms += max(0, round((deadline - self.now) * 1000))
            self.now = max(self.now, deadline)
            self.send(on.Timeout(self.media_ms))
        self.media_ms += max(0, round((end - self.now) * 1000))
        self.now = max(self.now, end)

    @rule(ms=st.sampled_from([1, 20, 60, 100, 130, 200, 250, 420, 600, 900, 2500, 6000]))
    def some_time_passes(self, ms: int) -> None:
        self.pass_time(ms)

    @rule(ms=st.sampled_from([20, 200, 1000]))
    def the_deadline_is_served_late(self, ms: int) -> None:
        self.now += ms / 1000
        self.media_ms += ms

    @rule()
    def a_timeout_comes_early(self) -> None:
        self.send(on.Timeout(self.media_ms))

    @rule(ms=st.sampled_from([300, 1500]))
    def audio_comes_in_one_piece(self, ms: int) -> None:
        self.media_ms += ms

    # The user.

    @precondition(lambda self: not self.seen.speaking)
    @rule(late_ms=st.integers(0, 120))
    def speech_starts(self, late_ms: int) -> None:
        at_ms = max(0, self.media_ms - late_ms)
        turn = self.turns._floor.turn
        if turn is not None and turn.paused_ms is not None:
            at_ms = max(at_ms, turn.paused_ms)
        self.send(on.SpeechStarted(at_ms, max(at_ms, self.media_ms)))

    @precondition(lambda self: self.seen.speaking)
    @rule(late_ms=st.integers(0, 120))
    def speech_pauses(self, late_ms: int) -> None:
        began_ms = 0 if self.seen.turn is None else self.seen.turn.at_ms
        at_ms = max(began_ms, self.media_ms - late_ms)
        self.send(on.SpeechPaused(at_ms, max(at_ms, self.media_ms)))

    @rule()
    def the_gate_is_reset(self) -> None:
        """As after a change of the settings: the next edge is again a start."""
        if self.seen.turn is None:
            self.seen.speaking = False

    @precondition(lambda self: self.seen.turn is None and not self.seen.speaking)
    @rule(text=TEXTS, first_ms=st.sampled_from([100, 500]), then_ms=st.sampled_from([50, 150, 700]))
    def the_user_says_something(self, text: str | None, first_ms: int, then_ms: int) -> None:
        """The usual course, which single steps rarely find."""
        self.speech_starts(late_ms=60)
        self.pass_time(first_ms)
        if self.seen.turn is not None:
            self.speech_pauses(late_ms=60)
        for turn, revision in sorted(self.seen.unanswered)[-1:]:
            self.send(on.FinalHeard(turn, revision, text))
        self.pass_time(then_ms)

    @precondition(lambda self: self.seen.main is not None and self.seen.held is None)
    @rule(then_ms=st.sampled_from([0, 300, 1200]))
    def the_reply_runs_its_course(self, then_ms: int) -> None:
        self.finish_main()
        self.pass_time(then_ms)

    def _any_turn(self, data: st.DataObject) -> TurnId:
        known = sorted(self.seen.turns_over)[-2:]
        return data.draw(st.sampled_from([self.seen.turn.id] if self.seen.turn else [TurnId(ItemId(STALE)), *known]))

    @rule(data=st.data(), text=TEXTS.filter(bool))
    def a_partial_comes(self, data: st.DataObject, text: str) -> None:
        self.send(on.PartialHeard(self._any_turn(data), text))

    @precondition(lambda self: self.seen.unanswered)
    @rule(data=st.data(), text=TEXTS)
    def a_final_comes(self, data: st.DataObject, text: str | None) -> None:
        turn, revision = data.draw(st.sampled_from(sorted(self.seen.unanswered)[-3:]))
        self.send(on.FinalHeard(turn, revision, text))

    # The client.

    @rule()
    def the_client_commits(self) -> None:
        self.send(on.BufferCommitted(min(self.uncommitted_ms, self.media_ms), self.media_ms))
        self.uncommitted_ms = self.media_ms

    @rule()
    def the_client_clears(self) -> None:
        self.send(on.BufferCleared())
        self.uncommitted_ms = self.media_ms

    @rule(side=st.booleans())
    def the_client_asks(self, side: bool) -> None:
        self.requests += 1
        self.send(on.ReplyRequested(ReplyId(f"asked_{self.requests}"), side, f"event_{self.requests}"))

    @rule(data=st.data())
    def the_client_cancels(self, data: st.DataObject) -> None:
        self.send(on.CancelRequested(data.draw(st.sampled_from([None, *self._known_replies()]))))

    @rule(data=st.data())
    def the_client_configures_at_any_time(self, data: st.DataObject) -> None:
        self.the_client_configures(data)

    def the_client_configures(self, data: st.DataObject) -> None:
        self.send(on.Configured(data.draw(_settings(self.paced))))

    @precondition(lambda self: self.paced and self.seen.main is not None and not self.seen.speaking)
    @rule(
        data=st.data(),
        meddling=st.sampled_from(["configure", "forbid", "clear", "commit", "cancel", "finish"]),
        after_ms=st.sampled_from([0, 100, 300]),
    )
    def the_client_meddles_with_a_held_reply(self, data: st.DataObject, meddling: str, after_ms: int) -> None:
        """The user speaks over a reply, and before it is judged the client does something; single steps rarely meet."""
        self.speech_starts(late_ms=60)
        self.pass_time(after_ms)
        match meddling:
            case "configure":
                self.the_client_configures(data)
            case "forbid":
                self.send(on.Configured(TurnSettings(paced=True, interrupt_response=False)))
            case "clear":
                self.the_client_clears()
            case "commit":
                self.the_client_commits()
            case "cancel":
                self.the_client_cancels(data)
            case _:
                self.finish_main()

    # A listening brain.

    @rule()
    def the_brain_speaks(self) -> None:
        self.wishes += 1
        self.send(on.BrainSpeaks(ReplyId(f"wished_{self.wishes}")))

    @rule(data=st.data())
    def the_brain_stops(self, data: st.DataObject) -> None:
        pending = [self.seen.wished, None if self.seen.prepared is None else self.seen.prepared.id]
        known = [reply for reply in pending if reply is not None] or self._known_replies()
        self.send(on.BrainStops(data.draw(st.sampled_from(known))))

    @precondition(lambda self: self.seen.settings.answers is Answers.LISTENING and self.seen.turn is None)
    @rule(
        text=TEXTS.filter(bool),
        wish_at=st.sampled_from(["speech", "pause", "final"]),
        then_ms=st.sampled_from([0, 80, 700]),
    )
    def the_brain_answers_what_the_user_says(self, text: str, wish_at: str, then_ms: int) -> None:
        """The usual course of a conversation with it."""
        if self.seen.speaking:
            return
        self.speech_starts(late_ms=60)
        self.pass_time(300)
        if wish_at == "speech":
            self.the_brain_speaks()
        if self.seen.turn is not None:
            self.speech_pauses(late_ms=60)
        if wish_at == "pause":
            self.the_brain_speaks()
        for turn, revision in sorted(self.seen.unanswered)[-1:]:
            self.send(on.FinalHeard(turn, revision, text))
        if wish_at == "final":
            self.the_brain_speaks()
        self.pass_time(then_ms)

    # The replies' makers.

    def _known_replies(self) -> list[ReplyId]:
        main = [] if self.seen.main is None else [self.seen.main.id]
        return [*main, *self.seen.side, ReplyId(STALE), *sorted(self.seen.over)[-2:]]

    @precondition(lambda self: self.seen.main is not None and not self.seen.main.audible)
    @rule()
    def the_reply_becomes_audible(self) -> None:
        reply = self.live()
        if not (reply.made and self.seen.held):
            self.send(on.ReplyAudible(reply.id))

    @precondition(lambda self: self.seen.main is not None and not self.seen.main.made)
    @rule(outcome=st.sampled_from(Outcome), has_audio=st.booleans())
    def the_reply_is_made(self, outcome: Outcome, has_audio: bool) -> None:
        reply = self.live()
        self.send(on.ReplyMade(reply.id, outcome, has_audio or reply.audible))

    @precondition(lambda self: self.seen.main is not None and self.seen.main.made and self.seen.main.audible)
    @rule()
    def the_reply_is_drained(self) -> None:
        if self.seen.held is None:
            self.send(on.PlayoutDrained(self.live().id))

    def live(self) -> LiveReply:
        assert self.seen.main is not None
        return self.seen.main

    @precondition(lambda self: self.seen.side)
    @rule(data=st.data(), outcome=st.sampled_from(Outcome))
    def a_side_reply_is_made(self, data: st.DataObject, outcome: Outcome) -> None:
        self.send(on.ReplyMade(data.draw(st.sampled_from(sorted(self.seen.side))), outcome, False))

    @rule(data=st.data(), kind=st.sampled_from([on.ReplyAudible, on.PlayoutDrained]))
    def a_straggler_comes(self, data: st.DataObject, kind: Any) -> None:
        gone = [ReplyId(STALE), *sorted(self.seen.over)[-2:]]
        reply = data.draw(st.sampled_from(gone))
        self.send(data.draw(st.sampled_from([kind(reply), on.ReplyMade(reply, Outcome.COMPLETED, False)])))

    # The end.

    def teardown(self) -> None:
        if not hasattr(self, "turns"):
            return
        if not self.abrupt:
            self.come_to_rest()
        self.send(on.Closed())

    def come_to_rest(self) -> None:
        """Nobody says anything more, and all work is done: whatever was owed is given, and the floor is free."""
        base = self.seen.settings
        quiet = TurnSettings(paced=self.paced, create_response=base.create_response)
        self.send(on.Configured(quiet))
        if self.seen.speaking:
            self.speech_pauses_now()
        for _ in range(8):
            self.pass_time(1000)
            for turn, revision in sorted(self.seen.unanswered):
                self.send(on.FinalHeard(turn, revision, "the last words"))
            for side in list(self.seen.side):
                self.send(on.ReplyMade(side, Outcome.COMPLETED, False))
            self.finish_main()
        assert self.turns.state is State.IDLE, f"left in peace it stays {self.turns.state.value}"

    def speech_pauses_now(self) -> None:
        at_ms = max(self.media_ms, 0 if self.seen.turn is None else self.seen.turn.at_ms)
        self.send(on.SpeechPaused(at_ms, at_ms))

    def finish_main(self) -> None:
        if self.seen.main is not None and not self.seen.main.made:
            self.send(on.ReplyMade(self.seen.main.id, Outcome.COMPLETED, True))
        if self.seen.main is not None and self.seen.held is None:
            if not self.seen.main.audible:
                self.send(on.ReplyAudible(self.seen.main.id))
            self.send(on.PlayoutDrained(self.seen.main.id))
