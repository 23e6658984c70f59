from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.core.residency import Residency
from antiphon.core.residency_events import (
    Action,
    Confirm,
    DeadlineReached,
    Event,
    Grant,
    LeaseEnded,
    LeaseWanted,
    Load,
    Loaded,
    LoadFailed,
    ModelState,
    Offered,
    Reason,
    Refuse,
    ResidencySettings,
    Revoke,
    Started,
    Ticket,
    Unload,
    Unloaded,
    UnloadWanted,
)

T = [Ticket(number) for number in range(20)]


def residency(*models: str, **settings: object) -> Residency:
    return Residency(ResidencySettings(models or ("a", "b", "c"), **settings))  # type: ignore[arg-type]


def states(subject: Residency, now: float = 0.0) -> dict[str, ModelState]:
    return {status.name: status.state for status in subject.status(now)}


def test_first_loads_collapse_into_one() -> None:
    subject = residency()
    assert subject.handle(LeaseWanted(T[0], "a"), 0) == [Load("a")]
    assert subject.handle(LeaseWanted(T[1], "a"), 0) == []
    assert subject.handle(Loaded("a"), 1) == [Grant(T[0], "a"), Grant(T[1], "a")]
    assert subject.handle(LeaseWanted(T[2], "a"), 2) == [Grant(T[2], "a")]


def test_a_failure_is_told_to_all_who_wait_and_not_retried_by_itself() -> None:
    subject = residency(preload=("a",))
    subject.handle(Started(), 0)
    subject.handle(LeaseWanted(T[0], "a"), 0)
    subject.handle(LeaseWanted(T[1], "a"), 0)
    assert subject.handle(LoadFailed("a", "broken"), 1) == [
        Refuse(T[0], "a", Reason.FAILED, "broken", 1.0),
        Refuse(T[1], "a", Reason.FAILED, "broken", 1.0),
    ]
    assert states(subject)["a"] is ModelState.FAILED
    assert subject.status(1)[0].error == "broken"
    assert subject.handle(LeaseWanted(T[2], "a"), 1.5) == [Refuse(T[2], "a", Reason.FAILED, "broken", 0.5)]
    assert subject.handle(LeaseWanted(T[3], "a", insist=True), 1.5) == [Load("a")]
    assert subject.handle(LoadFailed("a", "broken"), 2) == [Refuse(T[3], "a", Reason.FAILED, "broken", 2.0)]
    assert subject.handle(LeaseWanted(T[4], "a"), 4) == [Load("a")]


def test_loads_are_bounded() -> None:
    subject = residency(parallel_loads=1)
    assert subject.handle(LeaseWanted(T[0], "a"), 0) == [Load("a")]
    assert subject.handle(LeaseWanted(T[1], "b"), 0) == []
    assert subject.handle(LeaseWanted(T[2], "c"), 0) == []
    assert states(subject)["b"] is ModelState.LOADING
    assert subject.handle(LeaseEnded(T[1]), 0) == []
    assert subject.handle(LoadFailed("a", "no"), 1)[-1] == Load("c")
    assert states(subject)["b"] is ModelState.ABSENT


def test_the_least_recently_used_makes_room_once_it_was_resident_long_enough() -> None:
    subject = residency(cap=2)
    for ticket, model, at in ((T[0], "a", 0.0), (T[1], "b", 10.0)):
        subject.handle(LeaseWanted(ticket, model), at)
        subject.handle(Loaded(model), at)
    assert subject.handle(LeaseWanted(T[2], "c"), 50)[0] == Refuse(
        T[2], "c", Reason.NO_ROOM, "2 models are in memory, as many as may be, and all are in use"
    )
    subject.handle(LeaseEnded(T[1]), 60)
    subject.handle(LeaseEnded(T[0]), 61)
    (refusal,) = subject.handle(LeaseWanted(T[3], "c"), 100)
    assert isinstance(refusal, Refuse)
    assert (refusal.reason, refusal.retry_after_s) == (Reason.NO_ROOM, 20)
    assert subject.handle(LeaseWanted(T[4], "c"), 131) == [Unload("b")]
    assert subject.handle(Unloaded("b"), 132) == [Load("c")]
    assert subject.handle(Loaded("c"), 133) == [Grant(T[4], "c")]


