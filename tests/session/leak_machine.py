"""Conversations in which much is prepared and thrown away, as a Hypothesis state machine over a whole session.

The brain marks every word and every call of an answer with the reply that it was asked for. Whatever carries the mark
of a reply that was not let out must not be found anywhere: not with the client, by any event; not in its ears; not in
the conversation; not in what the brain is asked later.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextvars import ContextVar
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from antiphon.audio import MOUTH_RATE_HZ
from antiphon.core import actions as do
from antiphon.core import commands as ask
from antiphon.core.actions import Action
from antiphon.core.events import Event
from antiphon.core.settings import ReplySettings, SessionSettings, TurnSettings
from antiphon.core.shedding import Ahead
from antiphon.core.speech import BrainDelta, BrainRequest, Finish, TextDelta, ToolCallDelta
from antiphon.engines import tone_code
from antiphon.engines.scripted import NUMBERS, BrainOptions, ScriptedBrain, ScriptedSynthesizer
from antiphon.engines.suite import Suite
from antiphon.ids import IdSource, ItemId, ReplyId
from antiphon.session.meter import NoRecorder
from antiphon.session.session import Session
from antiphon.sim.caller import Caller, scripted_suite
from antiphon.sim.heard_reply import HeardReply
from antiphon.sim.outlet import OutletRuleError, RecordingOutlet
from antiphon.sim.virtual_time import VirtualTimeLoop

_BEGUN: ContextVar[ReplyId | None] = ContextVar("_BEGUN", default=None)
"""The reply that was begun last; the task of a reply inherits it."""


class Ledger(NoRecorder):
    """Which replies were begun and which let out, from the decisions alone."""

    def __init__(self) -> None:
        self.prepared: set[ReplyId] = set()
        self.let_out: set[ReplyId] = set()
        self.discarded: set[ReplyId] = set()

    def event(self, now: float, event: Event, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case do.PrepareReply(reply):
                    self.prepared.add(reply)
                    _BEGUN.set(reply)
                case do.StartReply(reply):
                    self.let_out.add(reply)
                    _BEGUN.set(reply)  # what was prepared is begun anew if the conversation has changed under it
                case do.DiscardReply(reply):
                    self.discarded.add(reply)


class Marks:
    """A word for each reply, of letters alone, so that it can be spoken and found again."""

    def __init__(self) -> None:
        self._by_reply: dict[ReplyId, str] = {}

    def of(self, reply: ReplyId) -> str:
        number = len(self._by_reply)
        return self._by_reply.setdefault(reply, "q" + "".join("abcdefghij"[int(digit)] for digit in f"{number:03}"))

    def in_text(self, text: str) -> set[ReplyId]:
        return {reply for reply, mark in self._by_reply.items() if mark in text}


class MarkingBrain(ScriptedBrain):
    """To ``call it`` it calls a function, to all else it says ten words and sometimes calls one after them."""

    def __init__(self, options: BrainOptions, marks: Marks) -> None:
        super().__init__(options)
        self._marks = marks
        self.asked: list[tuple[ReplyId, str]] = []
        """Each request's reply, and the whole context that it was given."""

    async def respond(self, request: BrainRequest) -> AsyncGenerator[BrainDelta]:
        reply = _BEGUN.get()
        assert reply is not None
        self.asked.append((reply, "\n".join(f"{each.text} {each.arguments}" for each in request.messages)))
        mark, words = self._marks.of(reply), request.messages[-1].text if request.messages else ""
        self.running += 1
        try:
            await asyncio.sleep(self._options.first_token_ms / 1000)
            for number in NUMBERS[: 0 if words.startswith("call it") else 10]:
                yield TextDelta(f"{mark}{number}{', ' if number == 'two' else ' '}")
                await asyncio.sleep(self._options.token_ms / 1000)
            if words.startswith(("call it", "and")):
                yield ToolCallDelta(f"call_{mark}", "effect", json.dumps({"of": mark}))
            yield Finish("stop")
        finally:
            self.running -= 1