def test_who_insists_need_not_wait_for_the_minimum_residency() -> None:
    subject = residency(cap=1)
    subject.handle(LeaseWanted(T[0], "a"), 0)
    subject.handle(Loaded("a"), 0)
    subject.handle(LeaseEnded(T[0]), 1)
    assert subject.handle(LeaseWanted(T[1], "b", insist=True), 2) == [Unload("a")]


def test_idle_models_leave_after_their_time() -> None:
    subject = residency(ttl_s=60, min_residency_s=100)
    subject.handle(LeaseWanted(T[0], "a"), 0)
    subject.handle(Loaded("a"), 10)
    assert subject.deadline() is None
    subject.handle(LeaseEnded(T[0]), 20)
    assert subject.deadline() == 110
    assert subject.handle(DeadlineReached(), 109) == []
    assert subject.handle(DeadlineReached(), 110) == [Unload("a")]
    assert subject.deadline() is None


def test_preloaded_models_come_first_make_room_and_come_back() -> None:
    subject = residency(preload=("a",), cap=1, min_residency_s=0, ttl_s=10)
    assert subject.handle(Started(), 0) == [Load("a")]
    subject.handle(Loaded("a"), 1)
    assert subject.deadline() is None
    assert subject.handle(LeaseWanted(T[0], "b"), 2) == [Unload("a")]
    assert subject.handle(Unloaded("a"), 3) == [Load("b")]
    subject.handle(Loaded("b"), 4)
    subject.handle(LeaseEnded(T[0]), 5)
    assert subject.deadline() == 15
    assert subject.handle(DeadlineReached(), 15) == [Unload("b")]
    assert subject.handle(Unloaded("b"), 16) == [Load("a")]


def test_a_preloaded_model_that_was_sent_away_comes_back_when_it_is_used() -> None:
    subject = residency(preload=("a",))
    subject.handle(Started(), 0)
    subject.handle(Loaded("a"), 1)
    assert subject.handle(UnloadWanted(T[0], "a"), 2) == [Unload("a")]
    assert subject.handle(Unloaded("a"), 3) == [Confirm(T[0], "a")]
    assert subject.handle(LeaseWanted(T[1], "a"), 4) == [Load("a")]


def test_an_unload_waits_for_those_that_hold_the_model() -> None:
    subject = residency()
    subject.handle(LeaseWanted(T[0], "a", "s1"), 0)
    subject.handle(Loaded("a"), 0)
    assert subject.handle(UnloadWanted(T[1], "a"), 1) == []
    assert subject.handle(LeaseWanted(T[2], "a", "s1"), 2) == [Grant(T[2], "a")]
    (refusal,) = subject.handle(LeaseWanted(T[3], "a", "s2"), 2)
    assert isinstance(refusal, Refuse)
    assert refusal.reason is Reason.LEAVING
    subject.handle(LeaseEnded(T[0]), 3)
    assert subject.handle(LeaseEnded(T[2]), 3) == [Unload("a")]
    assert subject.handle(Unloaded("a"), 4) == [Confirm(T[1], "a")]


def test_a_forced_unload_takes_the_model_from_those_that_hold_it() -> None:
    subject = residency()
    subject.handle(LeaseWanted(T[0], "a", "s1"), 0)
    subject.handle(Loaded("a"), 0)
    assert subject.handle(UnloadWanted(T[1], "a", force=True), 1) == [Revoke(T[0], "a")]
    assert isinstance(subject.handle(LeaseWanted(T[2], "a", "s1"), 2)[0], Refuse)
    assert subject.handle(LeaseEnded(T[0]), 3) == [Unload("a")]


def test_a_resting_lease_keeps_a_model_from_leaving_by_age_and_makes_room_for_what_is_used() -> None:
    subject = residency(cap=2, min_residency_s=0, ttl_s=10)
    for ticket, model, resting in ((T[0], "a", True), (T[1], "b", False)):
        subject.handle(LeaseWanted(ticket, model, "s", resting=resting), 0)
        subject.handle(Loaded(model), ticket)
    subject.handle(LeaseEnded(T[1]), 2)
    assert subject.deadline() == 12, "b alone leaves by age"
    assert subject.handle(LeaseWanted(T[2], "c"), 3) == [Unload("b")], "though a was used longer ago"
    subject.handle(Unloaded("b"), 3)
    subject.handle(Loaded("c"), 3)
    assert subject.handle(LeaseWanted(T[3], "b"), 4) == [Unload("a")]
    assert subject.handle(Unloaded("a"), 4) == [Load("b")]
    subject.handle(Loaded("b"), 4)
    assert isinstance(subject.handle(LeaseWanted(T[4], "a"), 5)[0], Refuse)
    assert subject.handle(LeaseEnded(T[0]), 5) == [], "it lasted, and now nobody keeps a"
    assert [status.leases for status in subject.status(5)] == [0, 1, 1]