class Witness(RecordingOutlet):
    """Remembers a rule that was broken, also where whoever broke it goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.fouls: list[str] = []

    def _open(self, reply: ReplyId, item: ItemId | None = None) -> HeardReply:
        try:
            return super()._open(reply, item)
        except OutletRuleError as error:
            self.fouls.append(str(error))
            raise


def _settings(data: st.DataObject, *, paced: bool) -> SessionSettings:
    draw = data.draw
    turn = TurnSettings(
        silence_duration_ms=draw(st.sampled_from([300, 500, 900])),
        prepare_after_ms=draw(st.sampled_from([0, 100])),
        create_response=draw(st.sampled_from([True, True, True, False])),
        paced=paced,
    )
    return SessionSettings(turn, ReplySettings(audio=draw(st.sampled_from([True, True, False]))), transcription=True)


class LeakMachine(RuleBasedStateMachine):
    @initialize(data=st.data(), paced=st.booleans(), token_ms=st.sampled_from([1, 30]), wait=st.sampled_from([0, 150]))
    def begin(self, data: st.DataObject, paced: bool, token_ms: int, wait: int) -> None:
        self.paced = paced
        self.level = Ahead.VOICE
        self.ledger, self.marks, self.outlet = Ledger(), Marks(), Witness()
        self.brain = MarkingBrain(BrainOptions(first_token_ms=wait, token_ms=token_ms), self.marks)
        self.looked_at = 0
        settings = _settings(data, paced=paced)  # which may break the example off, while there is nothing to close yet
        loop = VirtualTimeLoop()
        self.runner = asyncio.Runner(loop_factory=lambda: loop)
        self.runner.run(self._begin(settings, wait))

    async def _begin(self, settings: SessionSettings, wait: int) -> None:
        others = scripted_suite(tts=f"first_audio_ms={wait / 3},speed=5")
        self.voice = others.synthesizer
        suite = Suite(others.vad, others.recognizer, self.brain, others.synthesizer)
        session = Session(
            suite,
            self.outlet,
            settings,
            ids=IdSource(1),
            recorder=self.ledger,
            room_ahead=lambda: self.level,
        )
        self.caller = Caller(session, self.outlet)
        self.tasks = [asyncio.create_task(session.run()), asyncio.create_task(self.caller.microphone())]

    def go_on(self, step: Coroutine[Any, Any, object]) -> None:
        self.runner.run(step)
        for task in self.tasks:
            if task.done():
                self.no_foul()
                task.result()
                raise AssertionError("the session ended by itself")

    def no_foul(self) -> None:
        """Looked at before what the session ended with: a rule that is broken in its loop ends it."""
        assert not self.outlet.fouls, self.outlet.fouls

    # What happens.

    @rule(words=st.sampled_from(["so", "and", "call it"]), then_ms=st.sampled_from([0, 120, 250, 420, 1500]))
    def the_user_speaks(self, words: str, then_ms: int) -> None:
        self.go_on(self.caller.say(words))
        self.go_on(self.caller.pause(then_ms))

    @rule(words=st.sampled_from(["and", "call it"]), pauses=st.lists(st.sampled_from([200, 280, 450]), max_size=3))
    def the_user_hesitates(self, words: str, pauses: list[int]) -> None:
        """What is prepared in each pause is void."""
        for pause_ms in pauses:
            self.the_user_speaks(words, pause_ms)

    @rule(ms=st.sampled_from([20, 300, 2000]))
    def some_time_passes(self, ms: int) -> None:
        self.go_on(self.caller.pause(ms))

    @rule()
    def the_user_coughs(self) -> None:
        self.go_on(self.caller.cough(120))

    @rule(level=st.sampled_from(Ahead))
    def the_load_changes(self, level: Ahead) -> None:
        self.level = level

    @rule(data=st.data(), kind=st.sampled_from(["configure", "commit", "clear", "cancel", "ask", "write"]))
    def the_client_meddles(self, data: st.DataObject, kind: str) -> None:
        session = self.caller.session
        match kind:
            case "configure":
                session.post(ask.Configure(_settings(data, paced=self.paced)))
            case "commit":
                session.post(ask.CommitBuffer())
            case "clear":
                session.post(ask.ClearBuffer())
            case "cancel":
                self.caller.cancel()
            case "ask":
                self.caller.ask(ReplySettings(audio=data.draw(st.booleans())), side=data.draw(st.booleans()))
            case _:
                self.go_on(self.caller.type("and", respond=False))
        self.go_on(self.caller.pause(0.02))

    # What must hold.

    def may_show(self, text: str, where: str) -> None:
        leaked = self.marks.in_text(text) - self.ledger.let_out
        assert not leaked, f"{leaked} was not let out and is found in {where}: {text}"

    @invariant()
    def nothing_leaks(self) -> None:
        if not hasattr(self, "caller"):
            return
        self.no_foul()
        new, self.looked_at = self.outlet.calls[self.looked_at :], len(self.outlet.calls)
        for each in new:
            self.may_show(repr(each.args), each.name)
        for item in self.caller.session.conversation:
            self.may_show(f"{item.text} {item.arguments} {item.call_id}", "the conversation")
        for reply, context in self.brain.asked[-3:]:
            self.may_show(context, f"what the brain was asked for {reply}")

    @invariant()
    def each_reply_is_itself(self) -> None:
        if not hasattr(self, "caller"):
            return
        for reply in self.outlet:
            shown = f"{reply.text} {reply.transcript} {reply.clauses} {reply.calls}"
            assert self.marks.in_text(shown) <= {reply.id}
        assert not self.ledger.let_out & self.ledger.discarded

    def teardown(self) -> None:
        if not hasattr(self, "caller"):
            return
        try:
            self.nothing_leaks()
            self.runner.run(self._end())
            self.nothing_leaks()
            assert self.ledger.prepared <= self.ledger.let_out | self.ledger.discarded
            for reply in self.outlet:
                heard = tone_code.decode(bytes(reply.audio), MOUTH_RATE_HZ)
                assert self.marks.in_text(heard) <= {reply.id}, "somebody else's words were heard"
            assert isinstance(self.voice, ScriptedSynthesizer)
            assert (self.brain.running, self.voice.running) == (0, 0)
        finally:
            self.runner.close()

    async def _end(self) -> None:
        running, microphone = self.tasks
        microphone.cancel()
        self.caller.session.close()
        await asyncio.wait({running})
        self.no_foul()
        running.result()
        await asyncio.gather(microphone, return_exceptions=True)
        assert asyncio.all_tasks() == {asyncio.current_task()}