def test_an_unload_waits_for_a_resting_lease_unless_it_is_forced() -> None:
    subject = residency()
    subject.handle(LeaseWanted(T[0], "a", "s1", resting=True), 0)
    subject.handle(Loaded("a"), 0)
    assert subject.handle(UnloadWanted(T[1], "a"), 1) == []
    assert subject.handle(LeaseWanted(T[2], "a", "s1"), 2) == [Grant(T[2], "a")]
    assert subject.handle(LeaseEnded(T[2]), 3) == []
    assert subject.handle(UnloadWanted(T[3], "a", force=True), 4) == [Revoke(T[0], "a"), Unload("a")]
    assert subject.handle(LeaseEnded(T[0]), 4) == []
    assert subject.handle(Unloaded("a"), 5) == [Confirm(T[1], "a"), Confirm(T[3], "a")]


def test_what_is_wanted_while_it_leaves_comes_again() -> None:
    subject = residency(cap=1, min_residency_s=0)
    subject.handle(LeaseWanted(T[0], "a"), 0)
    subject.handle(Loaded("a"), 0)
    subject.handle(LeaseEnded(T[0]), 0)
    assert subject.handle(LeaseWanted(T[1], "b"), 1) == [Unload("a")]
    (refusal,) = subject.handle(LeaseWanted(T[2], "a"), 1)
    assert isinstance(refusal, Refuse)
    assert refusal.reason is Reason.NO_ROOM
    subject.handle(LeaseEnded(T[1]), 1)
    assert subject.handle(LeaseWanted(T[3], "a"), 1) == []
    assert subject.handle(Unloaded("a"), 2) == [Load("a")]
    assert subject.handle(Loaded("a"), 3) == [Grant(T[3], "a")]


@pytest.mark.parametrize("event", [LeaseWanted(T[0], "zz"), UnloadWanted(T[0], "zz")])
def test_unknown_models(event: Event) -> None:
    (refusal,) = residency().handle(event, 0)
    assert isinstance(refusal, Refuse)
    assert refusal.reason is Reason.UNKNOWN


def test_a_model_may_come_later_and_one_that_is_there_stays_as_it_is() -> None:
    subject = residency("a", preload=("a",))
    assert subject.handle(Started(), 0) == [Load("a")]
    assert subject.handle(Offered("new"), 1) == []
    assert subject.handle(Offered("a"), 1) == []
    assert states(subject) == {"a": ModelState.LOADING, "new": ModelState.ABSENT}
    assert subject.handle(LeaseWanted(T[0], "new"), 2) == [Load("new")]


def test_contradictions_are_told() -> None:
    with pytest.raises(ValueError, match="zz"):
        residency(preload=("zz",))
    with pytest.raises(ValueError, match="place"):
        residency(cap=0)


MODELS = ("a", "b", "c", "d", "e")
CAP = 2
PARALLEL = 2


class ResidencyMachine(RuleBasedStateMachine):
    """Any order of requests, of the shell's reports and of time."""

    def __init__(self) -> None:
        super().__init__()
        self.subject = Residency(
            ResidencySettings(
                MODELS, ("a", "b"), cap=CAP, ttl_s=60, min_residency_s=20, parallel_loads=PARALLEL, retry_after_s=4
            )
        )
        self.now = 0.0
        self.loading: set[str] = set()
        self.resident: set[str] = set()
        self.unloading: set[str] = set()
        self.waiting: set[Ticket] = set()
        self.withdrawn: set[Ticket] = set()
        self.held: dict[Ticket, str] = {}
        self.resting: set[Ticket] = set()
        self.unload_waiting: set[Ticket] = set()
        self.idle_since: dict[str, float] = {}
        self.resident_since: dict[str, float] = {}
        self.tickets = 0

    def ticket(self) -> Ticket:
        self.tickets += 1
        return Ticket(self.tickets)

    def tell(self, event: Event) -> list[Action]:
        actions = self.subject.handle(event, self.now)
        for action in actions:
            self.check(action)
        return actions

    def check(self, action: Action) -> None:
        match action:
            case Load(model):
                assert model not in self.loading | self.resident | self.unloading
                self.loading.add(model)
            case Unload(model):
                assert model in self.resident
                used = {name for ticket, name in self.held.items() if ticket not in self.resting}
                assert model not in used, "a model that is used is never unloaded"
                self.resident.remove(model)
                self.unloading.add(model)
            case Grant(ticket, model):
                assert model in self.resident
                self.waiting.remove(ticket)
                self.held[ticket] = model
                self.idle_since.pop(model, None)
            case Refuse(ticket, _, reason):
                assert ticket in self.waiting
                self.waiting.remove(ticket)
                if reason is Reason.NO_ROOM:
                    assert len(self.loading | self.resident | self.unloading) <= CAP
            case Revoke(ticket):
                assert ticket in self.held
            case Confirm(ticket, model):
                assert model not in self.resident | self.loading
                self.unload_waiting.remove(ticket)

    @rule()
    def start(self) -> None:
        self.tell(Started())

    @rule(
        model=st.sampled_from(MODELS),
        session=st.sampled_from(["", "s", "t"]),
        insist=st.booleans(),
        resting=st.booleans(),
    )
    def want(self, model: str, session: str, insist: bool, resting: bool) -> None:
        ticket = self.ticket()
        self.waiting.add(ticket)
        if resting:
            self.resting.add(ticket)
        self.tell(LeaseWanted(ticket, model, session, insist, resting))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.held)))
        model = self.held.pop(ticket)
        if model not in self.held.values():
            self.idle_since[model] = self.now
        self.tell(LeaseEnded(ticket))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(sorted(self.waiting)))
        self.waiting.remove(ticket)
        self.withdrawn.add(ticket)
        self.tell(LeaseEnded(ticket))

    @rule(model=st.sampled_from(MODELS), force=st.booleans())
    def unload(self, model: str, force: bool) -> None:
        ticket = self.ticket()
        self.unload_waiting.add(ticket)
        self.tell(UnloadWanted(ticket, model, force))

    @precondition(lambda self: self.loading)
    @rule(data=st.data(), fails=st.booleans())
    def loaded(self, data: st.DataObject, fails: bool) -> None:
        model = data.draw(st.sampled_from(sorted(self.loading)))
        self.loading.remove(model)
        if fails:
            self.tell(LoadFailed(model, "broken"))
            return
        self.resident.add(model)
        self.resident_since[model] = self.idle_since[model] = self.now
        self.tell(Loaded(model))

    @precondition(lambda self: self.unloading)
    @rule(data=st.data())
    def unloaded(self, data: st.DataObject) -> None:
        model = data.draw(st.sampled_from(sorted(self.unloading)))
        self.unloading.remove(model)
        self.tell(Unloaded(model))

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.tell(DeadlineReached())
        for model in self.resident - set(self.held.values()) - {"a", "b"}:
            assert self.now < max(self.idle_since[model] + 60, self.resident_since[model] + 20) + 1e-6

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.loading) <= PARALLEL
        assert len(self.loading | self.resident | self.unloading) <= CAP

    @invariant()
    def the_public_states_are_the_true_ones(self) -> None:
        for status in self.subject.status(self.now):
            assert (status.state is ModelState.RESIDENT) == (status.name in self.resident)
            assert (status.state is ModelState.UNLOADING) == (status.name in self.unloading)
            assert status.leases == list(self.held.values()).count(status.name)

    def teardown(self) -> None:
        """When all leases end and all work is reported, nobody is left without an answer."""
        for ticket in list(self.held):
            del self.held[ticket]
            self.tell(LeaseEnded(ticket))
        while self.loading or self.unloading or self.held:
            if self.loading:
                model = self.loading.pop()
                self.resident.add(model)
                self.resident_since[model] = self.idle_since[model] = self.now
                self.tell(Loaded(model))
            if self.unloading:
                self.tell(Unloaded(self.unloading.pop()))
            for ticket in list(self.held):
                self.held.pop(ticket)
                self.tell(LeaseEnded(ticket))
        assert not self.waiting
        assert not self.unload_waiting


TestResidency = ResidencyMachine.TestCase
TestResidency.settings = hypothesis_settings(max_examples=150, stateful_step_count=40, deadline=None)
